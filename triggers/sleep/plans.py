"""Plans of sleep from histories, in the time of everybody else: the rule's own may pass faster, in tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from springtide.scaler.core.keepalive import rule
from springtide.scaler.core.keepalive.account import Account
from springtide.scaler.core.keepalive.forecasts import Score
from springtide.scaler.core.keepalive.pressure import Worth
from springtide.scaler.core.keepalive.rule import Learned, NotLearned, Plan, Window
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.scaler.function_table import Followed
from springtide.triggers.sleep.settings import SleepSettings
from springtide.triggers.sleep.watching import Watching

MAX_AGE_S = 60.0
"""Without a word of all gateways for longer, calls are not known, and the fixed duration holds."""
NO_CALLS = NotLearned("it was not called yet since anybody learns")


class Plans:
    """``plan`` of one function at a time. ``scores`` are those of its forecasts."""

    def __init__(
        self, settings: SleepSettings, watching: Callable[[], Watching | None], scores: dict[FunctionRef, Score]
    ) -> None:
        """``watching`` is None while another copy learns, or what is kept has not been read."""
        self._settings, self._watching, self._scores = settings, watching, scores
        self._learned: dict[FunctionRef, Learned] = {}
        self._kept: dict[FunctionRef, Account] = {}

    def __repr__(self) -> str:
        return f"<Plans of {len(self._learned)} functions>"

    def begin(self, accounts: Mapping[FunctionRef, Account]) -> None:
        """With nothing but what was kept of the accounts by whoever planned before."""
        self._learned.clear()
        self._kept = dict(accounts)

    def account(self, ref: FunctionRef) -> Account | None:
        """What is to be kept; None of a function that never had a plan."""
        learned = self._learned.get(ref)
        return self._kept.get(ref) if learned is None else learned.account

    def forget(self, ref: FunctionRef) -> None:
        self._learned.pop(ref, None)
        self._kept.pop(ref, None)

    def plan(self, followed: Followed, now: Instant) -> Plan | NotLearned:
        """In the time of the rule."""
        watching, policy, ref = self._watching(), followed.policy, followed.function.ref
        if not self._settings.learns(policy):
            return NotLearned("its sleep is not learned")
        if followed.problems:
            return NotLearned("its labels cannot be understood")
        if watching is None or watching.heard_until is None:
            return NotLearned("nobody has read yet what was learned before")
        age_s = now - watching.heard_until
        if age_s > MAX_AGE_S:
            return NotLearned(f"the gateways were not heard of for {age_s:.0f} s")
        watched = watching.functions.get(ref)
        if watched is None:
            return NO_CALLS
        scale = self._settings.sleep_time_scale
        start_s = followed.function.longest_start_s
        plan = rule.planned(
            watched.history,
            Instant(now * scale),
            price=self._settings.price(policy),
            cold_start_s=(self._settings.sleep_default_start_s if start_s is None else start_s) * scale,
            fixed_s=self._settings.fixed_s(policy) * scale,
            before=self._learned.get(ref),
            account=self._kept.get(ref),
        )
        if isinstance(plan, Plan):
            self._learned[ref] = plan.learned
        return plan

    def worth(self, followed: Followed, now: Instant) -> Worth | None:
        """What keeping it awake is worth, in everybody's time; None where its calls are not known."""
        watching = self._watching()
        if watching is None or watching.heard_until is None or now - watching.heard_until > MAX_AGE_S:
            return None
        watched = watching.functions.get(followed.function.ref)
        if watched is None or not watched.history.calls:
            return None
        scale = self._settings.sleep_time_scale
        calls_per_s = rule.calls_per_s(watched.history, Instant(now * scale))
        worth_s = self._settings.price(followed.policy).at_rate(calls_per_s)
        return Worth(calls_per_s * scale, worth_s / scale)

    def silence(self, followed: Followed, now: Instant) -> LearnedSilence | NotLearned:
        """The plan in everybody's time."""
        plan = self.plan(followed, now)
        if isinstance(plan, NotLearned):
            return plan
        trusted = self.trusted(followed.function.ref, plan)
        plan = plan if trusted else plan.without_forecasts()
        scale, why = self._settings.sleep_time_scale, plan.why
        windows = tuple(Window(window.since / scale, window.until / scale) for window in plan.windows)
        interval = why.interval_s
        why = replace(
            why,
            worth_s=why.worth_s / scale,
            within_s=why.within_s / scale,
            interval_s=(interval[0] / scale, interval[1] / scale) if interval is not None else None,
        )
        return LearnedSilence(windows, Instant(windows[0].since), why, trusted)

    def trusted(self, ref: FunctionRef, plan: Plan) -> bool:
        """Whether it is woken for the plan's forecasts."""
        return self._settings.prewarm_forecasts and self._scores.get(ref, Score()).trusted(plan)
