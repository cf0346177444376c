"""What is known to fire, against what the alert path believes: the end of an alert that was never told is found here.

Alertmanager tells of an end once, and not at all when it is killed before it could: after its restart nothing fires,
and nothing resolves. So those who know are asked now and then. An alert fires if any of them says so, and has ended
only if all of them answered and none does; not known is no reason to take replicas away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from springtide.scaler.core import deliveries, steps
from springtide.scaler.core.deliveries import LoadView, StepOutcome
from springtide.scaler.core.steps import StepContext, StepHistory
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer

SCALING_LABELS = {"service": "gateway", "severity": "major"}
"""What OpenFaaS gives its scaling alert. Alertmanager sends alerts about a function with these labels to the alert
receiver, a user's own among them; an alert for people must not have both."""


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """One alert that somebody says fires. ``fingerprint`` is empty where it is not told."""

    ref: FunctionRef
    labels: Mapping[str, str]
    fingerprint: str = ""

    @property
    def scales(self) -> bool:
        """Whether it is for the alert path by its labels, heard of or not."""
        return SCALING_LABELS.items() <= self.labels.items()


@dataclass(frozen=True, slots=True)
class ActiveAlerts:
    """All that fires, as everyone who knows said when asked, at ``asked_at``."""

    asked_at: Instant
    by_function: Mapping[FunctionRef, Sequence[ActiveAlert]] = field(default_factory=dict)

    @classmethod
    def of(cls, alerts: Sequence[ActiveAlert], asked_at: Instant) -> ActiveAlerts:
        by_function: dict[FunctionRef, list[ActiveAlert]] = {}
        for alert in alerts:
            by_function.setdefault(alert.ref, []).append(alert)
        return cls(asked_at, by_function)

    def may_fire(self, ref: FunctionRef, history: StepHistory) -> bool:
        """Whether an alert that scales the function fires, or one was heard of since this was asked."""
        heard = {alert.fingerprint for alert in history.firing}
        told = self.by_function.get(ref, ())
        return any(alert.scales or alert.fingerprint in heard for alert in told) or any(
            at > self.asked_at for at in history.firing.values()
        )


def to_review(
    histories: Mapping[FunctionRef, StepHistory], last_changes: Mapping[FunctionRef, Decision]
) -> list[FunctionRef]:
    """Functions that are, or may still be, as large as they are because of an alert, and are on no way down.

    By what is remembered of each, and by the last change of its count: a count that a person chose stays.
    """
    raised = {ref for ref, decision in last_changes.items() if _above_minimum(decision)}
    nothing = StepHistory()

    def due(ref: FunctionRef) -> bool:
        history = histories.get(ref, nothing)
        return not history.descending and (bool(history.firing) or ref in raised)

    return [ref for ref in {**histories, **last_changes} if due(ref)]


def on_review(
    context: StepContext, view: LoadView, history: StepHistory, active: ActiveAlerts, now: Instant
) -> StepOutcome:
    """A function none of whose alerts fires comes down, as if the end of the last one had been told."""
    if active.may_fire(context.ref, history):
        hold = context.hold(Reason.STILL_FIRING, "an alert about it fires", now)
        return StepOutcome(hold, history, history)
    decision, after = steps.on_silence(context, history, now)
    return deliveries.outcome(context, view, history, decision, after, now)


def _above_minimum(last: Decision) -> bool:
    return last.writer is Writer.ALERT and last.after > last.inputs.get("min", 1)
