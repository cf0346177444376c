"""Whatever the calls are like: what learned sleep may cost on any day, beside the fixed silence."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.scaler.core import explain
from springtide.scaler.core.keepalive import encoding, history, rule
from springtide.scaler.core.keepalive.account import DAY_S, Account
from springtide.scaler.core.keepalive.rule import MIN_PAUSES, Basis, NotLearned, Plan, Price
from springtide.scaler.core.keepalive.windows import Window
from springtide.scaler.core.vocabulary import Instant
from springtide.scaler.sim.sleepers import LearnedSleep

NOON = Instant(20_000 * DAY_S + DAY_S / 2)
FIXED_S, WORTH_S = 900.0, 1800.0
PRICE = Price(WORTH_S, 0.0)
HOUR_S = 3600.0

# Pauses of any length; such as make a plan believe something and then are different; such as end just behind a window.
some = st.floats(0, 3 * DAY_S)
regular = st.tuples(st.floats(60, 8 * HOUR_S), st.integers(1, 30)).map(lambda pair: [pair[0]] * pair[1])
lives = st.lists(st.one_of(regular, st.lists(some, max_size=5)), max_size=6).map(
    lambda parts: [pause_s for part in parts for pause_s in part]
)


def by_day(since: float, until: float) -> dict[int, float]:
    """Seconds between two instants, by the day they lie in."""
    found = {}
    for day in range(int(since // DAY_S), int(until // DAY_S) + 1):
        seconds = min(until, (day + 1) * DAY_S) - max(since, day * DAY_S)
        if seconds > 0:
            found[day] = seconds
    return found


class Days:
    """What each day cost, and how many cold starts were avoided on it."""

    def __init__(self) -> None:
        self.learned: dict[int, float] = defaultdict(float)
        self.fixed: dict[int, float] = defaultdict(float)
        self.avoided: dict[int, int] = defaultdict(int)

    def pause(self, windows: Sequence[Window], since: float, until: float) -> None:
        for window in windows:
            self._add(self.learned, window.since, min(window.until, until))
        self._add(self.fixed, since, min(since + FIXED_S, until))
        warm = any(window.since <= until < window.until for window in windows)
        self.avoided[int(until // DAY_S)] += warm and until - since >= FIXED_S

    def _add(self, days: dict[int, float], since: float, until: float) -> None:
        for day, seconds in by_day(since, until).items():
            days[day] += seconds

    def within_bounds(self, prices: float = 1.0) -> bool:
        return all(
            up_s <= self.fixed[day] + (self.avoided[day] + prices) * WORTH_S + 1e-3
            for day, up_s in self.learned.items()
        )


def lived(pauses_s: Sequence[float], days: Days, sleeper: LearnedSleep, begin: float = NOON) -> float:
    at = begin
    for pause_s in pauses_s:
        sleeper.called(at, at)
        windows = sleeper.windows()
        days.pause(windows, at, at + pause_s)
        at += pause_s
    return at


@given(lives)
def test_a_day_costs_at_most_the_fixed_silence_the_avoided_cold_starts_and_one_price(pauses_s: list[float]) -> None:
    days = Days()

    lived(pauses_s, days, LearnedSleep(PRICE, cold_start_s=2.0, fixed_s=FIXED_S))

    assert days.within_bounds()


def adversary_pause(sleeper: LearnedSleep, at: float) -> float:
    """The shortest pause that ends when the function has gone to sleep, and the fixed silence would be over, too."""
    ends = [window.until for window in sleeper.windows() if window.until - at >= FIXED_S]
    return max(FIXED_S, min(ends, default=0.0) - at) + 1.0


@given(regular)
def test_nor_with_calls_that_always_come_when_it_has_just_gone_to_sleep(pauses_s: list[float]) -> None:
    days, sleeper = Days(), LearnedSleep(PRICE, cold_start_s=2.0, fixed_s=FIXED_S)
    at = lived(pauses_s, days, sleeper)
    for _ in range(30):
        sleeper.called(at, at)
        at = lived([adversary_pause(sleeper, at)], days, sleeper, at)

    assert days.within_bounds()


@given(st.lists(some, max_size=8), lives)
def test_a_history_that_was_lost_costs_one_price_more_at_most(before: list[float], after: list[float]) -> None:
    days = Days()
    at = lived(before, days, LearnedSleep(PRICE, cold_start_s=2.0, fixed_s=FIXED_S))

    lived(after, days, LearnedSleep(PRICE, cold_start_s=2.0, fixed_s=FIXED_S), at)

    assert days.within_bounds(prices=2.0)


class Forgetful(LearnedSleep):
    """Whoever plans is restarted before each plan: only what is kept outlives that, the history and the account."""

    def __init__(self) -> None:
        super().__init__(PRICE, cold_start_s=2.0, fixed_s=FIXED_S)
        self.account: Account | None = None

    def windows(self) -> Sequence[Window]:
        at = self.history.recent.last_end
        assert at is not None
        found = rule.planned(self.history, at, price=PRICE, cold_start_s=2.0, fixed_s=FIXED_S, account=self.account)
        if isinstance(found, NotLearned):
            return (Window(at, at + FIXED_S),)
        self.account = found.learned.account
        return found.windows


@given(regular)
def test_restarts_change_nothing_of_what_a_day_may_cost(pauses_s: list[float]) -> None:
    days, sleeper = Days(), Forgetful()
    at = lived(pauses_s, days, sleeper)
    for _ in range(30):
        sleeper.called(at, at)
        at = lived([adversary_pause(sleeper, at)], days, sleeper, at)

    assert days.within_bounds()


@given(lives, st.floats(0, 30 * DAY_S))
def test_a_clock_that_was_set_back_keeps_nothing_up_for_longer_than_a_price(
    pauses_s: list[float], back_s: float
) -> None:
    sleeper = LearnedSleep(PRICE, cold_start_s=2.0, fixed_s=FIXED_S)
    at = lived(pauses_s, Days(), sleeper) - back_s
    for number in range(6):
        sleeper.called(at + number, at + number)
        windows = sleeper.windows()
        assert windows[0].since == at + number
        assert sum(each.until - each.since for each in windows) <= FIXED_S + WORTH_S + 1e-3


@given(st.one_of(st.lists(some, max_size=MIN_PAUSES), regular.map(lambda pauses: pauses[:MIN_PAUSES])))
def test_with_fewer_than_four_pauses_it_is_up_for_the_fixed_silence_at_least(pauses_s: list[float]) -> None:
    sleeper, at = LearnedSleep(PRICE, cold_start_s=2.0, fixed_s=FIXED_S), float(NOON)
    for pause_s in pauses_s:
        sleeper.called(at, at)
        first = sleeper.windows()[0]
        assert first.since == at
        assert first.until >= at + FIXED_S
        at += pause_s


def test_an_empty_history_plans_nothing() -> None:
    sleeper = LearnedSleep(PRICE, cold_start_s=2.0, fixed_s=FIXED_S)

    assert sleeper.windows() == ()
    assert encoding.encode(sleeper.history) == ""


def test_a_function_that_changes_for_good_is_known_again_within_a_week() -> None:
    sleeper, days = LearnedSleep(Price(WORTH_S, 0.0), cold_start_s=2.0, fixed_s=FIXED_S), Days()
    at = lived([400.0, 1000.0, 700.0, 500.0] * 250, days, sleeper)
    assert sleeper.windows()[-1].until > at - 400 + 1000

    at = lived([5 * HOUR_S, 6 * HOUR_S, 7 * HOUR_S] * 9, days, sleeper, at)

    windows = sleeper.windows()
    assert days.within_bounds()
    assert sum(each.until - each.since for each in windows) <= FIXED_S + WORTH_S


# The account.


@pytest.mark.parametrize(
    ("windows", "pause_s", "left_s"),
    [
        pytest.param([(0, 900)], 5000, 1800, id="as the fixed silence"),
        pytest.param([(0, 60)], 5000, 1800 + 840, id="asleep earlier"),
        pytest.param([(0, 2000)], 5000, 1800 - 1100, id="asleep later"),
        pytest.param([(0, 2000)], 1500, 1800 - 600 + 1800, id="a cold start was spared"),
        pytest.param([(0, 60), (1200, 2000)], 1500, 1800 - 60 - 300 + 900 + 1800, id="woken ahead"),
        pytest.param([(0, 2000)], 500, 1800, id="the fixed silence would have been up, too"),
    ],
)
def test_what_a_pause_leaves_on_the_account(windows: list[tuple[float, float]], pause_s: float, left_s: float) -> None:
    planned = tuple(Window(NOON + since, NOON + until) for since, until in windows)
    account = Account(int(NOON // DAY_S), WORTH_S, NOON, planned)

    ended_at = Instant(NOON + pause_s)
    settled = account.settled(ended_at, ended_at, worth_s=WORTH_S, fixed_s=FIXED_S)

    assert settled == Account(account.day, left_s)


def test_each_day_begins_with_one_price() -> None:
    account = Account(int(NOON // DAY_S), 50_000.0)

    tomorrow = Instant(NOON + DAY_S)

    assert account.settled(tomorrow, None, worth_s=WORTH_S, fixed_s=FIXED_S).balance_s == WORTH_S


def test_windows_are_cut_where_the_account_ends() -> None:
    account = Account(0, 1000.0)
    wanted = [Window(NOON, NOON + 1000), Window(NOON + 5000, NOON + 5700), Window(NOON + 7000, math.inf)]

    assert account.affordable(wanted, NOON, worth_s=WORTH_S, fixed_s=FIXED_S) == (
        Window(NOON, NOON + 1000),
        Window(NOON + 5000, NOON + 5700),
        Window(NOON + 7000, NOON + 7200),
    )


def test_with_nothing_left_the_fixed_silence_holds_until_midnight() -> None:
    sleeper = LearnedSleep(PRICE, cold_start_s=2.0, fixed_s=FIXED_S)
    at = lived([1500.0, 1000.0, 1250.0, 1350.0] * 4, Days(), sleeper)
    assert isinstance(sleeper.plan, Plan)
    nothing = Account(int(at // DAY_S), 0.0)
    learned = replace(sleeper.plan.learned, account=nothing)

    def plan(days: float) -> Plan:
        called_at = Instant(at + days * DAY_S)
        known = history.ended(history.started(sleeper.history, called_at), called_at)
        found = rule.planned(known, called_at, price=PRICE, cold_start_s=2.0, fixed_s=FIXED_S, before=learned)
        assert isinstance(found, Plan)
        return found

    assert plan(0).why.basis is Basis.FIXED
    assert plan(0).windows == (Window(at, at + FIXED_S),)
    assert "the usual silence holds" in explain.learned(plan(0).why)
    assert plan(1).why.basis is Basis.PAUSES
