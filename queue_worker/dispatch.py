"""Which job goes out when: as soon as its function has room, in fair turns, and never more than this worker runs.

It goes by what it knows: rings of the gateways, a look at the backlog now and then, the provider's replicas. Nothing is
learned from being refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

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

RESERVED = 10
"""One part in so many of what a worker runs at once is kept for functions that run less than that: whoever has a long
backlog of long jobs does not leave others without a place until the first of them ends."""

MAX_OPENED = 16
"""Functions at once from which this worker takes for the first time, or for the first time in a while. The broker makes
something for each, which takes its time: places that are kept meanwhile are not kept from functions that it knows."""

_Heard = TypeVar("_Heard")

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
    room: Callable[[FunctionRef], int]
    """Jobs of a function that this worker may have at once."""
    clock: Clock
    observer: Observer
    execution: Callable[[Lease, RetryRules], Execution]
    rules: RetryRules
    max_running: int
    idle_lane_s: float


@dataclass(slots=True)
class _LaneState:
    """``rings`` counts what may have come. ``batch``: as many as are asked for at once, twice as many after each time
    that all of them were there, so that places are not kept for jobs that are not."""

    rings: int = 0
    running: int = 0
    taking: bool = False
    batch: int = 1
    retries: int = 0
    """Jobs that were handed back and whose time has not come."""
    seen_at: float = 0.0


class Dispatch:
    """``run`` goes on until it is cancelled; ``drain`` before that lets what runs end."""

    def __init__(self, deps: DispatchDeps) -> None:
        self._deps = deps
        self._share = FairShare()
        self._lanes: dict[Lane, _LaneState] = {}
        self._running: dict[str, tuple[Execution, asyncio.Task[None]]] = {}
        """By the jobs' tokens."""
        self._called: set[Execution] = set()
        """Those that take room of their function."""
        self._reserved: Counter[FunctionRef] = Counter()
        """Jobs that are called or being taken: those whose outcome is being stored take no room of their function."""
        self._reserved_total = 0
        """Of this worker's places; those whose outcome is being stored have one."""
        self._over_share: set[FunctionRef] = set()
        """Those that have room and were passed by for the sake of others."""
        self._open: set[FunctionRef] = set()
        """Those from which something was taken, or could have been."""
        self._opening: set[FunctionRef] = set()
        self._unopened: dict[FunctionRef, None] = {}
        """Those that have room and were passed by while others were opened, in turn."""
        self._taking = Outage("jobs are not taken")
        self._turn = asyncio.Event()
        self._stopping = False

    def __repr__(self) -> str:
        return f"<Dispatch {len(self._running)} running, {self._share!r}>"

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def reserved(self) -> Mapping[FunctionRef, int]:
        """Jobs that run or are being taken, by function."""
        return self._reserved

    def look(self, function: FunctionRef | None = None) -> None:
        """It may have more room now, or any may."""
        if function is None:
            self._share.wake_all()
        else:
            self._share.wake(function)
        self._turn.set()

    def cancel(self, token: str) -> None:
        """End a job for good, if it runs here."""
        if (found := self._running.get(token)) is not None:
            found[0].cancel()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._give_turns())
            group.create_task(self._hear(self._deps.source.rings, self._enter, "rings of the gateways"))
            group.create_task(self._hear(self._deps.source.stops, self.cancel, "cancelled jobs"))
            group.create_task(self._look_regularly())

    async def drain(self, grace_s: float) -> None:
        """Take nothing more; jobs that still run after ``grace_s`` are handed back."""
        self._stopping = True
        if self._running:
            calls = {str(function): count for function, count in self._reserved.items()}
            _log.info("stopping; calls under way may finish", calls=calls, at_most_s=grace_s)
        if tasks := [task for _, task in self._running.values()]:
            await asyncio.wait(tasks, timeout=grace_s)
        left = [task for _, task in self._running.values()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # What is heard.

    async def _hear(
        self, stream: Callable[[], AsyncIterator[_Heard]], heard: Callable[[_Heard], None], what: str
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

    async def _look_regularly(self) -> None:
        outage = Outage("the queue's backlog is not known")
        while True:
            try:
                backlog = dict(await self._deps.source.backlog())
                outage.over()
            except SpringtideError as error:
                outage.failed(reason_of(error))
            else:
                self._saw(backlog)
            await asyncio.sleep(LOOK_S)

    def _saw(self, backlog: dict[Lane, int]) -> None:
        self._deps.observer.saw(backlog)
        for lane, count in backlog.items():
            state = self._state(lane)
            state.seen_at = self._deps.clock.now()
            if (waiting := count - state.running - state.retries) > 0:
                state.batch = max(state.batch, min(waiting, MAX_TAKEN))
                self._enter(lane)
        self._forget_idle(backlog)
        self.look()

    def _forget_idle(self, backlog: dict[Lane, int]) -> None:
        longest = self._deps.clock.now() - self._deps.idle_lane_s
        idle = [
            lane
            for lane, state in self._lanes.items()
            if lane not in backlog and not (state.running or state.taking) and state.seen_at <= longest
        ]
        for lane in idle:
            del self._lanes[lane]
            self._share.leave(lane)
            self._deps.source.forget(lane)
        for function in {lane.function for lane in idle} - {lane.function for lane in self._lanes}:
            self._share.forget(function)
            self._open.discard(function)

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
        while not self._stopping and self._reserved_total < self._deps.max_running:
            lane = self._share.next(self._has_room)
            if lane is None:
                break
            turns[lane] += 1
            if lane.function not in self._open:
                self._opening.add(lane.function)
            self._reserved[lane.function] += 1
            self._reserved_total += 1
            if turns[lane] >= self._state(lane).batch:
                self._share.leave(lane)
        for lane in turns:
            self._share.leave(lane)  # until it is known what came of those
            self._state(lane).taking = True
        return turns

    def _has_room(self, function: FunctionRef) -> bool:
        if self._reserved[function] >= self._deps.room(function):
            return False
        opens = function not in self._open and function not in self._opening
        if opens and len(self._opening) >= MAX_OPENED:
            self._unopened[function] = None
            return False
        reserve = self._deps.max_running // RESERVED
        if self._reserved_total < self._deps.max_running - reserve or self._reserved[function] < reserve:
            return True
        self._over_share.add(function)
        return False

    async def _take(self, lane: Lane, count: int) -> None:
        state = self._state(lane)
        rings = state.rings
        try:
            leases = await self._deps.source.take(lane, count, 0.0)
        except SpringtideError as error:
            self._taking.failed(reason_of(error))
            leases = []
            asyncio.get_running_loop().call_later(AGAIN_S, self._enter, lane)
        else:
            self._taking.over()
            self._open.add(lane.function)
        finally:
            state.taking = False
            self._opened(lane.function)
        empty = count - len(leases)
        if empty:
            self._share.was_empty(lane, empty)
            self._release(lane.function, empty)
        for lease in leases:
            await self._accept(lane, state, lease)
        state.batch = 1 if empty else min(2 * state.batch, MAX_TAKEN)
        if not empty or state.rings != rings:
            self._enter(lane)
        self._turn.set()

    def _opened(self, function: FunctionRef) -> None:
        """Or tried in vain: it is another one's turn."""
        if function not in self._opening:
            return
        self._opening.discard(function)
        if self._unopened:
            following = next(iter(self._unopened))
            del self._unopened[following]
            self._share.wake(following)

    async def _accept(self, lane: Lane, state: _LaneState, lease: Lease) -> None:
        """Begin it, unless it is to go back: this worker stops, or it runs here and had been lost sight of."""
        running = self._running.get(lease.job.token)
        if running is not None and running[0].renew(lease):
            self._release(lane.function, 1)
        elif self._stopping:
            self._release(lane.function, 1)
            with contextlib.suppress(SpringtideError):
                await lease.hand_back(0.0)
        else:
            self._start(lane, state, lease)

    def _start(self, lane: Lane, state: _LaneState, lease: Lease) -> None:
        known = self._deps.capacity.of(lane.function)
        rules = self._deps.rules.of(known.annotations) if known is not None else self._deps.rules
        execution = self._deps.execution(lease, rules)
        execution.answered = functools.partial(self._answered, execution, lane.function)
        self._called.add(execution)
        state.running += 1
        task = asyncio.create_task(self._run(lane, state, lease, execution))
        self._running[lease.job.token] = execution, task
        task.add_done_callback(_log_fault)

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
            if self._running[lease.job.token][0] is execution:
                del self._running[lease.job.token]
            self._answered(execution, lane.function)
            self._give_place(1)
            self._share.took(lane.function, seconds)
            if execution.ended is JobState.RETRYING:
                self._wait_for_retry(lane, state, execution.retry_in_s)
            observer.ended(lease, execution.ended, seconds)
            self._turn.set()

    def _answered(self, execution: Execution, function: FunctionRef) -> None:
        """The next one need not wait until this one is settled."""
        if execution in self._called:
            self._called.discard(execution)
            self._give_room(function, 1)
            self._turn.set()

    def _wait_for_retry(self, lane: Lane, state: _LaneState, seconds: float) -> None:
        state.retries += 1
        asyncio.get_running_loop().call_later(seconds, self._retry, lane, state)

    def _retry(self, lane: Lane, state: _LaneState) -> None:
        state.retries -= 1
        self._enter(lane)

    def _enter(self, lane: Lane) -> None:
        state = self._state(lane)
        state.rings += 1
        state.seen_at = self._deps.clock.now()
        if not state.taking:
            self._share.enter(lane)
            self._turn.set()

    def _release(self, function: FunctionRef, count: int) -> None:
        self._give_room(function, count)
        self._give_place(count)

    def _give_room(self, function: FunctionRef, count: int) -> None:
        """Of the function."""
        self._reserved[function] -= count
        if not self._reserved[function]:
            del self._reserved[function]
        self._share.wake(function)

    def _give_place(self, count: int) -> None:
        """Of this worker."""
        self._reserved_total -= count
        for other in self._over_share:
            self._share.wake(other)
        self._over_share.clear()

    def _state(self, lane: Lane) -> _LaneState:
        state = self._lanes.get(lane)
        if state is None:
            state = self._lanes[lane] = _LaneState(seen_at=self._deps.clock.now())
        return state


def _log_fault(task: asyncio.Task[None]) -> None:
    """One of ours, that a job has brought to light. It comes again when its lease ends, and is given up in the end."""
    if not task.cancelled() and (fault := task.exception()) is not None:
        _log.error("a job could not be run for a fault of the queue worker's own; it comes again", exc_info=fault)


async def repeated(doing: Callable[[], Awaitable[object]], outage: Outage) -> None:
    """Again and again; with a pause after an error of the broker's."""
    while True:
        try:
            await doing()
            outage.over()
        except SpringtideError as error:
            outage.failed(reason_of(error))
            await asyncio.sleep(AGAIN_S)
