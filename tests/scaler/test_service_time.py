"""How long a call takes, when that changes and when it only seems to."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence

import pytest

from springtide.scaler.core import service_time
from springtide.scaler.core.demand import LoadHistory, LoadSample
from springtide.scaler.core.service_time import Look
from springtide.scaler.core.vocabulary import Instant


def looked(known: LoadHistory, *, started: float, busy: float, waiting: float = 0.0) -> LoadHistory:
    """A second later ``started`` more have come, and so many are under way."""
    last = known.last or LoadSample(Instant(1000.0), 0, 0, 0, 0)
    come, flying = last.started + started, busy + waiting
    return known.with_sample(LoadSample(Instant(last.at + 1), come, come - flying, flying, waiting))


def short_calls(seconds: int = 30) -> LoadHistory:
    """21 a second of a moment each."""
    known = LoadHistory()
    for _ in range(seconds):
        known = looked(known, started=21, busy=0)
    return known


def long_calls(seconds: int = 30) -> LoadHistory:
    """10 a second of a second each."""
    known = LoadHistory()
    for _ in range(seconds):
        known = looked(known, started=10, busy=10)
    return known


def test_calls_that_became_long_are_known_after_two_looks() -> None:
    """One replica works on five at once, so that five a second end and the others wait."""
    known = short_calls()
    assert known.service_s < 0.05
    for second in range(1, 3):
        known = looked(known, started=30, busy=5, waiting=25 * second)
    assert 0.4 < known.service_s <= 1.0


def test_calls_of_which_none_ends_take_as_long_as_they_have_taken() -> None:
    known = looked(short_calls(), started=5, busy=5)
    for _ in range(7):
        known = looked(known, started=0, busy=5)
    assert 6 < known.service_s <= 8


def test_calls_that_became_short_are_known_after_two_looks() -> None:
    known = long_calls()
    assert known.service_s == pytest.approx(1.0, rel=0.1)
    for _ in range(2):
        known = looked(known, started=21, busy=0)
    assert known.service_s < 0.1


def test_the_end_of_long_calls_that_came_at_once_does_not_make_them_short() -> None:
    known = LoadHistory()
    for _ in range(40):
        known = looked(known, started=2, busy=40)
    for left in (30, 20, 10, 0, 0, 0):
        known = looked(known, started=0, busy=left)
        assert known.service_s == service_time.remembered(known.busy_s, known.completions) > 10


def test_short_calls_that_one_look_finds_at_once_are_not_long() -> None:
    known = looked(short_calls(), started=221, busy=200)
    assert known.service_s < 0.3
    known = looked(known, started=21, busy=0)
    assert known.service_s < 0.3


def test_long_calls_that_came_and_ended_between_two_looks_are_not_short() -> None:
    known = long_calls()
    for _ in range(10):
        known = looked(known, started=0, busy=0)
    known = looked(known, started=50, busy=0)
    assert known.service_s > 0.5


@pytest.mark.parametrize(("rate", "mean_s"), [(200, 0.05), (10, 1.0), (80, 1.0), (3, 8.0), (0.5, 3.0)])
def test_calls_that_stay_as_they_are_prove_nothing_else(rate: float, mean_s: float) -> None:
    source, at, spans = random.Random(rate), 0.0, []
    while at < 400:
        at += source.expovariate(rate)
        spans.append((at, at + source.expovariate(1 / mean_s)))
    differ, history = 0, LoadHistory()
    begun, over = [begin for begin, _ in spans], sorted(end for _, end in spans)
    for second in range(400):
        started, ended = bisect_right(begun, second), bisect_right(over, second)
        history = history.with_sample(LoadSample(Instant(second), started, ended, started - ended, 0))
        if second > 100:
            differ += history.service_s != service_time.remembered(history.busy_s, history.completions)
    assert differ <= 3


def test_looks_are_kept_as_far_as_the_longest_window_reaches() -> None:
    looks: Sequence[Look] = ()
    for second in range(100):
        looks = service_time.with_look(looks, Look(float(second), 1, second))
    assert [look.at for look in looks] == [float(second) for second in range(90, 100)]


def test_without_a_look_nothing_is_proven() -> None:
    assert service_time.proven(0.7, 100, ()) == 0.7
