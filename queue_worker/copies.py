"""What this copy of the worker says to the others and hears of them, so that together they take what there is room for.

Where nothing passes between them for long each goes by what it knows, and that is said in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable, Mapping

import structlog

from springtide.queue_worker.sharing import Said, Sharing
from springtide.runtime import bounded_json
from springtide.runtime.errors import SpringtideError, reason_of
from springtide.runtime.outage import Outage
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.ports import CopyChannel

SAYS_S = 0.5
"""Between two messages; what one has given up is another's after that."""

HURRIES_S = 0.1
"""While this copy may not take jobs."""

AGAIN_S = 1.0
"""After the broker did not answer."""

VERSION = 1

_log = structlog.get_logger(__name__)


class Copies:
    """``holds``: this copy's jobs by function, those included that it is about to take. ``changed`` is called when it
    may have more room. ``forget_s``: how long its leases last."""

    def __init__(
        self,
        channel: CopyChannel,
        clock: Clock,
        *,
        holds: Callable[[], Mapping[FunctionRef, int]],
        changed: Callable[[], None],
        forget_s: float,
    ) -> None:
        self._channel = channel
        self._clock = clock
        self._holds = holds
        self._changed = changed
        self._sharing = Sharing(uuid.uuid4().hex, forget_s=forget_s)
        self._leaving = False
        self._others = 0
        self._unheard = Outage("copies of the queue worker do not hear one another; this one goes by what it knows")

    def __repr__(self) -> str:
        return f"<Copies, {self._sharing!r}>"

    def room(self, function: FunctionRef, whole: int) -> int:
        """Jobs of a function, which has room for ``whole``, that this copy may hold."""
        if self._leaving:
            return 0
        return self._sharing.room(str(function), whole, now=self._clock.now())

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear())
            group.create_task(self._say_regularly())

    async def leave(self) -> None:
        """It takes nothing any more, which the others are told; called once more when its jobs have ended."""
        self._leaving = True
        with contextlib.suppress(SpringtideError):
            await self._say()

    async def _hear(self) -> None:
        while True:
            with contextlib.suppress(SpringtideError):  # of which the other loops tell
                async with contextlib.aclosing(self._channel.heard()) as heard:
                    async for text in heard:
                        if (said := decoded(text)) is not None and self._sharing.hear(said, now=self._clock.now()):
                            await self._say()
                        self._look()
            await asyncio.sleep(AGAIN_S)

    async def _say_regularly(self) -> None:
        while True:
            try:
                await self._say()
            except SpringtideError:
                self._sharing.unsaid()
            self._look()
            await asyncio.sleep(SAYS_S if self._sharing.may_take(self._clock.now()) else HURRIES_S)

    async def _say(self) -> None:
        holds = {str(function): count for function, count in self._holds().items() if count > 0}
        await self._channel.say(encoded(self._sharing.say(holds, leaving=self._leaving, now=self._clock.now())))

    def _look(self) -> None:
        now = self._clock.now()
        if self._sharing.changed(now):
            self._changed()
        if (others := self._sharing.others(now)) != self._others:
            self._others = others
            _log.info("other copies of the queue worker that functions' room is shared with", copies=others)
        if self._sharing.deaf(now):
            self._unheard.failed("the queue's server does not pass on what they say")
        else:
            self._unheard.over()


def encoded(said: Said) -> bytes:
    value = {"v": VERSION, "copy": said.copy, "number": said.number, "heard": said.heard, "holds": said.holds}
    return json.dumps({**value, "leaving": said.leaving}, separators=(",", ":")).encode()


def decoded(text: bytes) -> Said | None:
    """None: nothing that a copy says, or a later program's."""
    try:
        value = bounded_json.loads(text)
        if not 1 <= int(value["v"]) <= VERSION:
            return None
        return Said(
            copy=str(value["copy"]),
            number=int(value["number"]),
            heard={str(name): int(number) for name, number in value["heard"].items()},
            holds={str(name): int(count) for name, count in value["holds"].items()},
            leaving=value["leaving"] is True,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        _log.debug("something else is said where copies of the queue worker speak", reason=reason_of(error))
        return None
