"""Three hundred functions for two weeks, drawn from a seed: what a suite is called for, in rough shares.

Rare and busy ones at random (Poisson), timers with and without jitter, daily rhythms, bursts, and some whose load
changes for good in the middle. The shares follow what is known of Azure's functions: most are called rarely, a third
by timers (Shahrad et al., "Serverless in the Wild", USENIX ATC 2020).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from springtide.scaler.sim import worlds
from springtide.scaler.sim.bursts import Bursts, bursts_of

DAY_S, HOUR_S = 86400.0, 3600.0
WEEK_S = 7 * DAY_S
LENGTH_S = 2 * WEEK_S

Calls = Callable[[random.Random], Iterator[float]]
TIMERS_S = (300.0, 600.0, 900.0, 1800.0, HOUR_S, HOUR_S, 6 * HOUR_S, DAY_S)


def population(seed: int, kinds: Collection[str] = ()) -> Sequence[Bursts]:
    """All of them, or those of some of ``KINDS``: the same functions for the same seed."""
    return [
        _function(name := f"{kind}-{number}", make, random.Random(f"{seed} {name}"))
        for kind, (share, make) in KINDS.items()
        if not kinds or kind in kinds
        for number in range(share)
    ]


def _function(name: str, make: Callable[[random.Random], Calls], source: random.Random) -> Bursts:
    calls = make(source)
    return bursts_of(
        name,
        calls(source),
        length_s=LENGTH_S,
        cold_start_s=min(20.0, max(0.3, source.lognormvariate(math.log(2.0), 0.7))),
        service_s=worlds.lognormal(source.lognormvariate(math.log(0.5), 1.0), 0.8),
        source=source,
    )


def _between(source: random.Random, low: float, high: float) -> float:
    """Evenly on a scale of magnitudes."""
    return math.exp(source.uniform(math.log(low), math.log(high)))


def _steady(rate: float) -> Calls:
    return worlds.poisson(lambda _: rate, rate)


def _rare(source: random.Random) -> Calls:
    return _steady(1 / _between(source, HOUR_S, 24 * HOUR_S))


def _medium(source: random.Random) -> Calls:
    return _steady(1 / _between(source, 300.0, HOUR_S))


def _busy(source: random.Random) -> Calls:
    return _steady(1 / _between(source, 5.0, 300.0))


def _timer(source: random.Random) -> Calls:
    every_s = source.choice(TIMERS_S)
    return _ticks(every_s, source.random() * every_s, 0.0)


def _jittery(source: random.Random) -> Calls:
    every_s = source.choice(TIMERS_S)
    return _ticks(every_s, source.random() * every_s, source.uniform(0.02, 0.3))


def _ticks(every_s: float, first_s: float, jitter: float) -> Calls:
    def calls(source: random.Random) -> Iterator[float]:
        at = first_s
        while True:
            yield at
            at += every_s * (1 + jitter * source.uniform(-1, 1))

    return calls


def _daily(source: random.Random) -> Calls:
    """Office hours, or a wave over the day; some rest at weekends."""
    rate, begin = 1 / _between(source, 20.0, 2 * HOUR_S), source.uniform(0, DAY_S)
    hours, weekend = source.uniform(6, 12), source.random() < 0.5
    wave = source.random() < 0.5

    def at_time(at: float) -> float:
        if weekend and at % WEEK_S >= 5 * DAY_S:
            return 0.02 * rate
        share = (at - begin) % DAY_S / DAY_S
        if wave:
            return rate * max(0.01, math.sin(2 * math.pi * share))
        return rate if share * 24 < hours else 0.01 * rate

    return worlds.poisson(at_time, rate)


def _sessions(source: random.Random) -> Calls:
    """Somebody works with it for a while, and comes back hours later."""
    apart_s, pause_s = _between(source, HOUR_S, 12 * HOUR_S), _between(source, 20.0, 600.0)
    size = source.uniform(3, 30)

    def calls(source: random.Random) -> Iterator[float]:
        at = 0.0
        while True:
            at += source.expovariate(1 / apart_s)
            yield at
            while source.random() > 1 / size:
                at += source.expovariate(1 / pause_s)
                yield at

    return calls


def _changing(source: random.Random) -> Calls:
    """It is one thing until an instant, and another one from then on."""
    before, after = (source.choice((_rare, _medium, _busy, _timer, _jittery))(source) for _ in range(2))
    change_s = source.uniform(0.25, 0.85) * LENGTH_S

    def calls(source: random.Random) -> Iterator[float]:
        for at in before(source):
            if at >= change_s:
                break
            yield at
        yield from (at for at in after(source) if at >= change_s)

    return calls


KINDS: Mapping[str, tuple[int, Callable[[random.Random], Calls]]] = {
    "rare": (70, _rare),
    "medium": (40, _medium),
    "busy": (30, _busy),
    "timer": (45, _timer),
    "jittery-timer": (30, _jittery),
    "daily": (40, _daily),
    "sessions": (25, _sessions),
    "changing": (20, _changing),
}
"""How many there are of each kind."""
