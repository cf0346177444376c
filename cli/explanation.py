"""Why a function has the replicas it has, in sentences: where it stands, what would move it, what holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from springtide.rules.alerts import HIGH_RATE, PILING_UP
from springtide.runtime.durations import format_duration
from springtide.scaler.core import label_names
from springtide.scaler.core.explain import (
    LEARNED_WAKE,
    ago,
    asleep_until,
    awake_for,
    held,
    owned_because,
    replicas,
    set_to,
    woken_ahead,
)
from springtide.scaler.core.keepalive.rule import NotLearned
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.loads import loads_of
from springtide.scaler.core.ownership import why_owner
from springtide.scaler.core.policy import OWNER, ZERO, Down, ScalePolicy, ZeroPolicy, wake_replicas
from springtide.scaler.core.prewarm import Lead, Upcoming
from springtide.scaler.core.steps import climbed, descended, step_size
from springtide.scaler.core.vocabulary import (
    DEFAULT_NAMESPACE,
    Decision,
    Function,
    FunctionRef,
    Instant,
    Reason,
    Scale,
    Writer,
)
from springtide.scaler.sources.schedules import ScheduledCalls
from springtide.wire.events import topics
from springtide.wire.schedules.annotations import schedules_of

NOT_FOR_NOW = (
    Reason.NO_DATA,
    Reason.STALE_DATA,
    Reason.SOURCE_RESTARTED,
    Reason.AGE_UNKNOWN,
    Reason.CALL_EXPECTED,
    Reason.DRY_RUN,
    Reason.WRITE_FAILED,
)
"""Why the idler leaves a function awake however long it is silent, or for as long as a call is near."""

MISSED: Mapping[str, str] = {
    "prometheus": "Prometheus is away: no alert begins or ends, and the idler takes nothing to zero.",
    "alertmanager": "Alertmanager is away: no alert arrives.",
    "alert_receiver": "The alert receiver is away: no alert changes anything.",
    "scaler": "The scaler is away: no function follows its load.",
    "idler": "The idler is away: nothing goes to zero.",
}
"""What does not happen without a part."""

ALERT_PATH, TO_ZERO = {"prometheus", "alertmanager", "alert_receiver"}, {"prometheus", "idler"}
ALERTS_LEAVE_IT = "The alert path leaves it alone."
BELOW = "; not for now, see below"


@dataclass(frozen=True, slots=True)
class Calls:
    """A function's calls as its gateway counts them. ``last_active`` in seconds since the epoch."""

    in_flight: float
    held: float
    last_active: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A function as the gateway shows it. ``problem`` is why replicas do not start, if they do not.

    ``owner`` moves its replicas while it runs; None for nobody. ``has_hpa`` is False where it is known that there are
    no HPAs; ``away`` are keys of ``MISSED``.
    """

    name: str
    desired: int
    ready: int
    labels: Mapping[str, str]
    namespace: str = DEFAULT_NAMESPACE
    annotations: Mapping[str, str] = field(default_factory=dict)
    owner: Writer | None = Writer.ALERT
    problem: str | None = None
    runtime: str | None = None
    """``process`` or ``container``; None where all functions are one thing."""
    calls: Calls | None = None
    has_hpa: bool = True
    away: frozenset[str] = frozenset()
    learned_wake: int | None = None
    longest_start_s: float | None = None
    created_at: Instant | None = None
    sleep: LearnedSilence | NotLearned | None = None
    """What its pauses have taught, or why its fixed silence holds; None where that is not known."""


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
        now=tuple(_now(standing, policy, problems, story, now)),
        next=tuple(_next(standing, policy, problems, decisions, now)),
        held=(*_held(standing, decisions, now), *(text for part, text in MISSED.items() if part in standing.away)),
        story=story,
    )


def _now(
    standing: Standing, policy: ScalePolicy, problems: Sequence[str], changes: Sequence[Decision], now: float
) -> list[str]:
    if standing.desired == 0:
        lines = ["It is asleep: no replica is wanted."]
    else:
        lines = [f"{replicas(standing.desired)} wanted, {standing.ready} ready."]
    if changes and changes[-1].after == standing.desired:
        lines.append(set_to(changes[-1], now))
    elif changes:
        lines.append(
            f"The last decision told, {ago(now - changes[-1].at)}, led to {changes[-1].after}; "
            "something that tells no decisions (kubectl, an HPA, an update) changed it since."
        )
    if standing.runtime:
        lines.append(f"Its replicas are {_KINDS.get(standing.runtime, standing.runtime)} of this machine.")
    lines += _calls(standing.calls, now)
    lines.append(f"Its labels allow {_range(policy)} while awake{_outside(standing, policy)}.")
    if not problems:
        lines.append(owned_because(standing.owner, why_owner(policy, standing.owner)))
    lines += [f"A label is wrong and counts as absent: {problem}." for problem in problems]
    lines += [f"A label is misspelt and ignored: {told}" for told in label_names.problems_of(standing.labels)]
    lines += [f"A label has no effect: {told}." for told in label_names.without_effect(standing.labels, standing.owner)]
    ref = FunctionRef(standing.namespace, standing.name)
    wrong = schedules_of(ref, standing.annotations)[1]
    lines += [f"A schedule is wrong, and what is wrong of it does not count: {told}." for told in wrong]
    lines += [f"A topic is wrong, and never comes: {told}." for told in topics.problems_of(standing.annotations)]
    if standing.problem:
        lines.append(f"Replicas do not start: {standing.problem}.")
    return lines


_KINDS = {"process": "processes", "container": "containers"}


def _calls(calls: Calls | None, now: float) -> list[str]:
    if calls is None:
        return []
    if calls.in_flight:
        waiting = f", {calls.held:.0f} of them waiting for a replica" if calls.held else ""
        return [f"Calls in flight: {calls.in_flight:.0f}{waiting}."]
    if calls.last_active is None:
        return ["No call is in flight."]
    return [f"No call is in flight; it was last active {ago(now - calls.last_active)}."]


def _range(policy: ScalePolicy) -> str:
    least, most = (round(policy.limits[limit]) for limit in ("min", "max"))
    return replicas(most) if least == most else f"{least} to {replicas(most)}"


def _outside(standing: Standing, policy: ScalePolicy) -> str:
    if standing.desired > policy.limits["max"]:
        return "; it has more"
    return "; it has fewer" if 0 < standing.desired < policy.limits["min"] else ""


def _next(
    standing: Standing, policy: ScalePolicy, problems: Sequence[str], decisions: Sequence[Decision], now: float
) -> list[str]:
    if standing.desired == 0:
        woken = wake_replicas(policy, standing.learned_wake)
        why = f": {LEARNED_WAKE}" if woken != wake_replicas(policy) else ""
        return [
            f"Up: the next call wakes it, to {replicas(woken)}{why}.",
            _ahead(standing, policy, problems, now) or "Nothing else does, but a person.",
        ]
    if problems:
        return ["Nothing, but a person, until its labels are right: a wrong one may mean anything."]
    steady = _by_another(standing, policy)
    if not steady:
        steady = [_up(standing, policy), _down(standing, policy, decisions)]
    return [*steady, _to_zero(standing, policy, decisions, now)]


def _ahead(standing: Standing, policy: ScalePolicy, problems: Sequence[str], now: float) -> str:
    """What wakes it before its next call that is known to come; empty: nothing does."""
    scale = Scale(standing.desired, standing.ready, "")
    ref, created_at = FunctionRef(standing.namespace, standing.name), standing.created_at
    function = Function(ref, scale, annotations=standing.annotations, created_at=created_at)
    call = ScheduledCalls().next_call(function, Instant(now))
    learned = standing.sleep
    if isinstance(learned, LearnedSilence) and policy.zero and not problems:
        due_at = learned.next_wake(Instant(now))
        if call is None or (due_at is not None and due_at < call.at):
            return asleep_until(due_at, learned.said)
    if call is None or not policy.zero or problems:
        return ""
    upcoming = Upcoming(call, Lead.of(standing.longest_start_s))
    return woken_ahead(call.said, upcoming.due_at, standing.longest_start_s)


def _by_another(standing: Standing, policy: ScalePolicy) -> list[str]:
    """What moves a running function that is not the alert path's; empty where it is."""
    if standing.owner is Writer.SCALER:
        return [f"Up and down: the scaler, by what each replica shall carry ({_target(standing)})."]
    if standing.owner is Writer.HPA and not standing.has_hpa:
        leaves = f"type {policy.type} leaves it to a HorizontalPodAutoscaler"
        return [f"Up and down: nothing; {leaves}, and there are none here.", ALERTS_LEAVE_IT]
    if standing.owner is Writer.HPA:
        how = f"by processor load (target {policy.target:g})"
        return [f"Up and down: its HorizontalPodAutoscaler, {how}.", ALERTS_LEAVE_IT]
    if standing.owner is None and not policy.fixed_size:
        return [f"Up and down: nothing, but a person; label {OWNER} is none."]
    return []


def _target(standing: Standing) -> str:
    loads = loads_of(standing.labels, standing.annotations)[0]
    told = ", ".join(f"{load.name}: {load.target:g} {load.unit}" for load in loads)
    return told if len(loads) == 1 else f"{told}; the one that needs most decides"


def _up(standing: Standing, policy: ScalePolicy) -> str:
    if policy.factor == 0:
        return "Up: nothing; factor 0 switches alert scaling off."
    if policy.fixed_size:
        return f"Up: nothing; min and max are both {policy.max}."
    after = climbed(policy, standing.desired)
    if after == standing.desired:
        where = "at" if standing.desired == policy.max else "above"
        return f"Up: nothing; it is {where} its maximum of {policy.max}."
    return (
        f"Up: while {HIGH_RATE}, {PILING_UP} or an alert of your own fires, to {after} next "
        f"({step_size(policy)} a step: {policy.factor} % of {policy.max}, rounded up)"
        f"{BELOW if standing.away & ALERT_PATH else ''}."
    )


def _down(standing: Standing, policy: ScalePolicy, decisions: Sequence[Decision]) -> str:
    if policy.factor == 0 or policy.fixed_size:
        return "Down: not by alerts."
    after = descended(policy, standing.desired)
    if after >= standing.desired:
        where = "at" if standing.desired >= policy.limits["min"] else "below"
        return f"Down: not by alerts; it is {where} its minimum."
    last = _last(decisions, Writer.ALERT, changes=True)
    if last is not None and last.reason is Reason.ALERT_RESOLVED and last.after == standing.desired:
        return f"Down: it is on its way, a step each {last.inputs.get('interval_s', 0):g} s, to {after} next."
    how = "straight to its minimum" if policy.down is Down.MIN else "a step at a time"
    word = _last(decisions, Writer.ALERT)
    waits = BELOW if word is not None and word.reason is Reason.NO_DATA and word.after == standing.desired else ""
    return f"Down: when an alert about it ends, {how}, to {after} next{waits}."


def _to_zero(standing: Standing, policy: ScalePolicy, decisions: Sequence[Decision], now: float) -> str:
    if not policy.zero:
        return f"To zero: never; label {ZERO} is not true."
    last = _last(decisions, Writer.IDLER)
    held_anyway = standing.away & TO_ZERO or (last is not None and last.reason in NOT_FOR_NOW)
    if (awake := _learned_awake(standing, now)) and not held_anyway:
        return awake
    duration_s = policy.zero_duration_s or (last.inputs.get("duration_s") if last else None)
    after = format_duration(duration_s) if duration_s else "the idler's default time"
    rule = f"To zero: after {after} without a call, and none in flight"
    if isinstance(standing.sleep, NotLearned) and policy.zero_policy is ZeroPolicy.LEARNED:
        rule += f" (its fixed silence holds: {standing.sleep.why})"
    if held_anyway:
        return f"{rule}{BELOW}."
    calls = standing.calls
    if calls is None or calls.in_flight or calls.last_active is None or not duration_s:
        return f"{rule}."
    left_s = calls.last_active + duration_s - now
    return f"{rule}: in about {left_s:.0f} s if nobody calls." if left_s >= 1 else f"{rule}: at the idler's next look."


def _learned_awake(standing: Standing, now: float) -> str:
    """Why a function whose sleep is learned is still awake; empty where it is not known, or it is not to be."""
    learned, calls = standing.sleep, standing.calls
    if not isinstance(learned, LearnedSilence) or (calls is not None and calls.in_flight):
        return ""
    window = next((each for each in learned.windows if each.since <= now < each.until), None)
    return awake_for(window.since, window.until, learned.said) if window is not None else ""


def _last(decisions: Sequence[Decision], writer: Writer, *, changes: bool = False) -> Decision | None:
    """The writer's last word, or with ``changes`` the last change of all if it was the writer's."""
    for decision in reversed(decisions):
        if changes and decision.changes:
            return decision if decision.writer is writer else None
        if not changes and decision.writer is writer:
            return decision
    return None


def _held(standing: Standing, decisions: Sequence[Decision], now: float) -> list[str]:
    """The last word of each writer, where it was to leave the count alone and that is not out of date."""
    last: dict[Writer, Decision] = {}
    for decision in decisions:
        if decision.changes:
            last = {writer: hold for writer, hold in last.items() if hold.after == standing.desired}
            last.pop(decision.writer, None)
        else:
            last[decision.writer] = decision
    return [held(hold, standing.desired, now) for hold in last.values()]
