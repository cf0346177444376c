"""What a webhook delivery, or a due step of a descent, comes to for one function: one decision, and what to remember.

A step counts as made only once it is written. So the result has two histories: one to keep when the write succeeds,
one for as long as it has not. A delivery that is repeated after a failed write may then step again.

Alertmanager resolves the alerts of a Prometheus that went away, too. So a step down is made only while load is seen:
measured now, without a gap for the settling time, by a receiver that has led for that long.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from springtide.scaler.core import steps
from springtide.scaler.core.steps import AlertEvent, AlertStatus, StepContext, StepHistory
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, NoData, Reason, Sample, Writer

MAX_DETAIL_CHARS = 500


@dataclass(frozen=True, slots=True)
class LoadView:
    """What is seen of a function's load right now, and since when without a gap. Durations in seconds.

    ``in_flight`` is None where nobody measures; a resolved alert is then taken at its word. ``leading_for_s`` is how
    long this receiver has been the one that alerts are told to, infinite where there is no other.
    """

    in_flight: Sample | NoData | None = None
    measured_for_s: float = math.inf
    leading_for_s: float = math.inf
    settle_s: float = 0.0
    """Long enough for an alert whose load never ended to fire, and to be told, again."""

    def obstacle(self) -> str | None:
        """Why no replica may be taken away for now; None when one may."""
        if self.leading_for_s < self.settle_s:
            return f"leading for less than {self.settle_s:g} s, so other alerts may fire that were not heard of yet"
        if isinstance(self.in_flight, NoData):
            return f"load is not measured ({self.in_flight.why}), so the alert may have ended for that reason"
        if self.measured_for_s < self.settle_s:
            return f"load is measured again for less than {self.settle_s:g} s"
        return None


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """A decision and the history to keep: ``if_not_written`` until the write is done, ``if_written`` from then on.

    They are one where the decision changes nothing.
    """

    decision: Decision
    if_written: StepHistory
    if_not_written: StepHistory


def by_function(events: Sequence[AlertEvent]) -> dict[FunctionRef, list[AlertEvent]]:
    """The events of each function, firing ones first: load that is there outweighs load that has gone."""
    grouped: dict[FunctionRef, list[AlertEvent]] = {}
    for event in sorted(events, key=lambda event: event.status is not AlertStatus.FIRING):
        grouped.setdefault(event.ref, []).append(event)
    return grouped


def unknown(refs: Sequence[FunctionRef], listed: Collection[FunctionRef]) -> dict[FunctionRef, None]:
    """Those, in order, that a list of all functions shows not to exist. A foreign provider may list functions under
    another namespace than it knows them by, so one of a namespace that the list does not have may exist by its name."""
    known, names, namespaces = set(listed), {ref.name for ref in listed}, {ref.namespace for ref in listed}
    return {ref: None for ref in refs if ref not in known and (ref.namespace in namespaces or ref.name not in names)}


def may_step_down(events: Sequence[AlertEvent]) -> bool:
    """Whether the load has to be looked at before these are decided on: a firing alert takes nothing away."""
    return any(event.status is AlertStatus.RESOLVED for event in events)


def on_delivery(
    context: StepContext, view: LoadView, history: StepHistory, events: Sequence[AlertEvent], now: Instant
) -> StepOutcome:
    """What all alerts of one delivery come to for one function; each sees the count the one before it left."""
    decisions: list[Decision] = []
    current, after = context, history
    for event in _that_matter(events, history):
        decision, after = steps.on_alert(current, after, event, now)
        decisions.append(decision)
        if decision.changes:
            current = replace(current, scale=replace(current.scale, desired=decision.after))
    return outcome(context, view, history, _together(decisions), after, now)


def _that_matter(events: Sequence[AlertEvent], history: StepHistory) -> list[AlertEvent]:
    """Without those that change nothing, so that thousands of alerts of one function cost no more than a few: firing
    ones beyond what is remembered, and ends of alerts that were not heard of, but for one."""
    firing = [event for event in events if event.status is AlertStatus.FIRING][-steps.MAX_ALERTS :]
    over = {event.id.fingerprint: event for event in events if event.status is AlertStatus.RESOLVED}
    known = {alert.fingerprint for alert in (*history.firing, *(event.id for event in firing))}
    return [*firing, *([event for event in over.values() if event.id.fingerprint in known] or list(over.values())[:1])]


def on_tick(context: StepContext, view: LoadView, history: StepHistory, now: Instant) -> StepOutcome:
    """Continue a descent, if one is under way and a step is due."""
    decision, after = steps.on_tick(context, history, now)
    return outcome(context, view, history, decision, after, now)


def recalled(last_change: Decision) -> StepHistory | None:
    """What a new leader takes over of a function, by the last change of its count; None when there is nothing.

    A resolved alert is told once, and was told to the leader before. So a function whose count was last changed for an
    alert descends, unless an alert of it is delivered again before the first step is due.
    """
    return StepHistory(descending=True) if last_change.writer is Writer.ALERT else None


def next_step_in_s(history: StepHistory, interval_s: float, now: Instant) -> float:
    """Seconds until the next step of a descent. At most one interval, so a clock set back does not hold it up."""
    last = history.last_step_down
    wait_s = interval_s if last is None else last + interval_s - now
    return min(max(wait_s, 0.0), interval_s)


def outcome(
    context: StepContext, view: LoadView, before: StepHistory, decision: Decision, after: StepHistory, now: Instant
) -> StepOutcome:
    """A decision with both histories; a step down while load is not seen becomes a hold."""
    if not decision.changes:
        return StepOutcome(decision, after, after)
    down = decision.after < decision.before
    # What was heard stays heard, the step was not made. One down is still to be made, even if it is the last.
    not_made = replace(after, last_step_up=before.last_step_up, last_step_down=before.last_step_down, descending=down)
    if down and (obstacle := view.obstacle()) is not None:
        return StepOutcome(context.hold(Reason.NO_DATA, obstacle, now), not_made, not_made)
    return StepOutcome(_with_load(decision, view, now) if down else decision, after, not_made)


def _with_load(decision: Decision, view: LoadView, now: Instant) -> Decision:
    if not isinstance(view.in_flight, Sample):
        return decision
    measured = {"in_flight": view.in_flight.value, "data_age_s": now - view.in_flight.at}
    return replace(decision, inputs={**decision.inputs, **measured})


def _together(decisions: Sequence[Decision]) -> Decision:
    """One decision from the first count to the last, with the reason of the last step; without a step, the last."""
    if len(decisions) == 1 and len(decisions[0].detail) <= MAX_DETAIL_CHARS:
        return decisions[0]
    steps_made = [decision for decision in decisions if decision.changes]
    telling = steps_made or decisions[-1:]
    detail = "; ".join(decision.detail for decision in telling)[:MAX_DETAIL_CHARS]
    return replace(telling[-1], before=decisions[0].before, after=decisions[-1].after, detail=detail)
