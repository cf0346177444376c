"""The cheapest labels with which a recorded function would have been as good as somebody wishes.

A small grid, walked in two turns: first the target, always awake; then, for the cheapest targets that are good enough,
how long a silence has to be until it sleeps. How sure that is, is told by the same policy on parts of the recording:
its days, drawn with repetition (bootstrap; B. Efron, 1979), or its halves where there are few days.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from springtide.scaler.core import targets
from springtide.scaler.core.targets import TargetType
from springtide.scaler.sim import policies, recording
from springtide.scaler.sim.lives import lives
from springtide.scaler.sim.policies import LABELS, Policy
from springtide.scaler.sim.recording import Recording
from springtide.scaler.sim.replay import Circumstances, Result

TARGETS = (1, 2, 5, 10, 20, 50, 100)
ZERO_DURATIONS = ("2m", "5m", "15m", "1h")
MORE_MINIMA = (2, 3)
KEPT_TARGETS = 2
"""So many of the first turn are tried in the second."""
DAY_S = 86400.0
MIN_DAYS = 4
RESAMPLES, ALL_BUT = 400, 0.05
"""Of the bootstrap; so much is left out at each end."""
BINS_A_FACTOR_OF_E = 50
"""Waits are binned by their logarithm, 2 % wide, so that days can be added up hundreds of times."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Wish:
    """The longest wait of 99 % of all calls, in seconds, and the share of calls that may find no replica."""

    p99_s: float
    cold_share: float


@dataclass(frozen=True, slots=True)
class Tried:
    """A policy and what it came to. ``replicas`` is the mean count, of which the cost is made."""

    policy: Policy
    labels: Mapping[str, str]
    p99_s: float
    cold_share: float
    replicas: float
    unserved: int

    def misses(self, wish: Wish) -> float:
        """0 where it is as good as wished, else by which factor it is worse."""
        late, cold = (
            value / max(limit, 1e-6) if value > limit else 0.0
            for value, limit in ((self.p99_s, wish.p99_s), (self.cold_share, wish.cold_share))
        )
        return math.inf if self.unserved else max(late, cold)


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """What the best policy came to on parts of the recording: from, to."""

    by: str
    p99_s: Interval
    cold_share: Interval
    replicas: Interval


@dataclass(frozen=True, slots=True)
class Advice:
    """``fits``: the best one is as good as wished. If not, it is the one that comes nearest."""

    best: Tried
    fits: bool
    uncertainty: Uncertainty | None
    tried: Sequence[Tried] = field(default=())


def advise(
    known: Recording, given: Circumstances, wish: Wish, *, largest: int, load: TargetType = targets.CAPACITY
) -> Iterator[Advice | None]:
    """None after each policy that was tried, so that somebody can tell of progress; the advice comes last.

    ``load`` is what the targets count: calls in flight, or calls a second.
    """
    tried: list[Tried] = []
    for target in _targets(load, given.concurrency):
        tried.append(_try({"type": load.name, "target": str(target)}, known, given, largest))
        yield None
    kept = _sorted(tried, wish)[:KEPT_TARGETS]
    for one, duration in itertools.product(kept, ZERO_DURATIONS):
        tried.append(_try({**_said(one), "zero": "true", "zero-duration": duration}, known, given, largest))
        yield None
    best = _sorted(tried, wish)[0]
    if best.misses(wish):
        for least in MORE_MINIMA:
            tried.append(_try({**_said(kept[0]), "min": str(min(least, largest))}, known, given, largest))
            yield None
        best = _sorted(tried, wish)[0]
    yield Advice(best, not best.misses(wish), _uncertainty(best.policy, known, given), tuple(_sorted(tried, wish)))


def _targets(load: TargetType, concurrency: int) -> Sequence[int]:
    """No more calls in flight than a replica works on at once; calls a second may be any."""
    if load is targets.RPS:
        return TARGETS
    return (*(each for each in TARGETS if each < concurrency), min(concurrency, TARGETS[-1]))


def tries(concurrency: int, load: TargetType = targets.CAPACITY) -> int:
    """How many policies are tried, at most."""
    return len(_targets(load, concurrency)) + KEPT_TARGETS * len(ZERO_DURATIONS) + len(MORE_MINIMA)


def _said(one: Tried) -> dict[str, str]:
    return {key: one.labels[name] for key, name in LABELS.items() if name in one.labels and key != "max"}


def _try(said: Mapping[str, str], known: Recording, given: Circumstances, largest: int) -> Tried:
    said = {**said, "max": str(largest)}
    policy = policies.parse(",".join(f"{key}={value}" for key, value in said.items()))
    result, _ = lives(known, policy, given)
    labels = {LABELS[key]: value for key, value in said.items()}
    p99_s, cold_share, replicas = _figures(result, known)
    return Tried(policy, labels, p99_s, cold_share, replicas, result.unserved)


def _figures(result: Result, known: Recording) -> tuple[float, float, float]:
    (p99_s,) = result.waited_s(0.99)
    return p99_s, result.cold / max(1, result.calls + result.unserved), result.replica_s / max(1.0, known.known_s)


def _sorted(tried: Sequence[Tried], wish: Wish) -> list[Tried]:
    """Good ones by their cost, then the others by how far they are off. Of equals, the largest target: fewer moves."""
    return sorted(tried, key=lambda one: (one.misses(wish), round(one.replicas, 4), -one.policy.scale.target))


def _uncertainty(policy: Policy, known: Recording, given: Circumstances) -> Uncertainty | None:
    days = int(known.length_s // DAY_S)
    by_days = days >= MIN_DAYS
    number = days if by_days else 2
    length_s = known.length_s / number
    cut = [recording.part_of(known, place * length_s, (place + 1) * length_s) for place in range(number)]
    parts = [part for part in cut if part.stretches]
    if len(parts) < 2:
        return None
    lived = [(lives(part, policy, given)[0], part) for part in parts]
    if not by_days:
        figures = [_figures(result, part) for result, part in lived]
        return Uncertainty("halves", *((min(column), max(column)) for column in zip(*figures, strict=True)))
    drawn = sorted_columns(_resampled(lived, random.Random(given.seed)))
    return Uncertainty("days", *((column[0], column[-1]) for column in drawn))


def sorted_columns(rows: Sequence[tuple[float, float, float]]) -> list[list[float]]:
    """Each figure by its size, without the extremes at both ends."""
    off = int(len(rows) * ALL_BUT)
    return [sorted(column)[off : len(rows) - off] for column in zip(*rows, strict=True)]


def _resampled(lived: Sequence[tuple[Result, Recording]], source: random.Random) -> list[tuple[float, float, float]]:
    bins = [
        Counter(round(math.log(max(1e-6, wait)) * BINS_A_FACTOR_OF_E) for wait in result.waits) for result, _ in lived
    ]
    rows = []
    for _ in range(RESAMPLES):
        places = source.choices(range(len(lived)), k=len(lived))
        calls = sum(lived[place][0].calls for place in places)
        cold = sum(lived[place][0].cold for place in places)
        replica_s = sum(lived[place][0].replica_s for place in places)
        known_s = sum(lived[place][1].known_s for place in places)
        waits: Counter[int] = Counter()
        for place in places:
            waits.update(bins[place])
        rows.append((_p99(waits, calls), cold / max(1, calls), replica_s / max(1.0, known_s)))
    return rows


def _bin(wait_s: float) -> int:
    return round(math.log(max(1e-6, wait_s)) * BINS_A_FACTOR_OF_E)


def _p99(waits: Counter[int], calls: int) -> float:
    left = calls * 0.01
    for place in sorted(waits, reverse=True):
        left -= waits[place]
        if left < 0:
            return math.exp(place / BINS_A_FACTOR_OF_E)
    return 0.0
