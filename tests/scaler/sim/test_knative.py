"""Knative's rule as its documentation has it: windows, panic, rates, rounding, the first call of a sleeper."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.follow import Bounds
from springtide.scaler.core.vocabulary import Instant
from springtide.scaler.sim.knative import Knative, Window


def counts(
    in_flight: Callable[[int], float], seconds: int, *, ready: int = 1, slots: float = 1.0, largest: int = 1000
) -> list[int]:
    """What it wants at each second, with pods that are ready at once."""
    decider, found = Knative(Bounds(1, largest, slots)), [ready]
    for now in range(1, seconds + 1):
        load = in_flight(now - 1)
        sample = LoadSample(Instant(float(now - 1)), 1000, 1000 - load, load, 0)
        found.append(decider.wanted(sample, wanted=found[-1], ready=found[-1], now=float(now)))
    return found


@pytest.mark.parametrize(
    ("recorded", "now", "mean"),
    [
        pytest.param({}, 5, 0.0, id="nothing"),
        pytest.param({0: 3.0}, 0, 3.0, id="one second"),
        pytest.param({0: 3.0, 1: 5.0}, 1, 4.0, id="not full yet"),
        pytest.param({0: 3.0, 3: 5.0}, 3, 2.0, id="seconds without a measurement are 0"),
        pytest.param(dict.fromkeys(range(10), 6.0), 9, 6.0, id="full"),
        pytest.param({second: float(second) for second in range(10)}, 9, 6.5, id="the last six"),
        pytest.param({second: float(second) for second in range(10)}, 11, 7.5, id="the newest two are missing"),
        pytest.param({0: 3.0}, 6, 0.0, id="nothing for as long as the window"),
        pytest.param({0: 3.0, 6: 5.0}, 6, 5.0, id="begun anew"),
    ],
)
def test_a_window_averages_what_it_has(recorded: dict[int, float], now: int, mean: float) -> None:
    window = Window(6.0)
    for at, value in recorded.items():
        window.record(at + 0.25, value)
    assert window.mean(now) == pytest.approx(mean)


def test_a_steady_load_gets_seventy_percent_of_its_pods_rounded_up() -> None:
    assert counts(lambda _: 8.0, 90, ready=10)[-1] == 12
    assert counts(lambda _: 8.0, 90, ready=1, slots=10)[-1] == 2


def test_it_decides_every_other_second() -> None:
    found = counts(lambda at: 4.0 * at, 60, ready=5)
    assert all(before == after for before, after in zip(found[1::2], found[2::2], strict=False))


def test_it_panics_at_twice_what_is_ready_and_takes_nothing_away_for_more_than_a_minute() -> None:
    found = counts(lambda at: 40.0 if 100 <= at < 110 else 3.5, 300, ready=5)
    assert found[100] == 5
    assert max(found) == 58  # 40 calls for all of six seconds, of 0.7 a pod
    # Its looks at 101 and 103 see twice what is ready, later ones do not: 60 s after those it still panics.
    assert (found[104], found[105], found[164]) == (37, 58, 58)
    assert found[165] < 58


def test_of_both_windows_the_larger_counts_while_it_panics() -> None:
    """A minute of much, a few seconds of little, then a rise that is one of the few pods only."""
    decider, wanted = Knative(Bounds(1, 1000, 1.0)), 1
    for now in range(1, 62):
        load = 70.0 if now < 52 else 7.0
        sample = LoadSample(Instant(float(now - 1)), 1000, 0, load, 0)
        wanted = decider.wanted(sample, wanted=wanted, ready=3, now=float(now))
    assert wanted >= 85


def test_it_takes_no_more_than_half_away_at_a_look() -> None:
    found = counts(lambda at: 70.0 if at < 70 else 0.0, 300, ready=100)
    for before, after in pairwise(found):
        assert after >= before // 2


def test_a_maximum_is_kept() -> None:
    assert max(counts(lambda _: 100.0, 30, largest=7)) == 7


def test_the_first_call_of_a_sleeper_is_a_measurement_of_one() -> None:
    assert Knative(Bounds(1, 100, 1.0)).woken() == 2
    assert Knative(Bounds(1, 100, 10.0)).woken() == 1
    assert Knative(Bounds(3, 100, 1.0)).woken() == 3


def test_nobody_measures_a_sleeper() -> None:
    """So the first seconds after a wake are not averaged with the silence before."""
    decider = Knative(Bounds(1, 1000, 1.0))
    for now in range(1, 201):
        decider.wanted(LoadSample(Instant(float(now - 1)), 0, 0, 0, 0), wanted=0, ready=0, now=float(now))
    found = [2]
    for now in range(201, 205):
        sample = LoadSample(Instant(float(now - 1)), 70, 0, 70, 70)
        found.append(decider.wanted(sample, wanted=found[-1], ready=0, now=float(now)))
    assert found[-1] == 100
