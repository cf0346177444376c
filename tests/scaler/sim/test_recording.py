"""Arrivals out of counters that were scraped, and what is not known of them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping

import pytest

from springtide.scaler.sim import recording as recordings
from springtide.scaler.sim.recording import Recording, Scrapes, Stretch
from springtide.scaler.sim.traces import recorded
from springtide.scaler.sources.recorded_calls import scaled

T0 = 1_700_000_000.0


def scrapes(values: Mapping[float, float]) -> Scrapes:
    """By seconds since the begin."""
    found = Scrapes()
    found.extend((T0 + at for at in values), values.values())
    return found


def every(step: int, until: int, per_second: float, *, but: Iterable[int] = (), since: int = 0) -> Scrapes:
    left_out = set(but)
    return scrapes({at: (at - since) * per_second for at in range(since, until + 1, step) if at not in left_out})


def arrivals(stretch: Stretch) -> list[float]:
    return list(stretch.trace.arrivals(random.Random("any")))


def test_calls_lie_in_the_interval_between_the_scrapes_that_counted_them() -> None:
    begin, length_s, (only,) = recordings.stretches("f", [scrapes({0: 7, 5: 7, 10: 10, 15: 10, 20: 11})])
    assert (begin, length_s, only.since_s) == (T0, 20, 0)
    assert only.trace.calls == 4
    first, *_, last = found = arrivals(only)
    assert found == sorted(found)
    assert [5 <= at <= 10 for at in found] == [True, True, True, False]
    assert first >= 5
    assert 15 <= last <= 20
    assert arrivals(only) == found


def test_a_counter_that_fell_began_again_at_zero() -> None:
    _, _, (only,) = recordings.stretches("f", [scrapes({0: 100, 5: 110, 10: 3, 15: 4})])
    assert only.trace.calls == 10 + 3 + 1


def test_a_gap_is_unknown_and_no_silence() -> None:
    """An hour at a call a second, of which ten minutes were not scraped."""
    counter = every(5, 3600, 1.0, but=range(1001, 1600))
    begin, length_s, known = recordings.stretches("f", [counter])
    assert [(each.since_s, each.trace.length_s) for each in known] == [(0, 1000), (1600, 2000)]
    assert [each.trace.calls for each in known] == [1000, 2000]
    found = Recording(function="f", begin=begin, length_s=length_s, stretches=known)
    assert (found.calls, found.known_s) == (3000, 3000)
    assert found.unknown_share == pytest.approx(1 / 6)


def test_a_lost_scrape_is_bridged() -> None:
    _, _, (only,) = recordings.stretches("f", [every(5, 600, 2.0, but=(100, 105))])
    assert only.trace.calls == 1200


def test_gateways_are_added_up_and_one_that_is_not_scraped_hides_its_calls() -> None:
    both = [every(5, 600, 1.0), every(5, 600, 2.0)]
    _, _, (only,) = recordings.stretches("f", both)
    assert only.trace.calls == 1800
    both = [every(5, 600, 1.0), every(5, 600, 2.0, but=range(201, 300))]
    _, _, known = recordings.stretches("f", both)
    assert [(each.since_s, each.trace.length_s) for each in known] == [(0, 200), (300, 300)]
    assert sum(each.trace.calls for each in known) == 1500


def test_a_gateway_that_takes_over_from_another_leaves_no_gap() -> None:
    left, came = every(5, 300, 1.0), every(5, 600, 1.0, since=305)
    _, length_s, (only,) = recordings.stretches("f", [left, came])
    assert (length_s, only.trace.length_s) == (600, 600)
    assert only.trace.calls == 300 + 295


def test_the_first_calls_of_a_gateway_that_came_later_count() -> None:
    _, _, (only,) = recordings.stretches("f", [every(5, 600, 0.0), scrapes({305: 4, 310: 4, 315: 5})])
    assert only.trace.calls == 5
    assert all(300 <= at <= 315 for at in arrivals(only))


@pytest.mark.parametrize("values", [{}, {0: 5}])
def test_less_than_two_samples_say_nothing(values: dict[float, float]) -> None:
    assert recordings.stretches("f", [scrapes(values)]) == (0.0, 0.0, ())


def test_a_sample_that_two_answers_have_counts_once() -> None:
    found = scrapes({0: 1, 5: 2})
    found.extend([T0 + 5, T0 + 10], [2, 9])
    assert list(found.at) == [T0, T0 + 5, T0 + 10]


def test_a_part_has_the_calls_of_its_time() -> None:
    whole = recordings.of_trace(recorded("f", range(100), 0.0, 99.0))
    part = recordings.part_of(whole, 20, 30.5)
    assert arrivals(part.stretches[0]) == list(range(11))
    assert part.length_s == 10.5


def test_a_part_has_the_lengths_of_its_calls() -> None:
    whole = recordings.of_trace(recorded("f", [5, 1, 3], 0.0, 9.0, service_s=[0.5, 0.1, 0.3]))
    assert whole.service_mean_s == pytest.approx(0.3)
    part = recordings.part_of(whole, 2, 6)
    assert list(part.stretches[0].trace.service_s or ()) == [0.3, 0.5]


def test_a_histogram_keeps_its_shape_and_gets_the_measured_mean() -> None:
    """Half of the calls are fast, half ten times as slow."""
    points = scaled({0.01: 50, 0.1: 50, 0.2: 100, float("inf"): 100}, 0.08)
    mean = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))
    assert mean == pytest.approx(0.08, rel=1e-4)
    assert [share for share, _ in points] == [0.0, 0.5, 0.5, 1.0]
    assert scaled({}, 0.5) == ((0.0, 0.5), (1.0, 0.5))
