"""Sleep in simulated weeks: what is counted, today's rules and the learned one beside them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from springtide.scaler.core.keepalive.rule import Price
from springtide.scaler.core.keepalive.windows import Window
from springtide.scaler.sim import population, sleeping
from springtide.scaler.sim.bursts import Bursts, bursts_of
from springtide.scaler.sim.sleepers import HybridHistogram, LearnedSleep, Oracle
from springtide.scaler.sim.sleeping import Sleeper, Slept, Total, live

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0


def bursts(times: Sequence[float], *, length_s: float, service_s: float = 1.0, cold_start_s: float = 2.0) -> Bursts:
    return bursts_of(
        "f",
        times,
        length_s=length_s,
        cold_start_s=cold_start_s,
        service_s=lambda _: service_s,
        source=random.Random(1),
    )


class Up:
    """Up in these windows after the last call, by its end."""

    def __init__(self, *windows: tuple[float, float]) -> None:
        self._windows = windows
        self._at = 0.0

    def called(self, _since: float, until: float, _calls: int, /) -> None:
        self._at = until

    def windows(self) -> Sequence[Window]:
        return [Window(self._at + since, self._at + until) for since, until in self._windows]


def test_calls_with_short_pauses_are_one_burst() -> None:
    found = bursts([0, 10, 69, 131, 400], length_s=1000)

    assert [*zip(found.since, found.until, found.calls, strict=True)] == [(0, 70, 3), (131, 132, 1), (400, 401, 1)]


def test_cold_calls_and_seconds_up_are_counted() -> None:
    life = bursts([0, 100, 1000], length_s=2000)

    assert live(life, Up((0, 300))) == Slept("f", calls=3, cold=2, up_s=1 + 99 + 1 + 300 + 1 + 300)
    assert live(life, Up((0, 60), (80, 120))) == Slept(
        "f", calls=3, cold=2, up_s=1 + 60 + 19 + 1 + 60 + 40 + 1 + 60 + 40, flaps=3
    )


def test_what_was_before_is_lived_but_not_counted() -> None:
    life = bursts([0, 500, 1000], length_s=2000)

    assert live(life, Up((0, 300)), from_s=600) == Slept("f", calls=1, cold=1, up_s=201 + 1 + 300)


def test_the_oracle_meets_no_cold_start_but_the_first_and_is_hardly_up() -> None:
    life = bursts([number * HOUR_S for number in range(24)], length_s=DAY_S)

    assert live(life, Oracle(life)) == Slept("f", calls=24, cold=1, up_s=24 * 1 + 23 * 2)


def test_the_hybrid_histogram_keeps_for_its_range_until_it_knows_better() -> None:
    hybrid = HybridHistogram()
    ends = []
    for number in range(8):
        hybrid.called(number * 30 * MINUTE_S, number * 30 * MINUTE_S, 1)
        ends.append(
            [(each.since - number * 30 * MINUTE_S, each.until - number * 30 * MINUTE_S) for each in hybrid.windows()]
        )

    assert ends[3] == [(0, 240 * MINUTE_S)]
    assert ends[-1] == [(0, 0), (0.9 * 30 * MINUTE_S, 1.1 * 31 * MINUTE_S)]


def test_the_hybrid_histogram_keeps_for_its_range_what_is_mostly_out_of_it() -> None:
    hybrid = HybridHistogram()
    for number in range(8):
        hybrid.called(number * 5 * HOUR_S, number * 5 * HOUR_S, 1)

    assert [each.until - each.since for each in hybrid.windows()] == [240 * MINUTE_S]


def test_after_its_third_call_no_call_of_a_timer_is_cold() -> None:
    life = bursts([number * HOUR_S for number in range(48)], length_s=2 * DAY_S)
    learned = LearnedSleep(Price(900, 0.0), cold_start_s=2.0, fixed_s=600)

    assert live(life, learned).cold == 3
    counted = live(life, LearnedSleep(Price(900, 0.0), cold_start_s=2.0, fixed_s=600), from_s=DAY_S)
    assert counted.cold == 0
    assert counted.up_s / counted.calls < 61 + 2 + 3 * 2 + 3


def test_a_population_is_the_same_for_the_same_seed() -> None:
    kinds = ("rare", "jittery-timer", "changing")

    one, same, other = (population.population(seed, kinds) for seed in (3, 3, 4))

    assert [each.since for each in one] == [each.since for each in same]
    assert [each.since for each in one] != [each.since for each in other]
    assert len(one) == 120
    assert all(each.until[-1] <= population.LENGTH_S for each in one if each.since)


def test_the_learned_rule_is_better_than_the_hybrid_histogram_where_functions_are_rare() -> None:
    functions = population.population(9, ["timer", "sessions"])

    def total(make: Callable[[Bursts], Sleeper]) -> Total:
        return sleeping.slept(((each, make(each)) for each in functions), from_s=population.WEEK_S)

    hybrid = total(lambda _: HybridHistogram())
    learned = total(lambda each: LearnedSleep(Price(2700, 0.8), cold_start_s=each.cold_start_s))
    assert learned.mean_cold_share < hybrid.mean_cold_share
    assert learned.replica_hours < 0.92 * hybrid.replica_hours
