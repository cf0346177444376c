"""Callers held until their function can take them: who is let in when, who is sent away, and why."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from springtide.gateway.coldstart.queue import QueueBounds, WaitingQueue
from springtide.gateway.coldstart.timing import WaitTiming
from springtide.runtime.durations import parse_duration_s
from springtide.scaler.core import catalogue

if TYPE_CHECKING:
    from springtide.gateway.call import Call
    from springtide.gateway.data_plane import DataPlane
    from springtide.gateway.route import Route

_BUSY = "all replicas of {} are busy"


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """How long a call waits: while its function wakes, after its replica went away, once a problem is known."""

    hold_s: float
    reroute_s: float
    problem_s: float


class Admission:
    """Holds calls that found no replica with room; told by the table and by every call that ends."""

    def __init__(self, plane: DataPlane, bounds: QueueBounds, patience: WaitLimits) -> None:
        self._plane = plane
        self._room: WaitingQueue[Route, Call] = WaitingQueue(bounds)
        self._patience = patience
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_at = 0.0
        self._retries: dict[Route, asyncio.TimerHandle] = {}
        self._problems: dict[Route, asyncio.TimerHandle] = {}

    def __repr__(self) -> str:
        return f"<Admission {self._room!r}>"

    def __len__(self) -> int:
        return len(self._room)

    @property
    def kept_bytes(self) -> int:
        """Bytes of held callers' requests."""
        return self._room.kept_bytes

    # From a call.

    def hold(self, call: Call) -> None:
        """Admission a call, wake its function if it sleeps; or refuse it at once when too many are held.

        Refused for want of a replica is 503. At running replicas that have all they may be given it is 429: more of
        them, or fewer calls at a time, would help.
        """
        route, now = call.route, self._plane.now()
        if route.removed:
            call.refuse(404, f"there is no function {route.label}", "unknown_function")
            return
        deadline = now + self._patience_s(call)
        if not self._room.enter(route, call, deadline=deadline, size=call.kept_bytes):
            if route.at_capacity:
                call.refuse(429, f"{_BUSY.format(route.label)}, and too many callers wait", catalogue.AT_CAPACITY)
            else:
                call.refuse(503, f"too many callers wait for {route.label}", catalogue.OVERLOADED)
            return
        route.metrics.held += 1
        if call.record is not None:
            call.record.held(now)
        wait = call.wait = call.wait or WaitTiming(route, now, call.record)
        wait.cold = wait.cold or not route.ready
        self._set_deadline()
        self._ensure_replica(route)

    def grow(self, call: Call, size: int) -> bool:
        """More of a call's body is kept; False when no more of it should be read while it waits."""
        return call not in self._room or self._room.grow(call, size)

    def leave(self, call: Call) -> None:
        """The call is over, for whatever reason."""
        if self._room.leave(call):
            call.route.metrics.held -= 1

    def pump(self, route: Route) -> None:
        """Let in as many as there is room for, first come first served."""
        now = self._plane.now()
        while self._room.waiting(route):
            replica = route.pick(now)
            if replica is None:
                break
            call = self._room.release(route)
            assert call is not None
            route.metrics.held -= 1
            assert call.wait is not None
            call.wait.release(now)
            call.assign(replica)
        self._ensure_replica(route)

    # From the table and the waker.

    def changed(self, route: Route) -> None:
        if not route.metrics.held:
            return
        self.pump(route)
        if route.problem and route not in self._problems:
            self._problems[route] = self._plane.loop.call_later(self._patience.problem_s, self._problem_stays, route)

    def removed(self, route: Route) -> None:
        self._refuse_all(route, 404, f"the function {route.label} was deleted", "unknown_function")

    def woken(self, route: Route) -> None:
        self._ensure_replica(route)

    def wake_failed(self, route: Route, status: int, why: str) -> None:
        self._refuse_all(route, status, why, catalogue.WAKE_FAILED)

    def refuse_all_waiting(self) -> None:
        """The gateway ends: who called may call again, and find the next one."""
        for route in self._room.awaited():
            why = f"no replica of {route.label} took the call before the gateway had to stop"
            self._refuse_all(route, 503, why, catalogue.HOLD_TIMEOUT)

    def close(self) -> None:
        for timer in (*self._retries.values(), *self._problems.values()):
            timer.cancel()
        if self._deadline is not None:
            self._deadline.cancel()

    # Inside.

    def _patience_s(self, call: Call) -> float:
        route = call.route
        seconds = self._patience.reroute_s if call.why and route.ready else self._patience.hold_s
        if route.problem:
            seconds = min(seconds, self._patience.problem_s)
        if call.hold_limit:
            # What cannot be read is not ours to refuse: the function may read the header in its own way.
            with contextlib.suppress(ValueError):
                seconds = min(seconds, parse_duration_s(call.hold_limit.decode("latin-1")))
        return seconds

    def _ensure_replica(self, route: Route) -> None:
        """Those who still wait need a replica to come, or one that was away to be tried again."""
        if not route.metrics.held:
            return
        if route.desired == 0:
            self._plane.waker.wake(route)
            return
        chance = route.next_retry()
        if chance is not None or not route.ready:
            self._plane.readiness.expect(route.ref, route.desired, route.waited_for)
        if chance is not None and route not in self._retries:
            delay_s = max(0.001, chance - self._plane.now())
            self._retries[route] = self._plane.loop.call_later(delay_s, self._try_again, route)

    def _try_again(self, route: Route) -> None:
        del self._retries[route]
        self.pump(route)

    def _problem_stays(self, route: Route) -> None:
        del self._problems[route]
        if route.problem and not route.ready:
            self._refuse_all(route, 503, f"{route.label} does not start: {route.problem}", catalogue.WAKE_FAILED)

    def _refuse_all(self, route: Route, status: int, why: str, reason: str) -> None:
        # All are counted out before the first is answered: its end lets in others, and they must not count it as held.
        evicted = self._room.evict(route)
        route.metrics.held -= len(evicted)
        for call in evicted:
            call.refuse(status, why, reason)

    def _set_deadline(self) -> None:
        """One timer, for the earliest deadline of all who wait."""
        due = self._room.next_deadline()
        if due is None:
            return
        if self._deadline is not None:
            if self._deadline_at <= due:
                return
            self._deadline.cancel()
        self._deadline_at = due
        self._deadline = self._plane.loop.call_later(max(0.0, due - self._plane.now()), self._expire)

    def _expire(self) -> None:
        self._deadline = None
        expired = self._room.expire(self._plane.now())
        for call in expired:
            call.route.metrics.held -= 1
        for call in expired:
            route = call.route
            if call.why:
                call.refuse(502, f"{route.label} could not be reached: {call.why}", "upstream_failed")
            elif route.at_capacity:
                call.refuse(429, f"{_BUSY.format(route.label)} and none took the call in time", catalogue.AT_CAPACITY)
            else:
                known = route.problem or route.delay
                why = f": {known}" if known else ""
                call.refuse(503, f"no replica of {route.label} took the call in time{why}", catalogue.HOLD_TIMEOUT)
        self._set_deadline()
