"""One dial for all functions: what a cold start may cost so that sleeping costs no more than it does today, or so that
no more calls than wished are cold. Found by bisection: the dearer a cold start, the longer functions are up.

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

MIN_COLD_WORTH_S = 1.0
STEPS = 12
"""Of the bisection, on a scale of magnitudes: the last one is of a third of a percent."""


@dataclass(frozen=True, slots=True)
class Point:
    """What one rule comes to. ``price`` is None for the fixed silence of today."""

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


def advise(
    lives: Sequence[Bursts], *, fixed_s: float, kappa: float, cold_share: float | None = None
) -> Iterator[SleepAdvice | None]:
    """None after each price that was tried; the advice comes last. ``fixed_s`` is how long a silence is today.

    Without ``cold_share`` the dearest price at which functions are up no longer than today, else the cheapest at which
    no greater share of all calls is cold.
    """
    today = Point.of(None, _total(lives, None, fixed_s))
    yield None
    # Nothing that is longer than what is recorded can be told from it.
    longest_s = max(life.length_s for life in lives)
    low, high = math.log(MIN_COLD_WORTH_S), math.log(max(2.0, min(MAX_COLD_WORTH_S, longest_s)))
    tried: list[Point] = []
    for _ in range(STEPS):
        price = Price(rounded(math.exp((low + high) / 2)), kappa)
        tried.append(Point.of(price, _total(lives, price, fixed_s)))
        yield None
        last = tried[-1]
        dearer = last.replica_hours <= today.replica_hours if cold_share is None else last.cold_share > cold_share
        low, high = ((low + high) / 2, high) if dearer else (low, (low + high) / 2)
    yield _chosen(today, tried, cold_share)


def _chosen(today: Point, tried: Sequence[Point], cold_share: float | None) -> SleepAdvice:
    ordered = tuple(sorted(tried, key=lambda each: each.price.cold_worth_s if each.price else 0.0))
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


def _total(lives: Sequence[Bursts], price: Price | None, fixed_s: float) -> Total:
    found = Total()
    for life in lives:
        sleeper: Sleeper = FixedSilence(fixed_s)
        if price is not None:
            sleeper = LearnedSleep(price, cold_start_s=life.cold_start_s, fixed_s=fixed_s)
        found.functions.append(sleeping.live(life, sleeper, from_s=life.length_s / 2))
    return found
