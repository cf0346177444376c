"""What becomes of forecasts, and which ones are made at all."""

from __future__ import annotations

import pytest

from springtide.scaler.core.keepalive import forecasts
from springtide.scaler.core.keepalive.account import Account
from springtide.scaler.core.keepalive.forecasts import Budget, Forecast, Outcome, Refused, Score, Spent
from springtide.scaler.core.keepalive.rule import Basis, Learned, Plan, Price, Why
from springtide.scaler.core.keepalive.windows import Window
from springtide.scaler.core.vocabulary import FunctionRef, Instant

NOON = Instant(20_000 * 86400.0 + 43_200)
WINDOW = Window(NOON, NOON + 600)


def plan(*ages: float) -> Plan:
    later = tuple(Window(since, until) for since, until in zip(ages[::2], ages[1::2], strict=True))
    windows = (Window(0.0, 60.0), *later)
    why = Why(Basis.PAUSES, pauses=9, worth_s=900.0, within_s=60.0, ended_share=0.1)
    return Plan(windows, why, Learned(windows, why, Price(), calls=9, page=0, account=Account(0, 900.0)))


MORNING, EVENING = plan(3600, 7680), plan(30_720, 61_440)


@pytest.mark.parametrize(
    ("called_at", "now", "came"),
    [
        pytest.param(None, NOON + 599, None, id="still open"),
        pytest.param(None, NOON + 600, Outcome.WASTED, id="nobody called"),
        pytest.param(NOON + 700, NOON + 700, Outcome.WASTED, id="called when it was over"),
        pytest.param(NOON + 10, NOON + 10, Outcome.HIT, id="called soon"),
        pytest.param(NOON + 300, NOON + 900, Outcome.HIT, id="looked at late"),
        pytest.param(NOON + 301, NOON + 301, Outcome.EARLY, id="dearer than a cold start"),
    ],
)
def test_outcome_of_a_forecast(called_at: float | None, now: float, came: Outcome | None) -> None:
    at = None if called_at is None else Instant(called_at)

    assert forecasts.outcome(WINDOW, at, Instant(now), worth_s=300.0) is came


def test_a_function_loses_forecasts_that_are_mostly_wasted_until_they_are_others() -> None:
    score = Score()
    for came in (Outcome.HIT, Outcome.WASTED, Outcome.WASTED):
        score = forecasts.scored(score, MORNING, came)
        assert score.trusted(MORNING)
    score = forecasts.scored(score, MORNING, Outcome.WASTED)

    assert not score.trusted(MORNING)
    assert not score.trusted(plan(3590, 7680))  # a cold start that takes longer
    assert score.trusted(EVENING)
    again = forecasts.scored(score, EVENING, Outcome.WASTED)
    assert again == Score((Outcome.WASTED,))


def test_only_the_last_forecasts_count() -> None:
    score = Score()
    for came in [Outcome.WASTED] * 3 + [Outcome.HIT] * 6 + [Outcome.WASTED] * 3:
        score = forecasts.scored(score, MORNING, came)
    assert len(score.last) == forecasts.REMEMBERED

    assert score.trusted(MORNING)


def forecast(name: str, worth_s: float, share: float = 1.0, *, length_s: float = 600.0) -> Forecast:
    return Forecast(FunctionRef("fn", name), Window(NOON, NOON + length_s), worth_s, share)


def names(chosen: object) -> list[str]:
    assert isinstance(chosen, list)
    return [one.ref.name for one in chosen]


def test_those_go_first_that_promise_most_for_what_they_cost() -> None:
    due = [forecast("long", 900, length_s=6000), forecast("unlikely", 900, 0.2), forecast("good", 900)]

    chosen, refused = forecasts.within_budget(due, up=0, spent=Spent(), budget=Budget(at_once=2), now=NOON)

    assert names(chosen) == ["good", "unlikely"]
    assert refused == {FunctionRef("fn", "long"): Refused.AT_ONCE}


def test_those_that_are_up_count() -> None:
    chosen, refused = forecasts.within_budget(
        [forecast("a", 900)], up=20, spent=Spent(), budget=Budget(at_once=20), now=NOON
    )

    assert (names(chosen), [*refused.values()]) == ([], [Refused.AT_ONCE])


def test_a_days_hours_end_and_begin_again_at_midnight() -> None:
    spent = Spent().plus(3600.0, NOON)
    due, budget = [forecast("a", 900)], Budget(replica_hours_a_day=1.0)
    tomorrow = Instant(NOON + 43_200)

    assert forecasts.within_budget(due, up=0, spent=spent, budget=budget, now=NOON)[1] == {due[0].ref: Refused.DAY}
    assert names(forecasts.within_budget(due, up=0, spent=spent, budget=budget, now=tomorrow)[0]) == ["a"]
    assert spent.plus(10.0, tomorrow).replica_s == 10.0


def test_a_budget_of_none_follows_no_forecast() -> None:
    chosen, _ = forecasts.within_budget([forecast("a", 900)], up=0, spent=Spent(), budget=Budget(0), now=NOON)

    assert names(chosen) == []
