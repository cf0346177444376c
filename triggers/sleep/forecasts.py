"""Calls that functions' pauses make likely, as expected calls: bounded by a budget, and each scored afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from springtide.scaler.core.keepalive import forecasts
from springtide.scaler.core.keepalive.forecasts import Forecast, Outcome, Refused, Score, Spent
from springtide.scaler.core.keepalive.rule import ALWAYS_KEPT_S, Plan, Window
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.prewarm import CallSource, ExpectedCall
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant
from springtide.scaler.function_table import FunctionTable
from springtide.triggers.sleep.metrics import SleepMetrics
from springtide.triggers.sleep.plans import Plans
from springtide.triggers.sleep.settings import SleepSettings

_REFUSED = {
    Refused.AT_ONCE: "as many functions as may are up for a forecast already (prewarm_max)",
    Refused.DAY: "forecasts have cost as many replica-hours today as they may (prewarm_replica_hours)",
}


@dataclass(slots=True)
class _Open:
    """A forecast that a function was woken for."""

    window: Window
    plan: Plan
    worth_s: float
    counted_at: Instant


class ForecastCalls:
    """Implements ``ports.ExpectedCalls``. ``called_at`` tells when a function was called last."""

    def __init__(
        self,
        settings: SleepSettings,
        plans: Plans,
        functions: FunctionTable,
        *,
        called_at: Callable[[FunctionRef], Instant | None],
        scores: dict[FunctionRef, Score],
        scored: Callable[[FunctionRef], None],
        metrics: SleepMetrics,
    ) -> None:
        """``scores`` are changed here, and ``scored`` is called when that of a function is."""
        self._settings, self._plans, self._functions = settings, plans, functions
        self._called_at, self._scores, self._scored, self._metrics = called_at, scores, scored, metrics
        self._open: dict[FunctionRef, _Open] = {}
        self._spent = Spent()

    def __repr__(self) -> str:
        return f"<ForecastCalls {len(self._open)} up for one>"

    @property
    def up(self) -> int:
        return len(self._open)

    def next_call(self, function: Function, after: Instant) -> ExpectedCall | None:
        found = self._next(function.ref, after)
        if found is None:
            return None
        window, silence = found
        share = silence.why.expected_share
        return ExpectedCall(Instant(window.until), CallSource.FORECAST, Instant(window.since), share)

    def refused(self, ref: FunctionRef, now: Instant) -> str:
        """Why the function is not to be woken for its forecast now; empty if it may be."""
        found = self._next(ref, now)
        if found is None:
            return "nothing is expected of it any more"
        window, silence = found
        one = Forecast(ref, window, silence.why.worth_s, silence.why.expected_share)
        _, refused = forecasts.within_budget(
            [one], up=len(self._open), spent=self._spent, budget=self._settings.budget, now=now
        )
        return _REFUSED[refused[ref]] if ref in refused else ""

    def woken(self, ref: FunctionRef, now: Instant) -> None:
        """It was, for the forecast that it has."""
        found, followed = self._next(ref, now), self._functions.get(ref)
        plan = self._plans.plan(followed, now) if followed is not None else None
        if found is not None and isinstance(plan, Plan):
            self._open[ref] = _Open(found[0], plan, found[1].why.worth_s, now)

    def look(self, now: Instant) -> None:
        """Count what forecasts cost, and score those that are over."""
        for ref, one in list(self._open.items()):
            followed = self._functions.get(ref)
            replicas = followed.function.scale.desired if followed is not None else 0
            spent_s = replicas * max(0.0, now - one.counted_at)
            self._spent, one.counted_at = self._spent.plus(spent_s, now), now
            self._metrics.spent(spent_s)
            called_at = self._called_at(ref)
            if called_at is not None and called_at < one.window.since:
                called_at = None
            came = forecasts.outcome(one.window, called_at, now, worth_s=one.worth_s)
            if came is not None:
                del self._open[ref]
                self._score(ref, one.plan, came)

    def forget(self, ref: FunctionRef) -> None:
        self._open.pop(ref, None)
        self._scores.pop(ref, None)

    def _score(self, ref: FunctionRef, plan: Plan, came: Outcome) -> None:
        self._scores[ref] = forecasts.scored(self._scores.get(ref, Score()), plan, came)
        self._metrics.scored(came)
        self._scored(ref)

    def _next(self, ref: FunctionRef, now: Instant) -> tuple[Window, LearnedSilence] | None:
        """The window to be woken for next; one that has no end is waited for as long as a cold start is worth."""
        followed = self._functions.get(ref)
        silence = self._plans.silence(followed, now) if followed is not None else None
        if not isinstance(silence, LearnedSilence) or not silence.forecasts:
            return None
        most_s = max(silence.why.worth_s, ALWAYS_KEPT_S / self._settings.sleep_time_scale)
        for window in silence.windows[1:]:
            until = min(window.until, window.since + most_s)
            if now < until:
                return Window(window.since, until), silence
        return None
