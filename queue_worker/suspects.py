"""Jobs whose replica was lost are tried again in small company, for one of them may be what ended it.

All calls that a replica was making when it died look alike, and wait equally long for their next try. Then they would
die together again, and one job that kills its replica would have all that ran beside it given up. So of a function's
jobs that have lost their last replica one is called at a time. Each that is answered lets a little more go at once, as
TCP does when it avoids congestion (RFC 5681, 3.1), and another loss begins anew: where there is no such job, because a
machine went down, all are soon called as before.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from springtide.queue_worker.execution import Caller
from springtide.queue_worker.retrying import INTERNAL
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import Answer
from springtide.wire.jobs.ports import Lease

LOST = 502
"""What the gateway answers, as its own, where a replica was lost with the call."""

MAX_SUSPECTS = 10_000
"""Jobs that are remembered: the next try of one may be another worker's."""


@dataclass(slots=True)
class _Group:
    """A function's. ``window``: how many may be called at once."""

    window: float = 1.0
    running: int = 0
    waiting: OrderedDict[asyncio.Future[None], None] = field(default_factory=OrderedDict)
    suspects: int = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        if self.running >= int(self.window) or self.waiting:
            mine = asyncio.get_running_loop().create_future()
            self.waiting[mine] = None
            try:
                await mine
            except asyncio.CancelledError:
                if mine.cancelled():
                    self.waiting.pop(mine, None)
                else:  # its turn had come
                    self._leave()
                raise
        else:
            self.running += 1
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        self.running -= 1
        while self.waiting and self.running < int(self.window):
            first, _ = self.waiting.popitem(last=False)
            if not first.done():
                self.running += 1
                first.set_result(None)


class Suspects:
    """Implements ``execution.Caller`` before another one. Remembers what this worker has seen."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._known: OrderedDict[str, FunctionRef] = OrderedDict()
        """By the jobs' tokens, oldest first."""
        self._groups: dict[FunctionRef, _Group] = {}

    def __repr__(self) -> str:
        return f"<Suspects {len(self._known)} of {len(self._groups)} functions, before {self._caller!r}>"

    async def call(self, lease: Lease) -> Answer:
        token, function = lease.job.token, lease.job.lane.function
        if token not in self._known:
            answer = await self._caller.call(lease)
            if lost_replica(answer):
                self._suspect(token, function)
            return answer
        group = self._groups[function]
        async with group.turn():
            answer = await self._caller.call(lease)
            if lost_replica(answer):
                group.window = 1.0
            else:
                group.window += 1 / group.window
                self._clear(token)
        return answer

    def _suspect(self, token: str, function: FunctionRef) -> None:
        group = self._groups.setdefault(function, _Group())
        group.window = 1.0
        if token not in self._known:
            self._known[token] = function
            group.suspects += 1
        if len(self._known) > MAX_SUSPECTS:
            self._clear(next(iter(self._known)))

    def _clear(self, token: str) -> None:
        function = self._known.pop(token, None)
        if function is None:
            return
        group = self._groups[function]
        group.suspects -= 1
        if not group.suspects:
            del self._groups[function]


def lost_replica(answer: Answer) -> bool:
    return answer.status == LOST and any(name.lower() == INTERNAL for name, _ in answer.headers)
