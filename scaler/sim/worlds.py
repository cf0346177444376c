"""Kinds of load that functions have, each as a world: arrivals, how long a call takes, how long a start takes.

Every world draws from seeds, so that a rule can be tuned on some and judged on others.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

from springtide.scaler.sim.engine import World

Rate = Callable[[float], float]
Draw = Callable[[random.Random], float]


def poisson(rate: Rate, highest: float) -> Callable[[random.Random], Iterator[float]]:
    """Arrivals at a rate that changes with time, by thinning (P. A. W. Lewis, G. S. Shedler, 1979)."""

    def arrivals(source: random.Random) -> Iterator[float]:
        at = 0.0
        while True:
            at += source.expovariate(highest)
            if source.random() * highest <= rate(at):
                yield at

    return arrivals


def herds(every_s: float, size: int, spread_s: float) -> Callable[[random.Random], Iterator[float]]:
    """``size`` calls within ``spread_s`` seconds, now and again."""

    def arrivals(source: random.Random) -> Iterator[float]:
        start = 5.0
        while True:
            yield from sorted(start + source.random() * spread_s for _ in range(size))
            start += every_s * (0.8 + 0.4 * source.random())

    return arrivals


def modulated(low: float, high: float, mean_s: float) -> Callable[[random.Random], Iterator[float]]:
    """A Poisson process that switches between two rates at random."""

    def arrivals(source: random.Random) -> Iterator[float]:
        at, until, rate = 0.0, source.expovariate(1 / mean_s), low
        while True:
            step = source.expovariate(rate)
            if at + step <= until:
                at += step
                yield at
            else:
                at, rate = until, high if rate == low else low
                until = at + source.expovariate(1 / mean_s)

    return arrivals


def bursts(rate: float, mean_size: float, spread_s: float) -> Callable[[random.Random], Iterator[float]]:
    """Calls that come in groups of random size."""

    def arrivals(source: random.Random) -> Iterator[float]:
        start = 0.0
        pending: list[float] = []
        while True:
            start += source.expovariate(rate)
            while pending and pending[0] <= start:
                yield pending.pop(0)
            size = 1 + int(source.expovariate(1 / mean_size))
            pending = sorted([*pending, *(start + source.random() * spread_s for _ in range(size))])

    return arrivals


def exponential(mean_s: float) -> Draw:
    rate = 1 / mean_s
    return lambda source: -math.log(1.0 - source.random()) / rate  # as expovariate, in half of the time


def lognormal(median_s: float, sigma: float) -> Draw:
    return lambda source: source.lognormvariate(math.log(median_s), sigma)


def _noisy(base: Rate, share: float, every_s: float, seed: int) -> Rate:
    """The rate times a factor that changes every so often; the same for all who ask."""

    def rate(at: float) -> float:
        return base(at) * (1 + share * (2 * random.Random(seed * 1_000_003 + int(at / every_s)).random() - 1))

    return rate


START = lognormal(1.5, 0.25)
HALF_SECOND, SECOND = exponential(0.5), exponential(1.0)


def _world(
    name: str,
    length_s: float,
    arrivals: Callable[[random.Random], Iterator[float]],
    service_s: Draw = SECOND,
    *,
    cold_start_s: Draw = START,
    later: tuple[float, Draw] | None = None,
    slots: int = 1,
    zero_after_s: float | None = None,
) -> World:
    return World(
        name=name,
        length_s=length_s,
        arrivals=arrivals,
        service_s=service_s,
        cold_start_s=cold_start_s,
        later=later,
        slots=slots,
        zero_after_s=zero_after_s,
    )


def _square(low: float, high: float, period_s: float, on_s: float) -> Rate:
    return lambda at: high if at % period_s < on_s else low


def _moment(_source: random.Random) -> float:
    return 0.005


def _wave(mean: float, swing: float, period_s: float) -> Rate:
    return lambda at: mean * (1 + swing * math.sin(2 * math.pi * at / period_s))


def _flash(at: float) -> float:
    return 2 + 58 * math.exp(-(at - 300) / 120) if at >= 300 else 2.0


def _ramp(at: float) -> float:
    return 1 + 39 * min(1.0, max(0.0, (at - 120) / 480)) if at < 900 else 41 - 40 * min(1.0, (at - 900) / 300)


KINDS: tuple[World, ...] = (
    _world("step", 900, poisson(lambda at: 30.0 if at >= 300 else 3.0, 30)),
    _world("short calls", 900, poisson(_square(20, 100, 400, 200), 100), exponential(0.1)),
    _world("wide replicas", 1200, poisson(_square(10, 80, 600, 300), 80), slots=10),
    _world("ramp", 1500, poisson(_ramp, 41)),
    _world("spikes", 1800, poisson(_square(4, 40, 180, 30), 40)),
    _world("diurnal", 7200, poisson(_noisy(_wave(12, 0.8, 3600), 0.3, 20, 7), 30)),
    _world("flash crowd", 1200, poisson(_flash, 62)),
    _world("on-off", 3600, poisson(_square(0, 15, 600, 240), 15), zero_after_s=60),
    _world("slow calls", 3600, poisson(_square(0.5, 2, 1800, 900), 2), exponential(20)),
    _world("fast calls", 900, poisson(_square(40, 300, 450, 225), 300), exponential(0.05), slots=4),
    _world("herds", 3600, herds(300, 100, 0.5), HALF_SECOND, zero_after_s=60),
    _world("weekly", 14400, poisson(_noisy(_wave(6, 0.9, 7200), 0.2, 60, 3), 20)),
    _world("heavy tails", 1800, poisson(lambda _: 8.0, 8), lognormal(0.4, 1.5)),
    _world("long starts", 2400, poisson(_square(3, 20, 800, 400), 20), cold_start_s=lognormal(20, 0.15)),
    _world("bursts", 1800, bursts(0.3, 12, 2.0), HALF_SECOND),
    _world("cron", 3600, herds(60, 20, 1.0), HALF_SECOND),
    _world("modulated", 3600, modulated(2, 25, 90)),
    _world("tiny load", 3600, poisson(lambda _: 0.05, 1), HALF_SECOND),
    _world("surge", 900, poisson(lambda at: 200.0 if 300 <= at < 420 else 5.0, 200), HALF_SECOND),
    _world("fan-out", 1800, herds(45, 60, 0.2), exponential(2.0)),
    _world("nights", 7200, poisson(_square(0.02, 10, 2400, 1200), 10)),
    _world("drop-outs", 1800, poisson(lambda at: 0.001 if at % 300 < 20 else 20.0, 20)),
    _world("saw", 2400, poisson(lambda at: 2 + 30 * (at % 600) / 600, 33)),
)

CHANGING: tuple[World, ...] = (
    _world(
        "becomes long",
        900,
        poisson(lambda at: 20.0 if at < 300 else 30.0, 30),
        _moment,
        later=(300.0, SECOND),
        slots=5,
    ),
    _world("becomes short", 900, poisson(lambda at: 10.0 if at < 300 else 100.0, 100), later=(300.0, _moment)),
)
"""Calls that from an instant on take another time than all that are remembered."""
