"""The alert path: a firing alert climbs in steps, a resolved one descends in steps.

A step is ceil(max × factor / 100) replicas, in whole numbers (OpenFaaS computes it in floating point and is one too
high for 13 pairs of max and factor). Alertmanager tells of a resolved alert once, so the way down is a *descent*
that ``on_tick`` continues, a step each interval, until the minimum is reached or an alert fires again.

``now`` and all stored instants are seconds since the epoch, as alert times are.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from springtide.scaler.core import explain
from springtide.scaler.core.policy import Down, ScalePolicy
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Scale, Writer

MAX_ALERTS = 64
"""Alerts remembered per function; beyond it the one heard of longest ago is forgotten."""

FORGET_FIRING_S = 900.0
"""A firing alert that was not repeated for so long no longer holds back the descent another one's end began."""


class AlertStatus(enum.StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class AlertId:
    """Which occurrence of which alert: a repeat has the same, the next occurrence another ``starts_at``."""

    fingerprint: str
    starts_at: str


@dataclass(frozen=True, slots=True)
class Load:
    """What an alert measured, in words such as ``calls/s``, the threshold it is above, and when."""

    value: float
    unit: str
    threshold: float | None
    at: Instant

    def __str__(self) -> str:
        above = "" if self.threshold is None else f", above {self.threshold:g}"
        return f"{self.value:g} {self.unit}{above}"

    def inputs(self, now: Instant) -> dict[str, float]:
        target = {} if self.threshold is None else {"threshold": self.threshold}
        return {"load": self.value, **target, "data_age_s": now - self.at}


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One alert of one webhook delivery, about one function. ``load`` is None where the alert does not tell it."""

    ref: FunctionRef
    status: AlertStatus
    id: AlertId
    name: str = ""
    load: Load | None = None


@dataclass(frozen=True, slots=True)
class StepHistory:
    """What the alert path remembers of one function between deliveries."""

    firing: Mapping[AlertId, Instant] = field(default_factory=dict)
    last_step_up: Instant | None = None
    """The function's, whichever alert asked for it: rules that put a measured value into a label make each evaluation
    an alert of its own, and one delivery may hold an alert for each ``instance``."""
    descending: bool = False
    last_step_down: Instant | None = None

    @property
    def forgettable(self) -> bool:
        return self == StepHistory()


@dataclass(frozen=True, slots=True)
class StepContext:
    """The function an event is about, as read just now, and the interval that applies without a label.

    ``load`` is what the alert told of it, ``owner`` who moves the function's replicas.
    """

    ref: FunctionRef
    policy: ScalePolicy
    problems: tuple[str, ...]
    scale: Scale
    default_interval_s: float
    load: Load | None = None
    owner: Writer | None = Writer.ALERT

    @property
    def interval_s(self) -> float:
        return self.policy.step_interval_s or self.default_interval_s

    def decision(self, after: int, reason: Reason, detail: str, now: Instant) -> Decision:
        policy = self.policy
        inputs = {
            "step": step_size(policy),
            "factor_percent": policy.factor,
            **policy.limits,
            "ready": self.scale.ready,
            "interval_s": self.interval_s,
        }
        if self.load is not None:
            inputs |= self.load.inputs(now)
        return Decision(self.ref, Writer.ALERT, self.scale.desired, after, reason, detail, now, inputs)

    def hold(self, reason: Reason, detail: str, now: Instant) -> Decision:
        return self.decision(self.scale.desired, reason, detail, now)


def step_size(policy: ScalePolicy) -> int:
    """ceil(max × factor / 100), exactly."""
    return -(-policy.max * policy.factor // 100)


def climbed(policy: ScalePolicy, current: int) -> int:
    """One step up. A function above its maximum is left where it is: a firing alert never takes replicas away."""
    return max(current, min(current + step_size(policy), policy.max))


def descended(policy: ScalePolicy, current: int) -> int:
    """One step down (or to the minimum, if the label says so), never below the minimum and never to zero."""
    floor = max(1, policy.min)
    if policy.down is Down.MIN:
        return min(current, floor)
    return min(current, max(current - step_size(policy), floor))


def on_alert(
    context: StepContext, history: StepHistory, event: AlertEvent, now: Instant
) -> tuple[Decision, StepHistory]:
    """What one alert does to one function."""
    history = _recent(history, context.interval_s, now)
    if event.status is AlertStatus.FIRING:
        history, context = _heard(history, event.id, now), replace(context, load=event.load)
        if (refusal := _not_ours(context, now)) is not None:
            return refusal, history
        return _climb(context, history, event, now)
    history = _ended(history, event.id)
    if (refusal := _not_ours(context, now)) is not None:
        return refusal, replace(history, descending=False)
    if history.firing:
        return context.hold(Reason.STILL_FIRING, f"{len(history.firing)} other alert(s) still fire", now), history
    return _descend(context, replace(history, descending=True), now, cause=f"alert {event.name} resolved")


def on_tick(context: StepContext, history: StepHistory, now: Instant) -> tuple[Decision, StepHistory]:
    """Continue a descent, if one is under way and a step is due."""
    history = _recent(history, context.interval_s, now)
    if not history.descending or history.firing:
        return context.hold(Reason.STILL_FIRING, "no descent under way", now), replace(history, descending=False)
    if (refusal := _not_ours(context, now)) is not None:
        return refusal, replace(history, descending=False)
    return _descend(context, history, now, cause="descent continues after the alert resolved")


def on_silence(context: StepContext, history: StepHistory, now: Instant) -> tuple[Decision, StepHistory]:
    """No alert about the function fires, as is known for certain: those remembered as firing ended unheard."""
    history = replace(_recent(history, context.interval_s, now), firing={})
    if (refusal := _not_ours(context, now)) is not None:
        return refusal, replace(history, descending=False)
    return _descend(
        context,
        replace(history, descending=True),
        now,
        cause="no alert about it fires, though none was told to have ended",
    )


def _not_ours(context: StepContext, now: Instant) -> Decision | None:
    """The hold for a function the alert path must not touch, or None."""
    policy = context.policy
    if context.problems:
        return context.hold(Reason.INVALID_LABELS, "; ".join(context.problems), now)
    if context.owner is not Writer.ALERT and (context.owner is not None or not policy.fixed_size):
        return context.hold(Reason.NOT_OWNER, explain.owned(context.owner), now)
    if policy.factor == 0:
        return context.hold(Reason.FACTOR_ZERO, "factor 0: alert scaling is switched off", now)
    if context.scale.desired == 0:
        return context.hold(Reason.ASLEEP, "at zero: only a caller wakes it", now)
    if policy.fixed_size:
        return context.hold(Reason.FIXED_SIZE, f"min = max = {policy.max}", now)
    return None


def _climb(context: StepContext, history: StepHistory, event: AlertEvent, now: Instant) -> tuple[Decision, StepHistory]:
    last = history.last_step_up
    if last is not None and 0 <= now - last < context.interval_s:
        detail = f"a step up was made {now - last:.1f} s ago, less than {context.interval_s:g} s"
        return context.hold(Reason.REDELIVERED, detail, now), history
    current, after = context.scale.desired, climbed(context.policy, context.scale.desired)
    if after == current:
        return context.hold(Reason.AT_MAX, f"max {context.policy.max} reached", now), history
    fires = f"alert {event.name} fires" if event.load is None else f"alert {event.name} fires at {event.load}"
    detail = f"{fires}: +{after - current} (step {step_size(context.policy)}, max {context.policy.max})"
    return context.decision(after, Reason.ALERT_FIRING, detail, now), replace(history, last_step_up=now)


def _descend(context: StepContext, history: StepHistory, now: Instant, *, cause: str) -> tuple[Decision, StepHistory]:
    current, after = context.scale.desired, descended(context.policy, context.scale.desired)
    if after == current:
        done = replace(history, descending=False)
        return context.hold(Reason.AT_MIN, f"min {max(1, context.policy.min)} reached", now), done
    last = history.last_step_down
    if last is not None and 0 <= now - last < context.interval_s:
        return context.hold(
            Reason.STEP_PENDING, f"next step down {context.interval_s:g} s after the last", now
        ), history
    more = descended(context.policy, after) != after
    detail = f"{cause}: -{current - after} (min {max(1, context.policy.min)})"
    history = replace(history, descending=more, last_step_down=now)
    return context.decision(after, Reason.ALERT_RESOLVED, detail, now), history


def _heard(history: StepHistory, alert: AlertId, now: Instant) -> StepHistory:
    """A firing alert ends any descent, but the next one begins no sooner for it."""
    firing = _bounded({**history.firing, alert: now})
    return StepHistory(firing, history.last_step_up, descending=False, last_step_down=history.last_step_down)


def _ended(history: StepHistory, alert: AlertId) -> StepHistory:
    """Resolved: every occurrence of this alert is over."""
    firing = {known: at for known, at in history.firing.items() if known.fingerprint != alert.fingerprint}
    return replace(history, firing=firing)


def _recent(history: StepHistory, interval_s: float, now: Instant) -> StepHistory:
    """Without the entries that no longer matter, so that the memory of a function stays small.

    An instant far in the future means that the clock was set back; it must not hold anything up until then.
    """
    firing = {alert: at for alert, at in history.firing.items() if abs(now - at) < FORGET_FIRING_S}

    def recent(step: Instant | None) -> Instant | None:
        return step if step is not None and 0 <= now - step < interval_s else None

    up, down = recent(history.last_step_up), recent(history.last_step_down)
    return StepHistory(firing, up, history.descending, down)


def _bounded(alerts: dict[AlertId, Instant]) -> dict[AlertId, Instant]:
    if len(alerts) <= MAX_ALERTS:
        return alerts
    return dict(sorted(alerts.items(), key=lambda item: item[1])[-MAX_ALERTS:])
