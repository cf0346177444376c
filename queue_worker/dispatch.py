"""Which job goes out when: as soon as its function has room, in fair turns, and never more than this worker runs.

It goes by what it knows: rings of the gateways, a look at the backlog now and then, the provider's replicas. Nothing is
learned from being refused.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from springtide.queue_worker.capacity import Capacity
from springtide.queue_worker.execution import Execution
from springtide.queue_worker.fair_share import FairShare
from springtide.queue_worker.retrying import RetryRules
from springtide.runtime.errors import SpringtideError, reason_of
from springtide.runtime.outage import Outage
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import JobState, Lane
from springtide.wire.jobs.ports import JobSource, Lease

LOOK_S = 2.0
"""Between two looks at the backlog: what rings were lost is found by then."""

AGAIN_S = 1.0
"""After the broker did not answer."""

MAX_TAKEN = 100
"""At once from one lane."""

_log = structlog.get_logger(__name__)


class Observer(Protocol):
    """Who counts."""

    def began(self, lease: Lease) -> None: ...

    def ended(self, lease: Lease, state: JobState | None, seconds: float) -> None:
        """``state`` is None where the job is somebody's again without anything having been stored."""

    def saw(self, backlog: dict[Lane, int]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchDeps:
    source: JobSource
    capacity: Capacity
    clock: Clock
    observer: Observer
    execution: Callable[[Lease, RetryRules], Execution]
    rules: RetryRules
    max_running: int
    idle_lane_s: float


@dataclass(slots=True)
class _LaneState:
    """``rings`` counts what may have come; ``waits_until``: nothing is to be taken before, where that is known."""

    rings: int = 0
    running: int = 0
    retries: Counter[float] = field(default_factory=Counter)
    """Instants at which jobs that were handed back may be taken again."""
    seen_at: float = 0.0


class Dispatch:
    """``run`` goes on until it is cancelled; ``drain`` before that lets what runs end."""

    def __init__(self, deps: DispatchDeps) -> None:
        self._deps = deps
        self._share = FairShare()
        self._lanes: dict[Lane, _LaneState] = {}
        self._running: dict[str, tuple[Execution, asyncio.Task[None]]] = {}
        """By the jobs' tokens."""
        self._reserved: Counter[FunctionRef] = Counter()
        """Jobs that run or are being taken."""
        self._turn = asyncio.Event()
        self._stopping = False

    def __repr__(self) -> str:
        return f"<Dispatch {len(self._running)} running, {self._share!r}>"

    @property
    def running(self) -> int:
        return len(self._running)

    def look(self) -> None:
        """Somebody may have room now."""
        self._turn.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._give_turns())
            group.create_task(self._hear(self._deps.source.rings, self._rang, "rings of the gateways"))
            group.create_task(self._hear(self._deps.source.stops, self._stop, "cancelled jobs"))
            group.create_task(self._look_regularly())

    async def drain(self, grace_s: float) -> None:
        """Take nothing more; jobs that still run after ``grace_s`` are handed back."""
        self._stopping = True
        tasks = [task for _, task in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # What is heard.

    async def _hear(
        self, stream: Callable[[], AsyncIterator[object]], heard: Callable[[object], None], what: str
    ) -> None:
        outage = Outage(f"{what} are not heard; jobs go out by looks at the backlog")
        while True:
            try:
                async for item in stream():
                    outage.over()
                    heard(item)
            except SpringtideError as error:
                outage.failed(reason_of(error))
            await asyncio.sleep(AGAIN_S)

    def _rang(self, lane: object) -> None:
        assert isinstance(lane, Lane)
        self._enter(lane)

    def _stop(self, token: object) -> None:
        found = self._running.get(str(token))
        if found is not None:
            found[0].cancel()

    async def _look_regularly(self) -> None:
        outage = Outage("the queue's backlog is not known")
        while True:
            try:
                backlog = dict(await self._deps.source.backlog())
                outage.over()
            except SpringtideError as error:
                outage.failed(reason_of(error))
            else:
                self._deps.observer.saw(backlog)
                for lane, count in backlog.items():
                    state = self._state(lane)
                    state.seen_at = self._deps.clock.now()
                    if count > state.running + self._waiting(state):
                        self._enter(lane)
                await self._forget_idle(backlog)
            await asyncio.sleep(LOOK_S)

    async def _forget_idle(self, backlog: dict[Lane, int]) -> None:
        now = self._deps.clock.now()
        idle = [
            lane
            for lane, state in self._lanes.items()
            if lane not in backlog and not state.running and now - state.seen_at >= self._deps.idle_lane_s
        ]
        for lane in idle:
            del self._lanes[lane]
            self._share.leave(lane)
            with contextlib.suppress(SpringtideError):
                await self._deps.source.forget(lane)

    # Whose turn it is.

    async def _give_turns(self) -> None:
        async with asyncio.TaskGroup() as taking:
            while True:
                await self._turn.wait()
                self._turn.clear()
                for lane, count in self._turns().items():
                    taking.create_task(self._take(lane, count))

    def _turns(self) -> Counter[Lane]:
        turns: Counter[Lane] = Counter()
        while not self._stopping and self._reserved.total() < self._deps.max_running:
            lane = self._share.next(self._has_room)
            if lane is None:
                break
            turns[lane] += 1
            self._reserved[lane.function] += 1
            if turns[lane] >= MAX_TAKEN:
                self._share.leave(lane)  # until it is known what came of those
        return turns

    def _has_room(self, function: FunctionRef) -> bool:
        return self._reserved[function] < self._deps.capacity.room(function)

    async def _take(self, lane: Lane, count: int) -> None:
        state = self._state(lane)
        rings, leases = state.rings, []
        try:
            leases = list(await self._deps.source.take(lane, count, 0.0))
        except SpringtideError as error:
            _log.warning("jobs could not be taken", queue=lane.queue, function=str(lane.function), reason=str(error))
            asyncio.get_running_loop().call_later(AGAIN_S, self._enter, lane)
        self._release(lane.function, count - len(leases))
        for lease in leases:
            self._start(lane, state, lease)
        if len(leases) == count:
            self._enter(lane)
        elif state.rings == rings:
            self._share.leave(lane)
        self._turn.set()

    def _start(self, lane: Lane, state: _LaneState, lease: Lease) -> None:
        known = self._deps.capacity.of(lane.function)
        rules = self._deps.rules.of(known.annotations) if known is not None else self._deps.rules
        execution = self._deps.execution(lease, rules)
        state.running += 1
        task = asyncio.create_task(self._run(lane, state, lease, execution))
        self._running[lease.job.token] = (execution, task)

    async def _run(self, lane: Lane, state: _LaneState, lease: Lease, execution: Execution) -> None:
        clock, observer = self._deps.clock, self._deps.observer
        began = clock.now()
        observer.began(lease)
        try:
            await execution.run()
        except SpringtideError as error:
            _log.warning("a job is not settled; it comes again", job=lease.id, reason=reason_of(error))
        finally:
            seconds = clock.now() - began
            state.running -= 1
            state.seen_at = clock.now()
            self._running.pop(lease.job.token, None)
            self._release(lane.function, 1)
            self._share.took(lane.function, seconds)
            if execution.ended is JobState.RETRYING:
                self._wait_for_retry(lane, state, execution.retry_in_s)
            observer.ended(lease, execution.ended, seconds)
            self._turn.set()

    def _wait_for_retry(self, lane: Lane, state: _LaneState, seconds: float) -> None:
        at = self._deps.clock.now() + seconds
        state.retries[at] += 1
        asyncio.get_running_loop().call_later(seconds, self._retry, lane, state, at)

    def _retry(self, lane: Lane, state: _LaneState, at: float) -> None:
        state.retries[at] -= 1
        if not state.retries[at]:
            del state.retries[at]
        self._enter(lane)

    @staticmethod
    def _waiting(state: _LaneState) -> int:
        return state.retries.total()

    def _enter(self, lane: Lane) -> None:
        state = self._state(lane)
        state.rings += 1
        state.seen_at = self._deps.clock.now()
        self._share.enter(lane)
        self._turn.set()

    def _release(self, function: FunctionRef, count: int) -> None:
        self._reserved[function] -= count
        if self._reserved[function] <= 0:
            del self._reserved[function]

    def _state(self, lane: Lane) -> _LaneState:
        state = self._lanes.get(lane)
        if state is None:
            state = self._lanes[lane] = _LaneState(seen_at=self._deps.clock.now())
        return state


async def repeated(doing: Callable[[], Awaitable[object]], outage: Outage) -> None:
    """Again and again; with a pause after an error of the broker's."""
    while True:
        try:
            await doing()
            outage.over()
        except SpringtideError as error:
            outage.failed(reason_of(error))
            await asyncio.sleep(AGAIN_S)
