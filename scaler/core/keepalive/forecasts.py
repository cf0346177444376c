"""What became of the forecasts that a function was woken for, and which ones may be made at all.

A forecast is a later window of a plan that the function was woken for. It is *hit* when a
call came while the function was up for it; *early* when one came, but being up until then cost more than a cold start
is worth; *wasted* when none came. A function whose last forecasts were mostly wasted loses them until its history says
something else. All functions together are bounded by a ``Budget``. Instants are seconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from springtide.scaler.core.keepalive.account import DAY_S
from springtide.scaler.core.keepalive.rule import Plan
from springtide.scaler.core.keepalive.windows import Window
from springtide.scaler.core.vocabulary import FunctionRef, Instant

REMEMBERED = 8
"""Of a function's forecasts, the last ones that count."""
MIN_SCORED = 4
"""With fewer nothing is said of them."""
MAX_AT_ONCE = 10_000
MAX_REPLICA_HOURS = 24.0 * MAX_AT_ONCE


class Outcome(enum.StrEnum):
    """What became of a forecast."""

    HIT = "hit"
    EARLY = "early"
    WASTED = "wasted"


@dataclass(frozen=True, slots=True)
class Score:
    """Of one function's forecasts. ``last`` are the newest outcomes, the newest last."""

    last: tuple[Outcome, ...] = ()
    lost_for: tuple[int, ...] | None = None
    """The shape of the plan whose forecasts were mostly wasted; None while it may have forecasts."""

    def trusted(self, plan: Plan) -> bool:
        """Whether the function may be woken for this plan's forecasts."""
        return self.lost_for is None or self.lost_for != plan.shape


def outcome(window: Window, called_at: Instant | None, now: Instant, *, worth_s: float) -> Outcome | None:
    """Of a forecast for which the function was woken at ``window.since``; None while that is open.

    ``called_at`` is when the first call since then began, None without one; ``worth_s`` what a cold start may cost.
    """
    if called_at is not None and called_at < window.until:
        return Outcome.HIT if called_at - window.since <= worth_s else Outcome.EARLY
    return None if called_at is None and now < window.until else Outcome.WASTED


def scored(score: Score, plan: Plan, came: Outcome) -> Score:
    """The score after one more forecast of ``plan``; with another shape than the one that was lost it begins anew."""
    if score.lost_for is not None and score.lost_for != plan.shape:
        score = Score()
    last = (*score.last, came)[-REMEMBERED:]
    wasted = last.count(Outcome.WASTED)
    mostly = len(last) >= MIN_SCORED and 2 * wasted > len(last)
    return Score(last, plan.shape if mostly else None)


@dataclass(frozen=True, slots=True)
class Budget:
    """Of all forecasts together: at most so many functions up for one at once, 0 for none, and so many replica-hours
    from midnight to midnight (UTC)."""

    at_once: int = 20
    replica_hours_a_day: float = 240.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Replica-seconds that forecasts have cost on one day, counted since the epoch."""

    day: int = 0
    replica_s: float = 0.0

    def plus(self, replica_s: float, now: Instant) -> Spent:
        """With what was just spent, on the day of ``now``."""
        return replace(self.on(now), replica_s=self.on(now).replica_s + max(0.0, replica_s))

    def on(self, now: Instant) -> Spent:
        day = int(now // DAY_S)
        return self if day == self.day else Spent(day)


@dataclass(frozen=True, slots=True)
class Forecast:
    """A function that is due to be woken."""

    ref: FunctionRef
    window: Window
    worth_s: float
    """What a cold start of it may cost."""
    expected_share: float
    """How likely a call is to come in the window."""


class Refused(enum.StrEnum):
    """Why a forecast is not followed."""

    AT_ONCE = "at_once"
    """So many are up for forecasts already."""
    DAY = "day"
    """The day's replica-hours are spent."""


def within_budget(
    due: Sequence[Forecast], *, up: int, spent: Spent, budget: Budget, now: Instant
) -> tuple[Sequence[Forecast], Mapping[FunctionRef, Refused]]:
    """Which of those that are due may be woken, and why the others may not.

    ``up`` functions are up for forecasts already. Those go first that promise most for what they cost: the price of a
    cold start, times its likelihood, for each second of the window.
    """
    left_s = budget.replica_hours_a_day * 3600.0 - spent.on(now).replica_s
    room = budget.at_once - up
    chosen: list[Forecast] = []
    refused: dict[FunctionRef, Refused] = {}
    for one in sorted(due, key=_promise, reverse=True):
        if left_s <= 0:
            refused[one.ref] = Refused.DAY
        elif room <= 0:
            refused[one.ref] = Refused.AT_ONCE
        else:
            chosen.append(one)
            room -= 1
            left_s -= min(one.window.until - now, one.worth_s)
    return chosen, refused


def _promise(one: Forecast) -> tuple[float, FunctionRef]:
    length_s = max(1.0, one.window.until - one.window.since)
    return one.worth_s * one.expected_share / length_s, one.ref
