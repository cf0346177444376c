"""What calls functions but callers: schedules and events, asked when somebody looks, once for all who ask the same.

That a part is not there, or does not answer, is told as that: it does not mean that there are no schedules or events.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from springtide.console.fresh_answer import FreshAnswer
from springtide.console.functions import FunctionInfo
from springtide.console.trigger_api import CHOICES, MAX_LISTED, TriggerApi
from springtide.console.view import Json
from springtide.runtime.errors import SpringtideError, Unsupported
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.schedules.annotations import CRON_TOPIC, TOPIC

FRESH_FOR_S = 2.0
MAX_KEPT = 100
"""Answers that are kept, the newest; each is of another question."""
MAX_NAMED = 20
"""Functions whose schedules nobody runs that are named."""


class Triggers:
    """``functions``: those that were listed last, by ``name.namespace``."""

    def __init__(self, api: TriggerApi, clock: Clock, functions: Callable[[], Mapping[str, FunctionInfo]]) -> None:
        self._api = api
        self._clock = clock
        self._functions = functions
        self._kept: dict[Sequence[str], FreshAnswer[Json]] = {}
        """By question: a part that hangs delays those who ask the same, and no others."""

    def __repr__(self) -> str:
        return f"<Triggers {len(self._kept)} answers>"

    async def seen(self, asked: Mapping[str, str]) -> Json:
        """What the page shows: the schedules that are asked for, and the last events."""
        offset = asked.get("offset", "")[:9]
        chosen = {key: asked.get(key, "") for key in CHOICES} | {"offset": offset}
        schedules = await self._known(("schedules", *chosen.values()), lambda: self._api.schedules(chosen))
        events = await self._known(("events",), self._api.events)
        return {"schedules": self._listed(schedules, int(offset) if offset.isdecimal() else 0), "events": events}

    async def of_function(self, ref: FunctionRef) -> Json:
        """What one function's page shows."""
        key = str(ref)
        schedules = await self._known(("schedules of", key), lambda: self._api.schedules_of(ref))
        return {
            "schedules": schedules,
            "events": await self._known(("events of", key), lambda: self._api.events(ref)),
        }

    async def act(self, ref: FunctionRef, act: str, schedule: str) -> Json:
        """Raises SpringtideError."""
        self._kept.clear()  # who looks now is to see what came of it
        try:
            return await self._api.act(ref, act, schedule)
        finally:
            self._kept.clear()

    async def _known(self, question: Sequence[str], ask: Callable[[], Awaitable[Json]]) -> Json:
        """``off``: why there are none here; ``problem``: why they are not known now."""
        answer = self._kept.pop(question, None) or FreshAnswer(partial(_asked, ask), FRESH_FOR_S, self._clock)
        self._kept[question] = answer  # the newest are last
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return await answer.get()

    def _listed(self, schedules: Json, offset: int) -> Json:
        told = {**schedules, "offset": offset, "limit": MAX_LISTED}
        if schedules["off"] is None:
            return told
        idle = [key for key, info in self._functions().items() if info.annotations.get(TOPIC, "").strip() == CRON_TOPIC]
        return {**told, "uncalled": idle[:MAX_NAMED], "uncalledTotal": len(idle)}


async def _asked(ask: Callable[[], Awaitable[Json]]) -> Json:
    try:
        return {"off": None, "problem": None, **await ask()}
    except Unsupported as error:
        return {"off": str(error), "problem": None}
    except SpringtideError as error:
        return {"off": None, "problem": str(error)}
