"""A gateway that keeps calls in memory as the contract has it: one call for each Idempotency-Key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from springtide.runtime.errors import Unavailable, Unsupported
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.cron.gateway import TickAnswer, TickCall, TickJob
from springtide.triggers.cron.kept import Kept, Position, Record
from springtide.wire.jobs.job import JobState


@dataclass
class MemoryTickGateway:
    """``away`` by function, or of all (None): what is answered in the place of a call's being kept. ``takes_s``: how
    long a call is on its way; it is kept in the middle of that, so that who is cut off may not know."""

    clock: Clock
    takes_s: float = 0.0
    queue: bool = True
    away: dict[FunctionRef | None, int] = field(default_factory=dict)
    kept: list[tuple[TickCall, float, str]] = field(default_factory=list)
    """Each call once, when it was kept, and its id."""
    made: list[tuple[TickCall, float]] = field(default_factory=list)
    requests: int = 0
    states: dict[str, JobState] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    """Statuses of calls that have ended, where they are not 200."""
    asked: int = 0
    """Calls that were looked for by their keys."""
    running_s: float = 0.0
    """How long a call takes that is made at once."""
    _by_key: dict[tuple[FunctionRef, str], str] = field(default_factory=dict)

    async def keep(self, call: TickCall) -> TickAnswer:
        self.requests += 1
        await asyncio.sleep(self.takes_s / 2)
        status = self.away.get(call.function, self.away.get(None, 0 if self.queue else 501))
        if status:
            return TickAnswer(status, text="not now")
        key = call.function, call.key
        job = self._by_key.get(key) if call.key else None
        if job is None:
            job = f"job-{len(self.kept)}"
            self.kept.append((call, self.clock.wall(), job))
            self.states[job] = JobState.QUEUED
            self._by_key[key] = job
        await asyncio.sleep(self.takes_s / 2)
        return TickAnswer(202, job)

    async def make(self, call: TickCall) -> TickAnswer:
        if status := self.away.get(call.function, self.away.get(None, 0)):
            return TickAnswer(status, text="not now", unmade=status in (429, 503))
        self.made.append((call, self.clock.wall()))
        await asyncio.sleep(self.running_s)
        return TickAnswer(200, text="done")

    async def state(self, job: str) -> JobState | None:
        if None in self.away:
            raise Unavailable("the gateway is away")
        return self.states.get(job)

    async def jobs(self, ids: Sequence[str]) -> Mapping[str, TickJob]:
        found = self._known()
        return {job: found[job] for job in ids if job in found}

    async def jobs_of(self, calls: Sequence[TickCall]) -> Mapping[str, TickJob]:
        found, self.asked = self._known(), self.asked + len(calls)
        named = {call.claim: self._by_key.get((call.function, call.key), "") for call in calls}
        return {claim: found[job] for claim, job in named.items() if job in found}

    def _known(self) -> dict[str, TickJob]:
        if None in self.away:
            raise Unavailable("the gateway is away")
        if not self.queue:
            raise Unsupported("there is no queue")
        return {
            job: TickJob(
                id=job,
                state=self.states[job],
                accepted_at=at,
                status=self.answers.get(job, 200) if self.states[job].final else 0,
                reason="10 attempts" if self.states[job] is JobState.FAILED else "",
            )
            for _, at, job in self.kept
            if job in self.states
        }

    async def cancel(self, job: str) -> None:
        if None in self.away:
            raise Unavailable("the gateway is away")
        if job in self.states and not self.states[job].final:
            self.states[job] = JobState.CANCELLED

    def times(self, function: FunctionRef | None = None) -> list[float]:
        """What the schedules' instants are of the calls that were kept."""
        return [call.at for call, _, _ in self.kept if function in (None, call.function)]


@dataclass
class MemoryCronStore:
    """Implements ``kept.Store``. ``away``: neither read nor written."""

    kept: Kept = field(default_factory=Kept)
    away: bool = False
    saves: int = 0

    async def load(self) -> Kept:
        self._check()
        return self.kept

    async def save(self, position: Position, changed: Mapping[FunctionRef, Record | None]) -> None:
        self._check()
        records = {ref: record for ref, record in {**self.kept.records, **changed}.items() if record is not None}
        self.kept = replace(self.kept, position=position, records=records)
        self.saves += 1

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the store is away")
