"""Waking a sleeping function: one compare-and-set write per function, however many callers wait for it."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import dataclass
from typing import Protocol

import structlog

from springtide.gateway.route import Route
from springtide.gateway.time_limit import TimeLimit
from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import Conflict, NotFound, SpringtideError, Unavailable
from springtide.scaler.core import explain
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.core.ports import Clock, Recorder, ScaleTarget
from springtide.scaler.core.vocabulary import Decision, Instant, Reason, Scale, Writer
from springtide.scaler.scale_writer import ScaleWriter
from springtide.wire.provider_client import Unreachable

RETRY = Backoff(min_s=0.05, max_s=0.5)
"""Between attempts while the provider is away."""

MAX_CONFLICTS = 5

log = structlog.get_logger(__name__)


class WakeListener(Protocol):
    """Who is told how a wake went."""

    def woken(self, route: Route) -> None: ...

    def wake_failed(self, route: Route, status: int, why: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a wake is decided on."""

    policy: ScalePolicy
    desired: int
    version: str
    learned: int | None


class FunctionWaker:
    """Runs at most one wake per function at a time. Replicas then come by the provider's push, not through here."""

    def __init__(self, target: ScaleTarget, *, clock: Clock, recorder: Recorder, max_retry_s: float) -> None:
        """``max_retry_s``: how long a wake is tried again that the provider answers with an error."""
        self._max_retry_s = max_retry_s
        self._target = target
        self._clock = clock
        self._writer = ScaleWriter(
            target,
            clock=clock,
            recorder=recorder,
            deadline_s=math.inf,
            log_event="woken",
            retried=(Reason.LOST_RACE, Reason.WRITE_FAILED, Reason.UNKNOWN_FUNCTION),
        )
        self._listener: WakeListener | None = None
        self._tasks: dict[Route, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<FunctionWaker {len(self._tasks)} under way>"

    def listen(self, listener: WakeListener) -> None:
        self._listener = listener

    def wake(self, route: Route) -> None:
        """Begin to wake a function, unless that is under way. Returns at once."""
        if route in self._tasks:
            return
        route.decided_at = self._clock.now()
        self._tasks[route] = asyncio.create_task(self._run(route), name=f"wake {route.label}")

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, route: Route) -> None:
        failure: SpringtideError | None = None
        try:
            await self._wake_with_retries(route)
            route.accepted_at = self._clock.now()
        except SpringtideError as error:
            failure = error
        finally:
            del self._tasks[route]
            route.wake_obstacle = None
        if failure is not None:
            self._fail(route, failure)
        elif self._listener is not None:
            self._listener.woken(route)

    def _fail(self, route: Route, error: SpringtideError) -> None:
        """The callers first: they wait."""
        gone = isinstance(error, NotFound)
        reason = Reason.UNKNOWN_FUNCTION if gone else Reason.WRITE_FAILED
        decision = self._decision(route, 0, 0, reason, str(error))
        tried = f"; tried for {TimeLimit('wake_patience', self._max_retry_s)}" if isinstance(error, Unavailable) else ""
        if self._listener is not None:
            self._listener.wake_failed(route, 404 if gone else 503, f"{route.label} cannot be woken: {error}{tried}")
        self._writer.tell(decision)
        log.warning("a wake failed", function=route.label, why=str(error))

    async def _wake_with_retries(self, route: Route) -> None:
        """A restart of the provider must not fail the calls that wait: it is tried again while there are any.

        A provider that answers, if only that it cannot, may have a reason that stays: it is asked for less long.
        """
        give_up = self._clock.now() + self._max_retry_s
        for failures in itertools.count(1):
            pause_s = RETRY.delay_s(failures)
            try:
                await self._write(route)
            except Unreachable as error:
                route.wake_obstacle = str(error)
                await asyncio.sleep(pause_s)
                if not route.metrics.held:
                    raise
                give_up = self._clock.now() + self._max_retry_s
            except Unavailable:
                if self._clock.now() + pause_s > give_up:
                    raise
                await asyncio.sleep(pause_s)
            else:
                return

    async def _write(self, route: Route) -> None:
        """Write the count a wake asks for; whoever else has done so meanwhile is as good."""
        known = route.version
        # What a poll saw is seconds old. Whoever has scaled the function up since must not be undone.
        seen = _Seen(route.policy, route.desired, known, route.learned_wake) if known else await self._fresh(route)
        for _ in range(MAX_CONFLICTS):
            if seen.desired > 0:
                self._note(route, Scale(seen.desired, 0, seen.version), known)
                return
            after = wake_replicas(seen.policy, seen.learned)
            detail = explain.woken(route.metrics.held, after, fewest=wake_replicas(seen.policy))
            decision = self._decision(route, 0, after, Reason.WAKE, detail)
            write = await self._writer.write(decision, seen.policy, version=seen.version)
            if write.scale is not None:
                self._note(route, write.scale, known)
                return
            if not isinstance(write.error, Conflict):
                raise Unavailable(write.decision.detail) if write.error is None else write.error
            known = route.version
            seen = await self._fresh(route)
        raise Unavailable("its scale changes faster than it can be written")

    async def _fresh(self, route: Route) -> _Seen:
        function = await self._target.read(route.ref)
        policy, scale = ScalePolicy.from_labels(function.labels)[0], function.scale
        return _Seen(policy, scale.desired, scale.version, function.learned_wake)

    def _note(self, route: Route, scale: Scale, known: str) -> None:
        """Remember the new count until the provider pushes it, so that nobody wakes the function once more.

        Not if the provider has pushed something since ``known``: it may be a zero that was asked for after the wake.
        """
        if route.desired == 0 and route.version == known:
            route.desired, route.version = scale.desired, scale.version

    def _decision(self, route: Route, before: int, after: int, reason: Reason, detail: str) -> Decision:
        return Decision(
            ref=route.ref,
            writer=Writer.WAKE,
            before=before,
            after=after,
            reason=reason,
            detail=detail,
            at=Instant(self._clock.wall()),
            inputs={"held": route.metrics.held, **route.policy.limits},
        )
