"""How many replicas each load of a function needs, by either rule.

``queueing``: calls by ``demand``, one cold start ahead; levels that somebody else measures (processor time, messages,
an own measure) as they are. ``target``: OpenFaaS's documented formula for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from springtide.scaler.core import demand, target_rule, targets
from springtide.scaler.core.demand import Demand, LoadHistory
from springtide.scaler.core.follow import Need
from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Calls, Level, signal_key
from springtide.scaler.core.policy import Rule, ScalePolicy
from springtide.scaler.core.target_rule import TargetHistory
from springtide.scaler.core.vocabulary import Instant

LEVEL_WINDOW_S = 5.0
"""Levels of so long are taken together: a short peak of processor time is noise. One that is measured more rarely is a
mean of its own already."""
MAX_LEVELS = 16

Levels = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class SignalHistory:
    """What is remembered of a function's signals, for as long as the longest window."""

    calls: LoadHistory = field(default_factory=LoadHistory)
    target: TargetHistory = field(default_factory=TargetHistory)
    """Only where OpenFaaS's formula decides."""
    levels: Mapping[str, Levels] = field(default_factory=dict)
    """Instants and values, by the signal's key."""
    silent: tuple[str, ...] = ()

    def begun_anew(self) -> SignalHistory:
        """What is worth keeping where instants mean nothing any more."""
        return SignalHistory(calls=self.calls.begun_anew())

    def restarted(self, calls: Calls) -> bool:
        """Whether counters are below what they were, or hold what a gateway counted while nobody heard of it."""
        last = self.calls.last
        if last is None:
            return False
        returned = bool(self.silent) and not set(self.silent) <= set(calls.silent)
        return returned or demand.began_anew(last, calls.sample)

    def with_calls(self, calls: Calls, rule: Rule, *, restarted: bool) -> SignalHistory:
        sample = calls.sample
        history = self.calls.resumed(sample) if restarted else self.calls.with_sample(sample)
        target = self.target
        if rule is Rule.TARGET:
            target = (replace(target, completed=()) if restarted else target).with_sample(sample)
        return SignalHistory(history, target, self.levels, calls.silent)

    def with_level(self, key: str, level: Level) -> SignalHistory:
        """A level that is not newer than the last changes nothing."""
        before = self.levels.get(key, ())
        if before and level.at <= before[-1][0]:
            return self
        kept = tuple(seen for seen in before[1 - MAX_LEVELS :] if seen[0] > level.at - LEVEL_WINDOW_S)
        return replace(self, levels={**self.levels, key: (*kept, (level.at, level.value))})

    def without_level(self, key: str) -> SignalHistory:
        if key not in self.levels:
            return self
        return replace(self, levels={known: seen for known, seen in self.levels.items() if known != key})


@dataclass(frozen=True, slots=True)
class LoadNeed:
    """One load, and what it needs. ``value`` in the load's unit; ``demand`` where it was made from calls."""

    load: Load
    value: float
    need: Need
    age_s: float
    demand: Demand | None = None


def by_queueing(
    load: Load, history: SignalHistory, signal: Calls | Level, *, ready: int, cold_start_s: float, now: Instant
) -> LoadNeed:
    """What one load needs, a cold start ahead where it is calls."""
    age_s = now - signal.at
    if isinstance(signal, Level):
        seen = [value for _, value in history.levels[signal_key(load)]]
        if load.type is targets.QUEUE:  # a count, not a measurement: the last one is true
            seen = seen[-1:]
        mean, least = sum(seen) / len(seen) / load.target, min(seen) / load.target
        return LoadNeed(load, signal.value, Need(mean, least), age_s)
    if load.type is targets.RPS:
        asked, need = demand.calls_per_second(history.calls, load.target, cold_start_s=cold_start_s)
        return LoadNeed(load, asked.rate, need, age_s, asked)
    asked, need = demand.calls_under_way(history.calls, load.target, ready=ready, cold_start_s=cold_start_s)
    return LoadNeed(load, signal.sample.in_flight, need, age_s, asked)


def by_formula(
    load: Load, policy: ScalePolicy, history: SignalHistory, signal: Calls | Level, now: Instant
) -> LoadNeed:
    """What OpenFaaS's formula gives for one load."""
    if isinstance(signal, Level):
        value = signal.value
    elif load.type is targets.RPS:
        value = history.target.completed_per_second
    else:
        value = history.target.most_in_flight
    count = float(target_rule.desired(value, target=load.target, proportion=policy.target_proportion))
    return LoadNeed(load, value, Need(count, count), now - signal.at)


def highest(needs: Sequence[LoadNeed]) -> LoadNeed:
    """The one that wins; of equals the one that is named first."""
    return needs[0] if len(needs) == 1 else max(needs, key=lambda each: each.need.replicas)


def together(needs: Sequence[LoadNeed]) -> Need:
    """What all of them need at once."""
    if len(needs) == 1:
        return needs[0].need
    winner = highest(needs).need
    return Need(winner.replicas, max(each.need.certain for each in needs), winner.at_once)
