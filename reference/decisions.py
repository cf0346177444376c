"""Decisions as they are told, made by the rules themselves for a function under made-up circumstances."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from springtide.scaler.core import idle, prewarm, steps
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.idle import Activity, IdleHistory, IdleLimits
from springtide.scaler.core.policy import FACTOR, MAX, MIN, ZERO, ScalePolicy
from springtide.scaler.core.prewarm import CallSource, ExpectedCall, Lead, Upcoming, WakeHistory
from springtide.scaler.core.steps import AlertEvent, AlertId, AlertStatus, Load, StepContext, StepHistory
from springtide.scaler.core.vocabulary import (
    Decision,
    Function,
    FunctionRef,
    Instant,
    NoData,
    Reason,
    Sample,
    Scale,
    Writer,
)
from springtide.scaler.sim.adapter import Springtide

NOW = Instant(1_767_225_600.0)
YESTERDAY = Instant(NOW - 86_400)
NOTHING_BEFORE = StepHistory()
REF = FunctionRef("openfaas-fn", "hello")
ALERT, OTHER = AlertId("a", "2026-01-01T00:00:00Z"), AlertId("b", "2026-01-01T00:00:00Z")


def examples() -> list[Decision]:
    """One for each writer and reason that occurs, in the order in which they are met."""
    met = (*_of_alerts(), *_of_the_loop(), *_of_the_idler(), *_of_schedules())
    found: dict[tuple[Writer, Reason], Decision] = {}
    for decision in met:
        found.setdefault((decision.writer, decision.reason), decision)
    return list(found.values())


def _of_alerts() -> Iterator[Decision]:
    firing = AlertEvent(REF, AlertStatus.FIRING, ALERT, "APIHighInvocationRate", Load(12.4, "calls/s", 5, NOW))
    resolved = AlertEvent(REF, AlertStatus.RESOLVED, ALERT, "APIHighInvocationRate")
    plain = _context({}, 4)

    def told(context: StepContext, event: AlertEvent, history: StepHistory = NOTHING_BEFORE) -> Decision:
        return steps.on_alert(context, history, event, NOW)[0]

    yield told(plain, firing)
    yield told(plain, firing, StepHistory(last_step_up=Instant(NOW - 2)))
    yield told(_context({}, 20), firing)
    yield told(plain, resolved)
    yield told(_context({}, 1), resolved)
    yield told(plain, resolved, StepHistory(last_step_down=Instant(NOW - 1)))
    yield told(plain, resolved, StepHistory(firing={OTHER: NOW}))
    yield told(_context({}, 0), firing)
    yield told(_context({FACTOR: "0"}, 4), firing)
    yield told(_context({MIN: "4", MAX: "4"}, 4), firing)
    yield told(replace(plain, owner=Writer.SCALER), firing)
    yield told(_context({MAX: "many"}, 4), firing)


def _context(labels: Mapping[str, str], replicas: int) -> StepContext:
    policy, problems = ScalePolicy.from_labels(labels)
    return StepContext(REF, policy, problems, Scale(replicas, replicas, "1"), default_interval_s=5.0)


def _of_the_loop() -> Iterator[Decision]:
    """Calls of 0.2 s each: few, then many, then more than its maximum carries, then few."""
    rates = [*[4.0] * 60, *[60.0] * 60, *[400.0] * 60, *[4.0] * 400]
    decider = Springtide({"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": "2", MAX: "20"})
    wanted = ready = 1
    started = 0.0
    for second, rate in enumerate(rates):
        under_way = rate * 0.2
        started += rate
        sample = LoadSample(Instant(NOW + second), started, math.floor(started - under_way), under_way, 0.0)
        ready, wanted = wanted, decider.wanted(sample, wanted=wanted, ready=ready, now=NOW + second)
        assert decider.decision is not None
        yield decider.decision


def _of_the_idler() -> Iterator[Decision]:
    silent = Activity(Sample(0, NOW), Sample(NOW - 1_000, NOW))
    long_seen = IdleHistory(measured_since=Instant(NOW - 3_600))

    def told(
        activity: Activity = silent,
        *,
        labels: Mapping[str, str] | None = None,
        replicas: int = 1,
        created_at: Instant | None = YESTERDAY,
        history: IdleHistory = long_seen,
    ) -> Decision:
        labels = {ZERO: "true"} if labels is None else labels
        policy, problems = ScalePolicy.from_labels(labels)
        function = Function(REF, Scale(replicas, replicas, "1"), labels, created_at=created_at)
        return idle.decide(function, policy, problems, activity, history, IdleLimits(), NOW)[0]

    yield told()
    yield told(labels={})
    yield told(labels={ZERO: "perhaps"})
    yield told(replicas=0)
    yield told(created_at=None)
    yield told(Activity(NoData("Prometheus does not answer"), silent.last_active))
    yield told(Activity(Sample(0, Instant(NOW - 90)), Sample(NOW - 1_000, Instant(NOW - 90))))
    yield told(Activity(Sample(3, NOW), silent.last_active))
    yield told(history=IdleHistory(measured_since=Instant(NOW - 20)))
    yield told(created_at=Instant(NOW - 300))
    yield told(Activity(Sample(0, NOW), Sample(NOW - 40, NOW)))


def _of_schedules() -> Iterator[Decision]:
    labels = {ZERO: "true"}
    for source in (CallSource.SCHEDULE, CallSource.JOB):
        upcoming = Upcoming(ExpectedCall(Instant(NOW + 3), source), Lead.of(3.1))
        for asked, history in (
            (labels, WakeHistory()),
            (labels, WakeHistory(woken_for=upcoming.call.at)),
            ({}, WakeHistory()),
        ):
            policy, problems = ScalePolicy.from_labels(asked)
            function = Function(REF, Scale(0, 0, "1"), asked, longest_start_s=3.1)
            decision = prewarm.decide(function, policy, problems, upcoming, history, NOW)
            if decision is not None:
                yield decision
