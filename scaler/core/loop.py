"""The control loop's one decision: from what was observed of a function to how many replicas it should have, and why.

``decide`` is asked once a second for each function that the loop owns. It never wakes a function and never takes one
to zero. Each load of a function wants replicas of its own and the highest number wins. While anything of the load is
not known nothing is taken away, with the reason; what is known may still ask for more, and for no more than it needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from springtide.scaler.core import demand, explain, follow, load_needs, target_rule
from springtide.scaler.core.follow import Bounds, FollowHistory
from springtide.scaler.core.load_needs import LoadNeed, SignalHistory
from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Calls, Held, Level, Observation, signal_key, unknown
from springtide.scaler.core.policy import Rule, ScalePolicy, Wake, wake_replicas
from springtide.scaler.core.vocabulary import Decision, Function, Instant, Reason, Writer

MAX_PAUSE_S = 10.0
"""A loop that did not look for longer than this begins anew: what it remembers of the last minute has holes."""
SETTLE_S = 2 * demand.WINDOW_S
"""A signal must have been known without a gap for so long before anything is taken away on it."""
TARGET_SETTLE_S = max(target_rule.RATE_WINDOW_S, target_rule.IN_FLIGHT_WINDOW_S)
"""The same for OpenFaaS's formula, whose windows are longer; or the window for the way down, where that is."""

REWORD_S = 10.0
"""A hold is told anew when what is missing is another thing, such as another gateway, and not more often than this."""

_NEVER = Instant(0.0)


@dataclass(frozen=True, slots=True)
class ToldHold:
    """The last hold that was worded."""

    count: int
    reason: Reason
    detail: str
    at: Instant


@dataclass(frozen=True, slots=True)
class LoopHistory:
    """What the loop remembers of one function between looks. Bounded: no window is longer than five minutes."""

    signals: SignalHistory = field(default_factory=SignalHistory)
    replicas: FollowHistory = field(default_factory=FollowHistory)
    known_since: Mapping[str, Instant] = field(default_factory=dict)
    """Since when each signal is known without a gap."""
    looked_at: Instant | None = None
    began_at: Instant = _NEVER
    began: str = "the scaler has just begun to follow it"
    """Since when it has been looking without a pause, and why not for longer."""
    held: ToldHold | None = None
    """So that one that lasts is told once."""
    wakes: int | None = None
    """How often the function had left zero at the last look; None before any."""

    def rested(self, until: Instant) -> LoopHistory:
        """As if it had looked until then and nothing had changed: for simulators that leap over silence."""
        return replace(self, looked_at=until)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision, and what is remembered once it was written and once it was not, or nobody knows.

    A hold has the same history in both. A write whose result is not known counts as not written: the next look at the
    counts tells.
    """

    decision: Decision
    written: LoopHistory
    unwritten: LoopHistory
    repeats: bool = False
    """Whether it is a hold that was told already, with the same reason and words."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one decision is made from, and the words and numbers for it."""

    policy: ScalePolicy
    function: Function
    needs: Sequence[LoadNeed]
    blocked: Held | None
    now: Instant
    level: float | None = None
    """The replicas that a shrink would leave; None where something else decides."""

    @property
    def wanted(self) -> int:
        return self.function.scale.desired

    @property
    def bounds(self) -> Bounds:
        slots = load_needs.highest(self.needs).load.target if self.needs else 1.0
        return Bounds(wake_replicas(self.policy), max(1, self.policy.max), slots)

    def inputs(self, history: LoopHistory) -> dict[str, float]:
        policy, replicas = self.policy, history.replicas
        found: dict[str, float] = {
            "min": max(1, policy.min),
            "max": policy.max,
            "ready": self.function.scale.ready,
            "cold_start_s": replicas.cold_start_s,
            "grip": replicas.grip,
        }
        if not self.needs:
            return found
        winner = load_needs.highest(self.needs)
        found["needed"] = winner.need.replicas
        if self.level is not None:
            found["level"] = self.level
        found["load"], found["target"], found["data_age_s"] = winner.value, winner.load.target, winner.age_s
        asked = winner.demand
        if asked is not None:
            found["rate"], found["service_s"] = asked.rate, asked.service_s
            found["demand"], found["sd"], found["backlog"] = asked.mean, asked.sd, asked.backlog
        for each in self.needs:
            value, needed, age = _keys(each.load.name)
            found[value], found[needed], found[age] = each.value, each.need.replicas, each.age_s
        return found

    def held(self, history: LoopHistory, reason: Reason, detail: str) -> Outcome:
        wanted, last = self.wanted, history.held
        repeats = False
        if last is not None and last.count == wanted and last.reason is reason:
            repeats = last.detail == detail or 0 <= self.now - last.at < REWORD_S
        if last is not None and repeats:
            detail = last.detail
        else:
            history = replace(history, held=ToldHold(wanted, reason, detail, self.now))
        inputs = self.inputs(history)
        decision = Decision(self.function.ref, Writer.SCALER, wanted, wanted, reason, detail, self.now, inputs)
        return Outcome(decision, history, history, repeats)

    def changed(self, history: LoopHistory, after: int, detail: str) -> Outcome:
        wanted = self.wanted
        reason = Reason.LOAD_UP if after > wanted else Reason.LOAD_DOWN
        inputs = self.inputs(history)
        decision = Decision(self.function.ref, Writer.SCALER, wanted, after, reason, detail, self.now, inputs)
        unwritten = replace(history, held=None)
        written = replace(unwritten, replicas=follow.written(history.replicas, after, self.now))
        return Outcome(decision, written, unwritten)


def decide(
    policy: ScalePolicy,
    loads: Sequence[Load],
    history: LoopHistory,
    observation: Observation,
    now: Instant,
    *,
    problems: Sequence[str] = (),
) -> Outcome:
    """What becomes of one function's replicas at this look.

    ``problems`` are those of its labels and loads. Whose function it is, the provider said with it.
    """
    function = observation.function
    refused = _not_ours(policy, function, problems)
    if refused is not None:
        return _Look(policy, function, (), None, now).held(history, *refused)
    history = _looked(history, observation, now)
    history, known, blocked = _heard(policy, loads, history, observation, now)
    needs = _needs(policy, known, history, function.scale.ready, now)
    look = _Look(policy, function, needs, blocked, now)
    outside = _outside(look, history)
    if outside is not None:
        return outside
    if not needs:
        reason, detail = blocked or (Reason.NO_DATA, "it names no load")
        return look.held(history, *((Reason.ASLEEP, explain.ASLEEP) if look.wanted == 0 else (reason, detail)))
    return _by_formula(look, history) if policy.rule is Rule.TARGET else _by_queueing(look, history)


def learned_wake(policy: ScalePolicy, history: LoopHistory, now: Instant) -> int | None:
    """Replicas that the function's next caller shall wake; None where that is its minimum, or nothing new is known."""
    if policy.wake is Wake.MIN or not history.replicas.wake_needs:
        return None
    return follow.learned_wake(Bounds(wake_replicas(policy), max(1, policy.max)), history.replicas, now)


def _not_ours(policy: ScalePolicy, function: Function, problems: Sequence[str]) -> Held | None:
    if problems:
        return Reason.INVALID_LABELS, "; ".join(problems)
    if policy.fixed_size:
        return Reason.FIXED_SIZE, f"min = max = {policy.max}"
    if function.owner is not Writer.SCALER:
        return Reason.NOT_OWNER, "the control loop does not own its replicas"
    return None


def _looked(history: LoopHistory, observation: Observation, now: Instant) -> LoopHistory:
    """After a look at the clock and the counts."""
    last, signals, replicas = history.looked_at, history.signals, history.replicas
    since, began_at, began = history.known_since, history.began_at, history.began
    if last is None:
        began_at = now
    elif now < last:
        signals, replicas, since = signals.begun_anew(), follow.begun_anew(replicas), {}
        began_at, began = now, f"the clock was set back by {last - now:.0f} s"
    elif now - last > MAX_PAUSE_S:
        since, began_at, began = {}, now, f"the loop did not look for {now - last:.0f} s"
    scale, wakes = observation.function.scale, observation.wakes
    woken = history.wakes is not None and wakes > history.wakes
    replicas = follow.looked(replicas, wanted=scale.desired, ready=scale.ready, now=now, woken=woken)
    return LoopHistory(signals, replicas, since, now, began_at, began, history.held, wakes)


def _heard(
    policy: ScalePolicy, loads: Sequence[Load], history: LoopHistory, observation: Observation, now: Instant
) -> tuple[LoopHistory, list[tuple[Load, Calls | Level]], Held | None]:
    """What is known of the loads, and why nothing may be taken away; None where it may."""
    signals, since = history.signals, history.known_since
    known: list[tuple[Load, Calls | Level]] = []
    missing: Held | None = None
    unmeasured: Held | None = None
    """Told last: of the others somebody should hear."""
    partial: Held | None = None
    for load in loads:
        key = signal_key(load)
        signal = observation.signals.get(key)
        why = unknown(key, signal, now)
        if why is not None or signal is None or not isinstance(signal, Calls | Level):
            if why is not None and why[0] is Reason.UNMEASURED:
                unmeasured = unmeasured or why
            else:
                missing = missing or why
            since = {name: at for name, at in since.items() if name != key} if key in since else since
            signals = signals.without_level(key)
            continue
        known.append((load, signal))
        anew = key not in since
        if isinstance(signal, Level):
            signals = signals.with_level(key, signal)
        elif signals.calls.last is not signal.sample:
            anew = anew or signals.restarted(signal)  # what was counted in a gap, and how much of it, nobody knows
            signals = signals.with_calls(signal, policy.rule, restarted=anew)
        if isinstance(signal, Calls) and signal.silent:
            partial = Reason.PARTIAL_DATA, explain.silent(signal.silent)
        if anew:
            since = {**since, key: now}
    if missing is not None and known:
        missing = Reason.PARTIAL_DATA, missing[1]
    if observation.unread:
        partial = Reason.PARTIAL_DATA, f"its replicas could not be counted: {observation.unread}"
    history = replace(history, signals=signals, known_since=since)
    return history, known, missing or partial or unmeasured or _unsettled(policy, history, now)


def _unsettled(policy: ScalePolicy, history: LoopHistory, now: Instant) -> Held | None:
    settle_s = SETTLE_S
    if policy.rule is Rule.TARGET:
        settle_s = max(TARGET_SETTLE_S, policy.down_window_s or 0.0)
    if now - history.began_at < settle_s:
        return Reason.STARTING, f"{history.began}; for {settle_s:g} s it takes nothing away"
    for key, at in history.known_since.items():
        if now - at < settle_s:
            if at - history.began_at <= MAX_PAUSE_S:
                return Reason.STARTING, f"{history.began}; for {settle_s:g} s it takes nothing away"
            return Reason.SOURCE_RESTARTED, f"{key}: known again, and not yet for {settle_s:g} s without a gap"
    return None


def _needs(
    policy: ScalePolicy, known: Sequence[tuple[Load, Calls | Level]], history: LoopHistory, ready: int, now: Instant
) -> list[LoadNeed]:
    signals = history.signals
    if policy.rule is Rule.TARGET:
        return [load_needs.by_formula(load, policy, signals, signal, now) for load, signal in known]
    cold_start_s = history.replicas.cold_start_s
    return [
        load_needs.by_queueing(load, signals, signal, ready=ready, cold_start_s=cold_start_s, now=now)
        for load, signal in known
    ]


def _outside(look: _Look, history: LoopHistory) -> Outcome | None:
    """A count that its limits do not allow any more is brought within them, downwards only if its load is known."""
    wanted, bounds = look.wanted, look.bounds
    if 0 < wanted < bounds.min:
        return look.changed(history, bounds.min, f"{wanted} is below its minimum of {bounds.min}")
    if wanted > bounds.max and look.blocked is None:
        return look.changed(history, bounds.max, f"{wanted} is above its maximum of {bounds.max}")
    return None


def _by_queueing(look: _Look, history: LoopHistory) -> Outcome:
    bounds, need, before, now = look.bounds, load_needs.together(look.needs), history.replicas, look.now
    step = follow.follow(bounds, before, need, may_shrink=look.blocked is None, now=now)
    look, history = replace(look, level=step.level), replace(history, replicas=step.history)
    after, replicas, wanted = step.after, step.history, look.wanted
    if wanted == 0:
        return look.held(history, Reason.ASLEEP, explain.ASLEEP)
    if after > wanted:
        return look.changed(
            history,
            after,
            explain.load_up(look.needs, replicas.cold_start_s, at_max=after == bounds.max < need.replicas),
        )
    if after < wanted:
        return look.changed(history, after, explain.load_down(look.needs, step.level, replicas.grip))
    if look.blocked is not None:
        return look.held(history, *look.blocked)
    if follow.wishes_more(bounds, before, need):
        return look.held(history, Reason.UNCONFIRMED, "one look asked for more; the next one decides")
    return look.held(history, *_resting(look, max(need.replicas, follow.lately_needed(replicas, now))))


def _by_formula(look: _Look, history: LoopHistory) -> Outcome:
    bounds, now, wanted = look.bounds, look.now, look.wanted
    need = load_needs.together(look.needs)
    desired = round(need.replicas)
    window_s = look.policy.down_window_s or 0.0
    kept, target = target_rule.windowed(history.signals.target, desired, window_s, now)
    signals, replicas = replace(history.signals, target=target), follow.remembered(history.replicas, need, now)
    history = replace(history, signals=signals, replicas=replicas)
    if wanted == 0:
        return look.held(history, Reason.ASLEEP, explain.ASLEEP)
    after = desired if desired >= wanted else min(wanted, kept)
    after = max(bounds.min, min(after, bounds.max))
    # A wake is ahead of the windows: they have not seen yet what it was for.
    woken = now - replicas.woken_at < target_rule.RATE_WINDOW_S
    if after > wanted or (after < wanted and look.blocked is None and not woken):
        return look.changed(history, after, explain.by_formula(look.needs, look.policy.target_proportion))
    if look.blocked is not None:
        return look.held(history, *look.blocked)
    return look.held(history, *_resting(look, desired))


def _resting(look: _Look, needed: float) -> Held:
    """Why a count stays where its load is known."""
    wanted, bounds = look.wanted, look.bounds
    if needed > wanted == bounds.max:
        return Reason.AT_MAX, f"{bounds.max} is its maximum"
    if wanted == bounds.min and needed <= wanted:
        return Reason.AT_MIN, f"{bounds.min} is its minimum"
    if follow.worth_shrinking(bounds, wanted, max(bounds.min, math.ceil(needed))):
        return Reason.SETTLING, "the load fell; it waits whether it stays down"
    return Reason.ENOUGH, "its replicas fit its load"


@lru_cache(maxsize=1024)
def _keys(name: str) -> tuple[str, str, str]:
    return name, f"{name}_needed", f"{name}_age_s"
