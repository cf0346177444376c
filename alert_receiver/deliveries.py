"""What a delivery means for one function: its alerts in turn, then one decision. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from springtide.scaler.core import steps
from springtide.scaler.core.steps import AlertEvent, AlertStatus, StepContext, StepHistory
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant

MAX_DETAIL_CHARS = 500


def by_function(events: Sequence[AlertEvent]) -> dict[FunctionRef, list[AlertEvent]]:
    """The events of each function, firing ones first: load that is there outweighs load that has gone."""
    grouped: dict[FunctionRef, list[AlertEvent]] = {}
    for event in sorted(events, key=lambda event: event.status is not AlertStatus.FIRING):
        grouped.setdefault(event.ref, []).append(event)
    return grouped


def judge(
    context: StepContext, history: StepHistory, events: Sequence[AlertEvent], now: Instant
) -> tuple[Decision, StepHistory]:
    """What all alerts of one delivery come to for one function; each sees the count the one before it left."""
    decisions: list[Decision] = []
    current = context
    for event in events:
        decision, history = steps.on_alert(current, history, event, now)
        decisions.append(decision)
        current = replace(current, scale=replace(current.scale, desired=decision.after))
    return _together(decisions), history


def _together(decisions: Sequence[Decision]) -> Decision:
    """One decision from the first count to the last, with the reason of the last step; without a step, the last."""
    steps_made = [decision for decision in decisions if decision.changes]
    telling = steps_made or decisions[-1:]
    detail = "; ".join(decision.detail for decision in telling)[:MAX_DETAIL_CHARS]
    return replace(telling[-1], before=decisions[0].before, after=decisions[-1].after, detail=detail)
