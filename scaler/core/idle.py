"""The idle rule: when a function may be taken to zero. What is not known is never taken for silence.

A function is idle when, for its whole duration, it existed, was awake and was not called, and nothing is in flight
now, all by measurements that are fresh and were not interrupted just before. One that would soon be woken again, for a
call that is known to come, stays awake. Where its sleep is learned, its own pauses say how long the duration is, and
nothing else. Where memory is short it need not be over. ``now`` and all instants are seconds since the epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from springtide.scaler.core import explain
from springtide.scaler.core.learned_silence import LearnedSilence, Silence
from springtide.scaler.core.policy import DEFAULT_SILENCE_S, ScalePolicy
from springtide.scaler.core.prewarm import Upcoming
from springtide.scaler.core.vocabulary import Decision, Function, Instant, NoData, Reason, Sample, Writer


@dataclass(frozen=True, slots=True)
class IdleLimits:
    """The idler's own settings. Seconds."""

    default_duration_s: float = DEFAULT_SILENCE_S
    """Silence after which a function without a duration label is idle."""
    stale_after_s: float = 60.0
    """A measurement older than this counts as missing."""
    settle_s: float = 60.0
    """Measurements must have been coming without a gap for this long (or for the duration, if that is shorter):
    a Prometheus that just started may not have seen every gateway yet."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What was measured about one function.

    ``in_flight``: calls held or running in all gateways. ``last_active``: the instant of the last start or end of a
    call; gateways start it at the moment they first learn of the function, so that a restarted gateway never looks
    like a long silence.
    """

    in_flight: Sample | NoData
    last_active: Sample | NoData


@dataclass(frozen=True, slots=True)
class IdleHistory:
    """What the idler remembers of one function between sweeps."""

    measured_since: Instant | None = None
    awake_since: Instant | None = None
    seen_asleep: bool = False


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of a function's calls to come.

    ``upcoming``: one that is known, or why that is not known. ``learned``: a plan of the pause that runs; None where
    the duration is fixed. ``memory_short``: memory is short, and it is the function's turn to sleep, as this says; None
    where memory is not.
    """

    upcoming: Upcoming | NoData | None = None
    learned: LearnedSilence | None = None
    memory_short: str | None = None


SHORT_SILENCE_S = 5.0
"""What takes the place of the duration where memory is short: who calls again within it is in the middle of something.
"""


def decide(
    function: Function,
    policy: ScalePolicy,
    problems: tuple[str, ...],
    activity: Activity,
    history: IdleHistory,
    limits: IdleLimits,
    now: Instant,
    *,
    outlook: Outlook = Outlook(),
) -> tuple[Decision, IdleHistory]:
    """Zero, or hold with the reason. A hold leaves the count as it is."""
    history = _observed(function, activity, history, limits, now)
    silence = _silence(policy, activity, history, limits, now, outlook.learned)
    settle_s = min(limits.settle_s, silence.duration_s)
    if outlook.memory_short is not None:
        silence = Silence.fixed(min(SHORT_SILENCE_S, silence.duration_s))
    before = function.scale.desired
    held = (
        _not_eligible(function, policy, problems)
        or _unknown(activity, limits, now)
        or _busy(activity)
        or _too_early(function, activity, history, silence, settle_s, now)
        or _expected(outlook.upcoming, now)
    )
    inputs = _inputs(function, activity, silence.duration_s, now)
    if held is not None:
        return Decision(function.ref, Writer.IDLER, before, before, held[0], held[1], now, inputs), history
    assert isinstance(activity.last_active, Sample)
    if outlook.memory_short is not None:
        detail = f"{outlook.memory_short}; nothing in flight, last call {now - activity.last_active.value:.0f} s ago"
        return Decision(function.ref, Writer.IDLER, before, 0, Reason.MEMORY_PRESSURE, detail, now, inputs), history
    longer = f"{silence.duration_s:.4g} s{f' ({silence.said})' if silence.said else ''}"
    detail = f"silent for {now - activity.last_active.value:.0f} s, longer than {longer}, nothing in flight"
    return Decision(function.ref, Writer.IDLER, before, 0, Reason.IDLE, detail, now, inputs), history


def _silence(
    policy: ScalePolicy,
    activity: Activity,
    history: IdleHistory,
    limits: IdleLimits,
    now: Instant,
    learned: LearnedSilence | None,
) -> Silence:
    fixed_s = policy.zero_duration_s or limits.default_duration_s
    if learned is None or isinstance(activity.last_active, NoData) or not math.isfinite(activity.last_active.value):
        return Silence.fixed(fixed_s)
    return learned.silence(Instant(activity.last_active.value), history.awake_since, now, fixed_s)


def _inputs(function: Function, activity: Activity, duration_s: float, now: Instant) -> dict[str, float]:
    """The numbers that are known; what was not measured is left out."""
    inputs = {"duration_s": duration_s}
    if function.created_at is not None:
        inputs["existed_s"] = now - function.created_at
    if isinstance(activity.in_flight, Sample):
        inputs |= {"in_flight": activity.in_flight.value, "data_age_s": now - activity.in_flight.at}
    if isinstance(activity.last_active, Sample):
        inputs["silent_s"] = now - activity.last_active.value
    return {name: value for name, value in inputs.items() if math.isfinite(value)}


Held = tuple[Reason, str]


def _not_eligible(function: Function, policy: ScalePolicy, problems: tuple[str, ...]) -> Held | None:
    if problems:
        return Reason.INVALID_LABELS, "; ".join(problems)
    if not policy.zero:
        return Reason.NOT_OPTED_IN, "label com.openfaas.scale.zero is not true"
    if function.scale.desired == 0:
        return Reason.ASLEEP, "already at zero"
    if function.created_at is None:
        return Reason.AGE_UNKNOWN, "the provider does not say when it was created"
    return None


def _unknown(activity: Activity, limits: IdleLimits, now: Instant) -> Held | None:
    for what, measured in (("calls in flight", activity.in_flight), ("last activity", activity.last_active)):
        if isinstance(measured, NoData):
            return Reason.NO_DATA, f"{what}: {measured.why}"
        if not math.isfinite(measured.value):
            return Reason.NO_DATA, f"{what}: {measured.value} is not a number"
        if abs(now - measured.at) > limits.stale_after_s:
            # In the future means that the two clocks differ, and then no age can be told.
            return Reason.STALE_DATA, f"{what}: measured {now - measured.at:.0f} s ago"
    return None


def _busy(activity: Activity) -> Held | None:
    assert isinstance(activity.in_flight, Sample)
    if activity.in_flight.value != 0:
        return Reason.IN_FLIGHT, f"{activity.in_flight.value:g} call(s) in flight"
    return None


def _too_early(
    function: Function, activity: Activity, history: IdleHistory, silence: Silence, settle_s: float, now: Instant
) -> Held | None:
    assert isinstance(activity.last_active, Sample)
    assert function.created_at is not None
    measured_for = now - history.measured_since if history.measured_since is not None else 0.0
    if measured_for < settle_s:
        return Reason.SOURCE_RESTARTED, f"measured without a gap for {measured_for:.0f} s of {settle_s:g} s"
    if now - function.created_at < silence.age_s:
        return Reason.TOO_YOUNG, f"created {now - function.created_at:.0f} s ago, less than {silence.age_s:.4g} s"
    if now - activity.last_active.value < silence.duration_s:
        return Reason.RECENTLY_ACTIVE, explain.silence_of(
            now - activity.last_active.value, silence.duration_s, silence.said
        )
    if history.awake_since is not None and now - history.awake_since < silence.awake_s:
        return Reason.RECENTLY_ACTIVE, f"awake for {now - history.awake_since:.0f} s of {silence.awake_s:.4g} s"
    return None


def _expected(upcoming: Upcoming | NoData | None, now: Instant) -> Held | None:
    if isinstance(upcoming, NoData):
        return Reason.NO_DATA, f"calls that were put off: {upcoming.why}"
    if upcoming is None or not upcoming.near(now):
        return None
    return Reason.CALL_EXPECTED, explain.kept_for(upcoming.call.said, upcoming.lead.longest_s)


def _observed(
    function: Function, activity: Activity, history: IdleHistory, limits: IdleLimits, now: Instant
) -> IdleHistory:
    measured = _unknown(activity, limits, now) is None
    since = (history.measured_since if history.measured_since is not None else now) if measured else None
    history = replace(history, measured_since=since)
    if function.scale.desired == 0:
        return replace(history, seen_asleep=True, awake_since=None)
    if history.seen_asleep:
        return replace(history, seen_asleep=False, awake_since=now)
    return history
