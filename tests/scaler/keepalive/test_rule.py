"""When a silent function sleeps, and when it is awake again before it is called."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from springtide.scaler.core.keepalive import history, rule
from springtide.scaler.core.keepalive.history import PAGE_S, History
from springtide.scaler.core.keepalive.rule import Basis, NotLearned, Plan, Price
from springtide.scaler.core.keepalive.windows import Window
from springtide.scaler.core.vocabulary import Instant

BEGIN = 1_000 * PAGE_S
HOUR_S = 3600.0
PRICE = Price(900.0, 0.0)
FIXED_S = 900.0


def after_pauses(pauses_s: Sequence[float], *, for_s: float = 1.0) -> History:
    known, at = history.ended(history.started(History(), Instant(BEGIN)), Instant(BEGIN + for_s)), BEGIN + for_s
    for pause_s in pauses_s:
        known = history.started(known, Instant(at + pause_s))
        at += pause_s + for_s
        known = history.ended(known, Instant(at))
    return known


def plan(known: History, *, price: Price = PRICE, cold_start_s: float = 2.0) -> Plan:
    assert known.recent.last_end is not None
    found = rule.planned(
        known, Instant(known.recent.last_end + 1), price=price, cold_start_s=cold_start_s, fixed_s=FIXED_S
    )
    assert isinstance(found, Plan)
    return found


def ages(found: Plan) -> list[Window]:
    """Its windows by the age of the pause."""
    begin = found.windows[0].since
    return [Window(each.since - begin, each.until - begin) for each in found.windows]


def test_without_a_pause_nothing_is_learned() -> None:
    known = after_pauses([])

    assert rule.planned(known, Instant(BEGIN + 100), price=PRICE, cold_start_s=2, fixed_s=FIXED_S) == NotLearned(
        "none of its pauses is known"
    )


def test_with_fewer_than_four_pauses_it_may_stay_longer_than_the_fixed_silence_and_never_shorter() -> None:
    short, long = after_pauses([100.0, 200.0, 90.0]), after_pauses([1500.0, 2400.0, 2000.0])

    assert ages(plan(short)) == [Window(0.0, FIXED_S)]
    assert ages(plan(short, price=Price(300.0, 0.0))) == [Window(0.0, FIXED_S)]
    assert ages(plan(long, price=Price(3600.0, 0.0))) == [Window(0.0, 64 * 60.0)]  # the end of the bin that they end in


def test_a_function_whose_pauses_are_short_stays_for_them_and_no_longer() -> None:
    found = plan(after_pauses([100.0 + 10 * number for number in range(14)]))

    assert ages(found) == [Window(0.0, 240.0)]
    assert found.why.basis is Basis.PAUSES
    assert (found.why.within_s, found.why.ended_share, found.why.pauses) == (240.0, 1.0, 14)
    assert found.why.worth_s == 900.0


def test_a_function_with_long_pauses_sleeps_after_a_minute_and_is_awake_before_they_end() -> None:
    pauses_s = [8.6 * HOUR_S + 300 * (number % 2) for number in range(5)]  # all end in the bin from 8.5 to 17 hours

    found = plan(after_pauses(pauses_s), price=Price(2000.0, 0.0), cold_start_s=30.0)

    end = 512 * 60.0 - 60.0 + 2000  # it does not wait for longer than a cold start is worth
    assert ages(found) == [Window(0.0, 60.0), Window(512 * 60.0 - 60.0, end)]
    assert (found.why.ended_share, found.why.expected_share) == (0.0, 1.0)


def test_what_a_cold_start_is_worth_decides() -> None:
    known = after_pauses([100.0, 700.0, 1500.0, 3000.0] * 5)

    short = [plan(known, price=Price(worth_s, 0.0)).windows[0] for worth_s in (10.0, 600.0, 3600.0, 1e6)]

    lengths = [window.until - window.since for window in short]
    assert lengths[0] == rule.ALWAYS_KEPT_S
    assert lengths == sorted(lengths)
    assert lengths[-1] == 900 + 1e6  # no further than one price, whatever was learned


def test_a_rare_function_is_worth_more() -> None:
    rare = plan(after_pauses([5 * HOUR_S, 8 * HOUR_S] * 4), price=Price(900.0, 0.5))
    busy = plan(after_pauses([300.0, 400.0] * 4), price=Price(900.0, 0.5))

    assert rare.why.worth_s > 900 + 0.5 * 5 * HOUR_S
    assert 900 < busy.why.worth_s < 900 + 0.5 * 400


def test_a_timer_is_up_around_its_tick_only() -> None:
    found = plan(after_pauses([599.0] * 4), cold_start_s=2.0)

    last_start = found.windows[0].since - 1
    assert found.why.basis is Basis.TIMER
    assert found.why.interval_s == (600.0, 600.0)
    assert found.windows == (
        Window(last_start + 1, last_start + 61),
        Window(last_start + 600 - 2 - 3 * 2, last_start + 603),
    )


def test_two_intervals_that_agree_are_a_tick_to_be_up_for_beside_the_fixed_silence() -> None:
    hourly = plan(after_pauses([3599.0] * 2))
    soon = plan(after_pauses([899.0] * 2))

    assert ages(hourly) == [Window(0.0, FIXED_S), Window(3600 - 1 - 2 - 3 * 2, 3602)]
    assert ages(soon) == [Window(0.0, 902.0)]
    assert hourly.why.basis is Basis.TIMER
    assert plan(after_pauses([3599.0, 3650.0])).why.basis is Basis.PAUSES


def test_a_timer_with_jitter_is_up_for_what_its_intervals_reach_over_and_somewhat_more() -> None:
    pauses_s = [3599.0 + late_s for late_s in (-300, 200, 300, -100, 0, -250, 50, 100, -200, 250)]
    dear, cheap = (plan(after_pauses(pauses_s), price=Price(worth_s, 0.0)) for worth_s in (5000.0, 300.0))

    first, second = ages(dear)
    assert first == Window(0.0, rule.ALWAYS_KEPT_S)
    assert 2900 < second.since < 3300 - 2 * 2
    assert second.until == 3900 - 1 + 600
    assert dear.why.interval_s == (3300.0, 3900.0)
    assert dear.why.expected_share > 0.9
    # Not worth the whole range: its last seconds, where a call is likeliest.
    assert ages(cheap)[1].since == pytest.approx(3900 - 1 + 600 / 9 - 300 - 2 * 2)
    assert 0.4 < cheap.why.expected_share < 0.6


def test_intervals_that_lie_apart_are_no_rhythm() -> None:
    found = plan(after_pauses([3599.0, 7800.0] * 5))

    assert found.why.basis is Basis.PAUSES


def test_a_timer_that_would_hardly_sleep_stays() -> None:
    found = plan(after_pauses([239.0] * 4), cold_start_s=2.0)

    assert ages(found) == [Window(0.0, 242.0)]


def test_calls_in_quick_succession_are_no_timer() -> None:
    found = plan(after_pauses([20.0] * 10))

    assert found.why.basis is Basis.PAUSES


@pytest.mark.parametrize(
    ("known", "why"),
    [
        pytest.param(History(), "was not seen", id="nothing is known"),
        pytest.param(history.started(after_pauses([9.0] * 5), Instant(BEGIN + 100)), "in flight", id="in flight"),
        pytest.param(history.lost(after_pauses([9.0] * 5), Instant(BEGIN + 100)), "was not seen", id="nobody looked"),
        pytest.param(after_pauses([9 * HOUR_S] * 5), "clock was set", id="its last call is to come yet"),
    ],
)
def test_where_something_is_not_known_nothing_is_learned(known: History, why: str) -> None:
    found = rule.planned(known, Instant(BEGIN + 200), price=PRICE, cold_start_s=2, fixed_s=FIXED_S)

    assert isinstance(found, NotLearned)
    assert why in found.why


def test_a_plan_is_made_anew_after_an_eighth_more_calls() -> None:
    known = after_pauses([100.0] * 15)
    first = plan(known).learned
    kept = []
    for calls in range(1, 4):
        assert known.recent.last_end is not None
        known = history.started(known, Instant(known.recent.last_end + 5000))
        known = history.ended(known, Instant(known.recent.seen_at or 0))
        found = rule.planned(
            known, Instant(known.recent.seen_at or 0), price=PRICE, cold_start_s=2, fixed_s=FIXED_S, before=first
        )
        assert isinstance(found, Plan)
        kept.append((calls, found.learned.calls == first.calls))

    assert kept == [(1, True), (2, True), (3, False)]


def test_a_plan_is_made_anew_at_another_price() -> None:
    known = after_pauses([100.0] * 15)
    first = plan(known).learned

    found = rule.planned(
        known, Instant(BEGIN + 9999), price=Price(1.0, 0.0), cold_start_s=2, fixed_s=FIXED_S, before=first
    )

    assert isinstance(found, Plan)
    assert found.learned.price == Price(1.0, 0.0)
    assert found.why.worth_s == 1.0
