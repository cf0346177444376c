"""Asynchronous calls that wait for a function or run: the loads of type ``queue``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from springtide.scaler.core import targets
from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Level
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData
from springtide.scaler.sources.polling import Polling

INTERVAL_S = 1.0
"""Between two looks at all queues, which cost their server one question each."""
MAX_AGE_S = 5.0
"""Of a count: five looks. A queue of short jobs is another one by then."""
DEADLINE_S = 3.0
"""So that why nothing is heard is known by the time that a count is too old."""


class Queues(Protocol):
    """Who knows all queues, such as ``wire.jobs.pending.PendingJobs``."""

    async def pending(self) -> Mapping[FunctionRef, int]:
        """Jobs of each function that has any, over all queues. Raises Unsupported where there are no queues, and
        another SpringtideError when that cannot be known."""


class QueuedJobs:
    """Implements LevelSource for loads of type ``queue``. The queues are asked only while there are such loads.

    A function that an answer does not name has none that wait: an answer is about all queues, or there is none.
    """

    def __init__(self, queues: Queues, *, deadline_s: float = DEADLINE_S) -> None:
        self._queues = queues
        self._polling = Polling(self._ask, who="the gateway", interval_s=INTERVAL_S, deadline_s=deadline_s)
        self._pending: Mapping[FunctionRef, int] = {}
        self._known_at: Instant | None = None

    def __repr__(self) -> str:
        return f"<QueuedJobs of {len(self._pending)} functions by {self._queues!r}>"

    async def aclose(self) -> None:
        await self._polling.aclose()

    def levels(
        self, loads: Mapping[FunctionRef, Sequence[Load]], now: Instant
    ) -> dict[tuple[FunctionRef, str], Level | NoData]:
        wanted = [(ref, load.name) for ref, own in loads.items() for load in own if load.type is targets.QUEUE]
        if wanted:
            self._polling.look(now)
        return {(ref, name): self._level(ref, now) for ref, name in wanted}

    async def _ask(self, asked_at: Instant) -> None:
        self._pending, self._known_at = await self._queues.pending(), asked_at

    def _level(self, ref: FunctionRef, now: Instant) -> Level | NoData:
        if self._known_at is None:
            return self._polling.missing
        if now - self._known_at > MAX_AGE_S:
            return self._polling.too_old("its jobs were last counted", MAX_AGE_S)
        return Level(float(self._pending.get(ref, 0)), self._known_at)
