"""When jobs whose time has not come are due, the nearest first, whatever their number.

Every message is read once, and an index of the nearest is kept in memory: who asks a few times a minute costs the
server one question each time, and what has come since.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from bisect import bisect_left
from typing import NamedTuple

from springtide.runtime.errors import Unavailable
from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs import names
from springtide.wire.jobs.job import Job
from springtide.wire.jobs.message import job_in
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.reading import sequences, stored

MAX_KEPT = 100_000
"""Jobs in memory, the nearest. With more of them one that was cancelled counts until its time."""
MAX_OF_FUNCTION = 100
"""Instants of one function that are told: whoever needs those behind them asks again by then."""
LINGER_S = 30.0
"""A job whose time has come is told for so long: it may be on its way."""
AT_ONCE = 5000
"""That are read before they are put into their places."""
ANSWER_S = 1.5
"""Who asks waits for so long; where very many are read for the first time that goes on meanwhile."""


class _Due(NamedTuple):
    at: float
    token: str
    ref: FunctionRef


class NatsDelayedCalls:
    """Implements ``ports.DelayedList``."""

    def __init__(self, broker: Broker, *, max_kept: int = MAX_KEPT) -> None:
        self._broker = broker
        self._max_kept = max_kept
        self._known: list[_Due] = []
        """In order."""
        self._beyond = math.inf
        """The earliest that was not kept."""
        self._after = 0
        self._created_at = math.inf
        self._refs: dict[FunctionRef, FunctionRef] = {}
        """Each once: of a hundred thousand jobs most have their function in common."""
        self._looking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<NatsDelayedCalls of {len(self._known)} jobs>"

    async def nearest(self, limit: int) -> DelayedCalls:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="delayed jobs")
            self._looking.add_done_callback(_seen)  # by then nobody may wait for it
        done, _ = await asyncio.wait([self._looking], timeout=ANSWER_S)
        if not done:
            raise Unavailable(f"delayed jobs are being read, {len(self._known)} so far; ask again")
        self._looking.result()
        return _told(self._known, limit, beyond=self._beyond)

    async def _look(self) -> None:
        now, state = time.time(), await self._broker.streams.state(names.DELAYED)
        _, last = await sequences(self._broker.connection, names.DELAYED)
        del self._known[: bisect_left(self._known, (now - LINGER_S,))]
        few = self._beyond < math.inf and len(self._known) < self._max_kept * 3 // 4
        if few or state.created_at != self._created_at or last < self._after:
            self._known, self._refs, self._beyond = [], {}, math.inf
            self._after, self._created_at = 0, state.created_at
        await self._read()
        self._after = max(self._after, last)
        if self._beyond == math.inf:
            await self._drop_cancelled(now)

    async def _read(self) -> None:
        """What came since."""
        messages = stored(self._broker.connection, names.DELAYED, names.DELAYED_SUBJECTS, after=self._after)
        come: list[_Due] = []
        async with contextlib.aclosing(messages):
            async for message in messages:
                self._after = message.sequence
                if isinstance(job := job_in(message.headers), Job) and job.not_before < self._beyond:
                    ref = self._refs.setdefault(job.lane.function, job.lane.function)
                    come.append(_Due(job.not_before, job.token, ref))
                if len(come) == AT_ONCE:
                    self._keep(come)
                    come = []
        self._keep(come)

    def _keep(self, come: list[_Due]) -> None:
        if not come:
            return
        self._known = sorted(self._known + come)  # which is quick where the most are in order
        if len(self._known) > self._max_kept:
            self._beyond = self._known[self._max_kept].at
            del self._known[self._max_kept :]

    async def _drop_cancelled(self, now: float) -> None:
        """Where there are fewer than are known."""
        begin = bisect_left(self._known, (now,))
        streams, waiting = self._broker.streams, len(self._known) - begin
        if not waiting or (await streams.state(names.DELAYED)).messages >= waiting:
            return
        subjects = (await streams.state(names.DELAYED, subjects=names.DELAYED_SUBJECTS)).subjects
        there = {subject.rpartition(".")[2] for subject in subjects}
        self._known[begin:] = [due for due in self._known[begin:] if due.token in there]


def _seen(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


def _told(ordered: list[_Due], limit: int, *, beyond: float) -> DelayedCalls:
    found: dict[FunctionRef, list[float]] = {}
    number = 0
    for due in ordered:
        own = found.setdefault(due.ref, [])
        if len(own) == MAX_OF_FUNCTION or (own and due.at - own[-1] < 1.0):
            continue
        if number == limit:
            if not own:
                del found[due.ref]
            return DelayedCalls(found, min(due.at, beyond))
        own.append(due.at)
        number += 1
    return DelayedCalls(found, beyond)
