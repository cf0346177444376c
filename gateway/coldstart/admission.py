"""Which calls wait for a replica and for how long, when each is let in, and who is refused.

Told by the route table, by the waker and by every call that ends. It decides nothing about replicas: it asks for a wake
and for what the provider knows, and gives a call to a replica that has room.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from springtide.gateway.backend_replica import BackendReplica
from springtide.gateway.call_record import CallRecord
from springtide.gateway.coldstart import refusals
from springtide.gateway.coldstart.queue import QueueBounds, WaitingQueue
from springtide.gateway.coldstart.refusals import Refusal
from springtide.gateway.coldstart.timing import WaitTiming
from springtide.gateway.endpoint_source import Readiness
from springtide.gateway.route import Route
from springtide.gateway.time_limit import TimeLimit
from springtide.runtime.durations import parse_duration_s
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Clock

PROBLEM_GRACE = "problem_grace"

LOOK_S = 0.01
"""Between two looks whether another worker has left room at a replica; ``LOOK_COST_S`` more for each function for
which calls wait, so that looking never takes much of a processor."""
LOOK_COST_S = 0.001


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """How long a call waits: while its function wakes, after its replica went away, once a problem is known."""

    hold_s: float
    reroute_s: float
    problem_s: float

    def limit(self, *, rerouted: bool, problem: bool, requested: bytes) -> TimeLimit:
        """For one call: ``rerouted`` has lost a replica while others run; ``requested`` is its own X-Timeout."""
        limits = [TimeLimit("reroute_timeout", self.reroute_s) if rerouted else TimeLimit("hold_timeout", self.hold_s)]
        if problem:
            limits.append(TimeLimit(PROBLEM_GRACE, self.problem_s))
        if requested:
            # What cannot be read is not ours to refuse: the function may read the header in its own way.
            with contextlib.suppress(ValueError):
                seconds = parse_duration_s(requested.decode("latin-1"))
                if seconds:  # 0 asks for no limit, as it does of a watchdog
                    limits.append(TimeLimit("X-Timeout", seconds, "the request"))
        return min(limits, key=lambda limit: limit.seconds)


class WaitingCall(Hashable, Protocol):
    """A call as the queue needs it."""

    route: Route
    record: CallRecord | None
    timing: WaitTiming | None
    wait_limit: TimeLimit | None
    """What ends its wait."""
    requested_timeout: bytes
    last_loss: str
    """Why the last replica could not be used; empty when none was tried."""

    @property
    def kept_bytes(self) -> int:
        """Bytes of its request that are kept meanwhile."""

    def assign(self, replica: BackendReplica) -> None:
        """A replica has room for it."""

    def refuse(self, status: int, text: str, reason: str, retry_after_s: int = 1) -> None:
        """No replica will take it."""


class Wakes(Protocol):
    def wake(self, route: Route) -> None:
        """Begin to wake a function, unless that is under way."""


class Admission:
    """Holds calls that found no replica with room, in the order in which they came."""

    def __init__(
        self,
        bounds: QueueBounds,
        limits: WaitLimits,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        wakes: Wakes,
        readiness: Readiness,
    ) -> None:
        self._queue: WaitingQueue[Route, WaitingCall] = WaitingQueue(bounds)
        self._limits = limits
        self._loop = loop
        self._clock = clock
        self._wakes = wakes
        self._readiness = readiness
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_at = 0.0
        self._retries: dict[Route, asyncio.TimerHandle] = {}
        self._problems: dict[Route, asyncio.TimerHandle] = {}

    def __repr__(self) -> str:
        return f"<Admission {self._queue!r}>"

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def kept_bytes(self) -> int:
        """Bytes of waiting calls' requests."""
        return self._queue.kept_bytes

    # From a call.

    def hold(self, call: WaitingCall) -> None:
        """Put a call in the queue and wake its function if it sleeps; or refuse it at once when too many wait."""
        route, now = call.route, self._clock.now()
        if route.removed:
            call.refuse(*refusals.no_such_function(route.label))
            return
        if route.hopeless or self._known_broken(route, now):
            call.refuse(*self._broken(route))
            return
        limit = call.wait_limit = self._limits.limit(
            rerouted=bool(call.last_loss and route.ready),
            problem=bool(route.problem),
            requested=call.requested_timeout,
        )
        if not self._queue.enter(route, call, deadline=now + limit.seconds, size=call.kept_bytes):
            call.refuse(*refusals.queue_full(route.label, at_capacity=route.at_capacity))
            return
        route.metrics.held += 1
        if call.record is not None:
            call.record.held(now)
        timing = call.timing = call.timing or WaitTiming(route, now, call.record)
        timing.cold = timing.cold or not route.ready
        self._set_deadline()
        self._expect_replica(route)

    def grow(self, call: WaitingCall, size: int) -> bool:
        """More of a call's body is kept; False when no more of it should be read while it waits."""
        return call not in self._queue or self._queue.grow(call, size)

    def leave(self, call: WaitingCall) -> None:
        """The call is over, for whatever reason."""
        if self._queue.leave(call):
            _count_out(call.route)

    def release(self, route: Route) -> None:
        """Let in as many as there is room for, first come first served."""
        now = self._clock.now()
        while self._queue.waiting(route):
            replica = route.pick(now)
            if replica is None:
                break
            call = self._queue.release(route)
            assert call is not None
            _count_out(route)
            assert call.timing is not None
            call.timing.release(now)
            call.assign(replica)
        self._expect_replica(route)

    # From the route table and the waker.

    def changed(self, route: Route) -> None:
        if not route.metrics.held:
            return
        self.release(route)
        if route.hopeless:
            self._refuse_all(route, self._broken(route))
        elif route.problem and route not in self._problems:
            self._problems[route] = self._loop.call_later(self._limits.problem_s, self._problem_stays, route)

    def removed(self, route: Route) -> None:
        self._refuse_all(route, refusals.function_deleted(route.label))

    def woken(self, route: Route) -> None:
        self._expect_replica(route)

    def wake_failed(self, route: Route, status: int, why: str) -> None:
        self._refuse_all(route, Refusal(status, why, catalogue.WAKE_FAILED))

    # From the gateway that stops.

    def refuse_all(self) -> None:
        for route in self._queue.awaited():
            self._refuse_all(route, refusals.gateway_stops(route.label))

    def close(self) -> None:
        for timer in (*self._retries.values(), *self._problems.values()):
            timer.cancel()
        if self._deadline is not None:
            self._deadline.cancel()

    # Inside.

    def _expect_replica(self, route: Route) -> None:
        """Calls still wait: a replica must come, or one that could not be reached must be tried again."""
        if not route.metrics.held:
            return
        route.want(on=True)
        if route.desired == 0:
            self._wakes.wake(route)
            return
        retry_at = route.next_retry()
        if retry_at is not None or not route.ready:
            self._readiness.expect(route.ref, route.desired, route.waited_for)
        delays_s = [] if retry_at is None else [max(0.001, retry_at - self._clock.now())]
        if route.shared:
            delays_s.append(LOOK_S + LOOK_COST_S * len(self._retries))
        if delays_s and route not in self._retries:
            self._retries[route] = self._loop.call_later(min(delays_s), self._try_again, route)

    def _try_again(self, route: Route) -> None:
        del self._retries[route]
        self.release(route)

    def _problem_stays(self, route: Route) -> None:
        del self._problems[route]
        if route.problem and not route.ready:
            self._refuse_all(route, self._broken(route))

    def _known_broken(self, route: Route, now: float) -> bool:
        """Whether others have waited for a replica since its problem is known: who comes now need not wait, too.

        One that sleeps is woken all the same: its next start is the first since.
        """
        since = route.problem_since
        return since is not None and not route.ready and route.desired > 0 and now - since >= self._limits.problem_s

    def _broken(self, route: Route) -> Refusal:
        next_start_s = route.next_start - self._clock.wall() if route.next_start else self._limits.problem_s
        return refusals.does_not_start(route.label, route.problem or "", next_start_s=next_start_s)

    def _refuse_all(self, route: Route, refusal: Refusal) -> None:
        # All are counted out before the first is answered: its end lets in others, and they must not count it as held.
        evicted = self._queue.evict(route)
        _count_out(route, len(evicted))
        for call in evicted:
            call.refuse(*refusal)

    def _set_deadline(self) -> None:
        """One timer, for the earliest deadline of all that wait."""
        due = self._queue.next_deadline()
        if due is None:
            return
        if self._deadline is not None:
            if self._deadline_at <= due:
                return
            self._deadline.cancel()
        self._deadline_at = due
        self._deadline = self._loop.call_later(max(0.0, due - self._clock.now()), self._expire)

    def _expire(self) -> None:
        self._deadline = None
        expired = self._queue.expire(self._clock.now())
        for call in expired:
            _count_out(call.route)
        for call in expired:
            route, limit = call.route, call.wait_limit
            assert limit is not None
            if limit.name == PROBLEM_GRACE and route.problem and not route.ready:
                call.refuse(*self._broken(route))
                continue
            call.refuse(
                *refusals.waited_too_long(
                    route.label,
                    limit=limit,
                    last_loss=call.last_loss,
                    at_capacity=route.at_capacity,
                    problem=route.problem or route.wake_obstacle or route.delay,
                )
            )
        self._set_deadline()


def _count_out(route: Route, calls: int = 1) -> None:
    route.metrics.held -= calls
    if not route.metrics.held:
        route.want(on=False)
