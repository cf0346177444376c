"""Why a function has the replicas it has, in sentences: where it stands, what would move it, what holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rules.alerts import HIGH_RATE, PILING_UP
from runtime.durations import format_duration
from scaler.core.policy import ZERO, Down, ScalePolicy, wake_replicas
from scaler.core.steps import climbed, descended, step_size
from scaler.core.vocabulary import Decision, Writer

AUTHORS: Mapping[Writer, str] = {
    Writer.ALERT: "the alert path",
    Writer.HPA: "the HPA",
    Writer.IDLER: "the idler",
    Writer.WAKE: "a waiting caller",
    Writer.PERSON: "a person",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A function as the gateway shows it. ``problem`` is why replicas do not start, if they do not."""

    name: str
    desired: int
    ready: int
    labels: Mapping[str, str]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Each part is a list of sentences, but for ``story``: the decisions that changed the count, oldest first."""

    now: tuple[str, ...]
    next: tuple[str, ...]
    held: tuple[str, ...]
    story: tuple[Decision, ...]


def explain(standing: Standing | None, decisions: Sequence[Decision], now: float) -> Explanation:
    """``decisions`` are the function's, oldest first; ``now`` in seconds since the epoch, as theirs.

    Of a function that is gone (None) only the story is left.
    """
    story = tuple(decision for decision in decisions if decision.changes)
    if standing is None:
        return Explanation(now=("It is gone; this is what is on record.",), next=(), held=(), story=story)
    policy, problems = ScalePolicy.from_labels(standing.labels)
    return Explanation(
        now=tuple(_now(standing, policy, problems, decisions, now)),
        next=tuple(_next(standing, policy)),
        held=tuple(_held(decisions, now)),
        story=story,
    )


def ago(seconds: float) -> str:
    """A length of time in the one unit that says enough."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def _now(
    standing: Standing, policy: ScalePolicy, problems: Sequence[str], decisions: Sequence[Decision], now: float
) -> list[str]:
    if standing.desired == 0:
        lines = ["It is asleep: no replica is wanted."]
    else:
        lines = [f"{_replicas(standing.desired)} wanted, {standing.ready} ready."]
    changes = [decision for decision in decisions if decision.changes]
    if changes and changes[-1].after == standing.desired:
        last = changes[-1]
        lines.append(
            f"{AUTHORS[last.writer].capitalize()} set that {ago(now - last.at)} ({last.reason}): {last.detail}."
        )
    elif changes:
        lines.append(
            f"The last decision told, {ago(now - changes[-1].at)}, led to {changes[-1].after}; "
            "something that tells no decisions (kubectl, an HPA, an update) changed it since."
        )
    lines.append(f"Its labels allow {max(1, policy.min)} to {policy.max} replicas while awake.")
    lines += [f"A label is wrong and counts as absent: {problem}." for problem in problems]
    if standing.problem:
        lines.append(f"Replicas do not start: {standing.problem}.")
    return lines


def _next(standing: Standing, policy: ScalePolicy) -> list[str]:
    if standing.desired == 0:
        return [f"Up: the next call wakes it, to {_replicas(wake_replicas(policy))}.", "Nothing else does."]
    return [_up(standing, policy), _down(standing, policy), _to_zero(policy)]


def _up(standing: Standing, policy: ScalePolicy) -> str:
    if policy.on_hpa:
        return f"Up and down: its HorizontalPodAutoscaler, by processor load (target {policy.target:g})."
    if policy.factor == 0:
        return "Up: nothing; factor 0 switches alert scaling off."
    if policy.fixed_size:
        return f"Up: nothing; min and max are both {policy.max}."
    after = climbed(policy, standing.desired)
    if after == standing.desired:
        return f"Up: nothing; it is at its maximum of {policy.max}."
    return (
        f"Up: while {HIGH_RATE}, {PILING_UP} or an alert of your own fires, to {after} next "
        f"({step_size(policy)} a step: {policy.factor} % of {policy.max}, rounded up)."
    )


def _down(standing: Standing, policy: ScalePolicy) -> str:
    if policy.on_hpa:
        return "The alert path leaves it alone."
    after = descended(policy, standing.desired)
    if policy.factor == 0 or policy.fixed_size or after >= standing.desired:
        return "Down: not by alerts; it is at its minimum." if policy.factor else "Down: not by alerts."
    how = "straight to its minimum" if policy.down is Down.MIN else "a step at a time"
    return f"Down: once the alert has resolved, {how}, to {after} next."


def _to_zero(policy: ScalePolicy) -> str:
    if not policy.zero:
        return f"To zero: never; label {ZERO} is not true."
    after = format_duration(policy.zero_duration_s) if policy.zero_duration_s else "the idler's default time"
    return f"To zero: after {after} without a call, and none in flight."


def _held(decisions: Sequence[Decision], now: float) -> list[str]:
    """The last word of each writer, where it was to leave the count alone."""
    last: dict[Writer, Decision] = {}
    for decision in decisions:
        last[decision.writer] = decision
    return [
        f"{AUTHORS[writer].capitalize()} left it at {decision.after}, {ago(now - decision.at)} ({decision.reason}): "
        f"{decision.detail}."
        for writer, decision in last.items()
        if not decision.changes
    ]


def _replicas(count: int) -> str:
    return f"{count} replica" if count == 1 else f"{count} replicas"
