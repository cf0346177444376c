"""One dial for all functions: what a cold start may cost so that sleeping costs no more than it does today, or so that
no more calls than wished are cold. Prices over their whole range are tried, which makes a curve; then those between the
two nearest, by bisection: the dearer a cold start, the longer functions are up.

All live through their recorded calls by ``scaler.sim.sleeping``; the second half is counted, for in the first one they
learn.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from springtide.scaler.core.keepalive.rule import Price
from springtide.scaler.core.label_values import MAX_COLD_WORTH_S
from springtide.scaler.sim import sleeping
from springtide.scaler.sim.bursts import Bursts, bursts_of
from springtide.scaler.sim.recording import Recording
from springtide.scaler.sim.replay import Circumstances
from springtide.scaler.sim.sleepers import FixedSilence, LearnedSleep
from springtide.scaler.sim.sleeping import Sleeper, Total

MIN_COLD_WORTH_S, MIN_CURVE_S = 1.0, 60.0
CURVE = 8
"""So many prices make the curve, evenly on a scale of magnitudes."""
STEPS = 7
"""Of the bisection between two of them: the last one is of a percent."""
TRIES = 1 + CURVE + STEPS
"""At most, today among them."""


@dataclass(frozen=True, slots=True)
class Today:
    """How one function sleeps now: after a silence, or as is learned at a price, with the silence for a floor."""

    silence_s: float
    price: Price | None = None


Life = tuple[Bursts, Today]


@dataclass(frozen=True, slots=True)
class Point:
    """What one price comes to, or, with none, what there is today."""

    price: Price | None
    cold_share: float
    """Of all calls."""
    mean_cold_share: float
    """The mean over functions of the share of their own calls."""
    replica_hours: float

    @classmethod
    def of(cls, price: Price | None, total: Total) -> Point:
        return cls(price, total.cold / max(1, total.calls), total.mean_cold_share, total.replica_hours)


@dataclass(frozen=True, slots=True)
class SleepAdvice:
    """``best`` is the last of ``tried`` that fits; ``fits`` is false where none does, and it comes nearest."""

    today: Point
    best: Point
    fits: bool
    tried: Sequence[Point]


def bursts(recording: Recording, given: Circumstances) -> list[Bursts]:
    """A life for each stretch that is known: what is learned is not carried over what is not."""
    lives = []
    for stretch in recording.stretches:
        source = random.Random(f"{given.seed} {recording.function} {stretch.since_s:g}")
        lives.append(
            bursts_of(
                recording.function,
                stretch.trace.arrivals(source),
                length_s=stretch.trace.length_s,
                cold_start_s=given.cold_start_s,
                service_s=given.service_s(recording.function),
                source=source,
            )
        )
    return lives


def advise(lives: Sequence[Life], *, kappa: float, cold_share: float | None = None) -> Iterator[SleepAdvice | None]:
    """None after each price that was tried; the advice comes last.

    Without ``cold_share`` the dearest price at which functions are up no longer than today, else the cheapest at which
    no greater share of all calls is cold.
    """
    today = Point.of(None, _total(lives, None))
    yield None
    # Nothing that is longer than what is recorded can be told from it.
    longest_s = max(bursts.length_s for bursts, _ in lives)
    most = math.log(max(2 * MIN_CURVE_S, min(MAX_COLD_WORTH_S, longest_s)))
    step = (most - math.log(MIN_CURVE_S)) / (CURVE - 1)
    grid = [most - step * number for number in reversed(range(CURVE))]
    tried: list[Point] = []
    for at in grid:
        tried.append(_tried(lives, at, kappa))
        yield None
    enough = next((place for place, point in enumerate(tried) if not _to_be_dearer(point, today, cold_share)), None)
    if enough is not None:
        low, high = grid[enough - 1] if enough else math.log(MIN_COLD_WORTH_S), grid[enough]
        for _ in range(STEPS):
            middle = (low + high) / 2
            tried.append(_tried(lives, middle, kappa))
            yield None
            low, high = (middle, high) if _to_be_dearer(tried[-1], today, cold_share) else (low, middle)
    yield _chosen(today, tried, cold_share)


def _tried(lives: Sequence[Life], log_s: float, kappa: float) -> Point:
    price = Price(rounded(math.exp(log_s)), kappa)
    return Point.of(price, _total(lives, price))


def _to_be_dearer(point: Point, today: Point, cold_share: float | None) -> bool:
    return point.replica_hours <= today.replica_hours if cold_share is None else point.cold_share > cold_share


def _chosen(today: Point, tried: Sequence[Point], cold_share: float | None) -> SleepAdvice:
    by_price = {each.price.cold_worth_s: each for each in tried if each.price is not None}
    ordered = tuple(by_price[worth_s] for worth_s in sorted(by_price))
    if cold_share is None:
        fits = [each for each in ordered if each.replica_hours <= today.replica_hours]
        best = min(fits, key=lambda each: (each.cold_share, each.replica_hours), default=ordered[0])
    else:
        fits = [each for each in ordered if each.cold_share <= cold_share]
        best = min(fits, key=lambda each: (each.replica_hours, each.cold_share), default=ordered[-1])
    return SleepAdvice(today, best, bool(fits), ordered)


def rounded(seconds: float) -> float:
    """To what reads well in a label: seconds, from ten minutes on minutes, from ten hours on hours."""
    unit = 1 if seconds < 600 else 60 if seconds < 36_000 else 3600
    return max(MIN_COLD_WORTH_S, float(round(seconds / unit) * unit))


def _total(lives: Sequence[Life], price: Price | None) -> Total:
    """At a price for all, or as each sleeps today."""
    found = Total()
    for bursts, today in lives:
        asked = price or today.price
        sleeper: Sleeper = FixedSilence(today.silence_s)
        if asked is not None:
            sleeper = LearnedSleep(asked, cold_start_s=bursts.cold_start_s, fixed_s=today.silence_s)
        found.functions.append(sleeping.live(bursts, sleeper, from_s=bursts.length_s / 2))
    return found
