"""What a function will have under way, from counters."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.scaler.core.demand import (
    LoadHistory,
    LoadSample,
    arrival_rate,
    calls_per_second,
    calls_under_way,
)
from springtide.scaler.core.vocabulary import Instant


def history(
    started: list[float], *, in_flight: float = 0.0, waiting: float = 0.0, service_s: float = 1.0
) -> LoadHistory:
    """Samples a second apart; ``started`` is the counter at each. Calls end ``service_s`` after they began."""
    known = LoadHistory()
    for second, count in enumerate(started):
        done = started[max(0, second - round(service_s))] if second >= service_s else 0.0
        known = known.with_sample(LoadSample(Instant(1000.0 + second), count, done, in_flight, waiting))
    return known


def steady(rate: float, seconds: int = 40) -> list[float]:
    return [rate * second for second in range(seconds)]


def test_the_rate_of_a_steady_load_is_that_rate() -> None:
    assert arrival_rate(history(steady(10)), 2.5) == pytest.approx(10)


def test_a_jump_is_seen_within_a_second() -> None:
    jumped = [*steady(2, 40), 2 * 39 + 30]
    assert arrival_rate(history(jumped), 0.0) == pytest.approx(30)


def test_a_jump_may_be_noise_where_it_is_small() -> None:
    jumped = [*steady(2, 40), 2 * 39 + 5]
    assert arrival_rate(history(jumped), 0.0) < 2.5


def test_the_end_of_a_load_is_seen_within_seconds() -> None:
    over = [*steady(30, 40), *([30.0 * 39] * 2)]
    assert arrival_rate(history(over), 0.0) == 0.0


def test_a_ramp_is_followed_ahead() -> None:
    ramp = [second**2 / 2 for second in range(60)]  # the rate grows by 1 a second: 59 at the end
    assert arrival_rate(history(ramp), 4.0) == pytest.approx(63, abs=1)


def test_a_short_history_is_not_extrapolated() -> None:
    assert arrival_rate(history([0, 1]), 2.0) < 1.0


@pytest.mark.parametrize("seconds", [5, 10, 16, 24])
def test_a_load_that_is_heard_of_for_the_first_time_does_not_rise(seconds: int) -> None:
    assert arrival_rate(history(steady(150, seconds)), 2.5) <= 150


@pytest.mark.parametrize("seconds", [5, 10, 16, 24])
def test_a_load_that_is_heard_of_again_does_not_rise(seconds: int) -> None:
    """What was counted while nobody heard is not known, which is not nothing."""
    known, last = history(steady(150)), 150.0 * 39
    for second in range(seconds):
        sample = LoadSample(Instant(1200.0 + second), last + 150 * (161 + second), last + 150 * (161 + second), 0, 0)
        known = known.with_sample(sample) if second else known.resumed(sample)
    assert arrival_rate(known, 2.5) <= 150


def test_service_time_is_busy_time_by_completions() -> None:
    known = history(steady(10), in_flight=20.0, service_s=2)
    assert known.service_s == pytest.approx(2.0, rel=0.05)


def test_calls_that_wait_are_not_busy() -> None:
    known = history(steady(10), in_flight=25.0, waiting=5.0, service_s=2)
    assert known.service_s == pytest.approx(2.0, rel=0.05)


def test_a_counter_that_begins_anew_is_no_burst_of_calls() -> None:
    known = history([100, 110, 120])
    known = known.with_sample(LoadSample(Instant(1003.0), 90, 90, 0, 0))
    assert known.arrived(1.0) == 0
    assert known.arrived(30.0) == pytest.approx(20)
    known = known.with_sample(LoadSample(Instant(1004.0), 95, 95, 0, 0))
    assert known.arrived(1.0) == pytest.approx(5)


def test_a_sample_that_is_not_newer_changes_nothing() -> None:
    known = history(steady(10))
    assert known.last is not None
    assert known.with_sample(known.last) is known


def test_what_is_remembered_is_bounded() -> None:
    known = history(steady(10, 500))
    assert len(known.times) == len(known.arrivals) <= 40


def test_the_demand_of_a_steady_load_is_what_is_busy_with_headroom() -> None:
    known = history(steady(10), in_flight=10.0)
    demand, need = calls_under_way(known, 1.0, ready=12, cold_start_s=2.5)
    assert demand.mean == pytest.approx(10, rel=0.05)
    assert 12 < need.replicas < 15
    assert need.certain < need.replicas
    assert need.at_once == 0.0


def test_the_headroom_of_a_large_function_is_a_smaller_share() -> None:
    def share(calls: float) -> float:
        demand, need = calls_under_way(history(steady(calls), in_flight=calls), 1.0, ready=1000, cold_start_s=2.5)
        return need.replicas / demand.mean

    assert share(4) > 1.4
    assert share(400) < 1.15


def test_calls_that_wait_count_as_long_as_they_take() -> None:
    slow, fast = (
        history(steady(10), in_flight=40, waiting=30, service_s=3),
        history(steady(10), in_flight=40, waiting=30),
    )
    backlogs = [calls_under_way(known, 1.0, ready=10, cold_start_s=2.5)[0].backlog for known in (slow, fast)]
    assert backlogs[0] > backlogs[1] > 0


def test_a_target_of_calls_a_second_does_not_depend_on_how_long_a_call_takes() -> None:
    _, need = calls_per_second(history(steady(21), in_flight=0.1, service_s=0), 50.0, cold_start_s=2.5)
    assert need.replicas < 1
    _, need = calls_per_second(history(steady(500), in_flight=2.5, service_s=0), 50.0, cold_start_s=2.5)
    assert 10 < need.replicas < 11


def test_without_a_sample_there_is_no_need() -> None:
    for _, need in (
        calls_under_way(LoadHistory(), 1.0, ready=1, cold_start_s=2.5),
        calls_per_second(LoadHistory(), 50.0, cold_start_s=2.5),
    ):
        assert need.replicas == need.certain == need.at_once == 0.0


@given(st.integers(0, 2**32), st.floats(0.05, 50), st.integers(1, 20))
def test_no_need_is_negative_and_the_certain_one_is_never_the_larger(seed: int, rate: float, slots: int) -> None:
    source, known, started, done = random.Random(seed), LoadHistory(), 0.0, 0.0
    at = 0.0
    for _ in range(60):
        at += source.choice((0.5, 1.0, 1.0, 4.0))
        started += source.randrange(round(2 * rate) + 1)
        done = min(started, done + source.randrange(round(2 * rate) + 1))
        flying = started - done
        known = known.with_sample(LoadSample(Instant(at), started, done, flying, source.random() * flying))
        _, need = calls_under_way(known, slots, ready=source.randrange(5), cold_start_s=2.5)
        assert 0 <= need.certain <= need.replicas
        assert known.service_s > 0


def herd(*, service_s: int, callers: int = 50, ready_after_s: int = 2, seconds: int) -> LoadHistory:
    """Callers that all come after half a minute of silence, to one replica; later there is one for each of them."""
    known, come = LoadHistory(), 30
    for second in range(come + seconds):
        passed = second - come
        waiting = callers - 1 if 0 <= passed < ready_after_s else 0
        in_flight = callers if passed >= 0 else 0
        done = max(0, passed) // service_s + max(0, passed - ready_after_s) // service_s * (callers - 1)
        known = known.with_sample(LoadSample(Instant(1000.0 + second), done + in_flight, done, in_flight, waiting))
    return known


@pytest.mark.parametrize("seconds", range(1, 12))
def test_calls_of_a_herd_take_no_longer_than_the_oldest_of_them(seconds: int) -> None:
    """Each has been worked on for a moment and none has ended: that is no sign of calls that take a minute."""
    assert herd(service_s=1, seconds=seconds).service_s <= 2.0


def test_a_herd_of_long_calls_is_found_to_be_one_as_it_ages() -> None:
    assert herd(service_s=20, seconds=19).service_s == pytest.approx(18, abs=2)


def test_a_herd_after_known_calls_is_not_taken_for_slower_ones() -> None:
    known = history(steady(5), in_flight=5)
    last = known.last
    assert last is not None
    for second in (1, 2):
        known = known.with_sample(LoadSample(Instant(last.at + second), last.started + 205, last.completed + 5, 205, 0))
    assert known.service_s <= 2.0
