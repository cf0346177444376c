"""OpenFaaS's documented formula, and the windows its loads are taken over."""

from __future__ import annotations

import pytest

from springtide.scaler.core import target_rule
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.target_rule import TargetHistory
from springtide.scaler.core.vocabulary import Instant


@pytest.mark.parametrize(
    ("load", "target", "proportion", "wanted"),
    [(15, 5, 1.0, 3), (25, 10, 0.9, 3), (90, 100, 0.7, 2), (0, 50, 0.9, 0), (27, 10, 0.9, 3), (63, 10, 0.7, 9)],
)
def test_the_documented_examples(load: float, target: float, proportion: float, wanted: int) -> None:
    assert target_rule.desired(load, target=target, proportion=proportion) == wanted


def after(seconds: int, *, completed: float, in_flight: dict[int, float] | None = None) -> TargetHistory:
    history = TargetHistory()
    for second in range(seconds):
        flying = (in_flight or {}).get(second, 1.0)
        history = history.with_sample(LoadSample(Instant(second), 0, completed * second, flying, 0))
    return history


def test_the_rate_is_of_thirty_seconds_and_rounded_up() -> None:
    history = after(100, completed=2.2)
    assert history.completed_per_second == 3
    for second in range(100, 130):
        history = history.with_sample(LoadSample(Instant(second), 0, 2.2 * 99, 1, 0))
    assert history.completed_per_second == 0
    assert len(history.completed) <= 32


def test_a_look_that_comes_a_little_early_is_the_fifth_all_the_same() -> None:
    """Or in flight would be looked at each five or six seconds, as looks happen to come."""
    history = TargetHistory()
    for number in range(21):
        early_s = 0.02 if number % 10 == 5 else 0.0
        history = history.with_sample(LoadSample(Instant(number - early_s), 0, 0, number, 0))
    assert [count for _, count in history.in_flight] == [0, 5, 10, 15, 20]


def test_the_number_in_flight_is_the_largest_of_45_seconds_looked_at_every_five() -> None:
    assert after(60, completed=1, in_flight={20: 9.0, 21: 50.0}).most_in_flight == 9.0
    assert after(66, completed=1, in_flight={20: 9.0}).most_in_flight == 1.0


def test_a_counter_that_begins_anew_makes_no_negative_rate() -> None:
    history = after(50, completed=5).with_sample(LoadSample(Instant(50.0), 0, 3, 1, 0))
    assert history.completed_per_second == 0
    assert history.with_sample(LoadSample(Instant(51.0), 0, 5, 1, 0)).completed_per_second == 2


def test_the_way_down_is_the_largest_of_its_window() -> None:
    history = TargetHistory()
    for second, wanted in enumerate((2, 9, 3, 3, 3)):
        kept, history = target_rule.windowed(history, wanted, 3.0, Instant(second))
    assert kept == 9
    kept, history = target_rule.windowed(history, 3, 3.0, Instant(5.0))
    assert kept == 3
    assert len(history.recommended) == 1
    assert target_rule.windowed(history, 1, 0.0, Instant(6.0))[0] == 1
