"""Settings of who learns when functions sleep: what holds where labels are silent, and what forecasts may cost."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.runtime.settings import boolean, duration, integer, number, setting, words
from springtide.scaler.core.keepalive.forecasts import MAX_AT_ONCE, MAX_REPLICA_HOURS, Budget
from springtide.scaler.core.keepalive.rule import Price
from springtide.scaler.core.label_values import MAX_COLD_WORTH_RARE, MAX_COLD_WORTH_S
from springtide.scaler.core.policy import DEFAULT_SILENCE_S, ScalePolicy, ZeroPolicy
from springtide.scaler.core.prewarm import MAX_LEAD_S, UNKNOWN_LEAD_S

MAX_TIME_SCALE = 50.0
"""Instants of this century, so many times as fast, are still times to the rule."""


def zero_policy(text: str) -> ZeroPolicy:
    """``fixed`` or ``learned``."""
    try:
        return ZeroPolicy(text.strip().lower())
    except ValueError:
        raise ValueError(f"{text!r} is neither fixed nor learned") from None


@dataclass(frozen=True, kw_only=True)
class SleepSettings:
    zero_policy: ZeroPolicy = setting(  # noqa: RUF009 - a setting as the others
        ZeroPolicy.FIXED,
        env="zero_policy",
        kind=zero_policy,
        help="fixed or learned: after which silence functions sleep that may and have no label zero-policy",
    )
    cold_worth_s: float = setting(
        900.0,
        env="cold_worth",
        kind=duration,
        low=1,
        high=MAX_COLD_WORTH_S,
        help="how long a replica may run to spare one cold start, where no label cold-worth says it",
    )
    cold_worth_rare: float = setting(
        0.8,
        env="cold_worth_rare",
        kind=number,
        low=0,
        high=MAX_COLD_WORTH_RARE,
        help="seconds added to that for each second between a function's calls, so that rare functions weigh more",
    )
    inactivity_s: float = setting(
        DEFAULT_SILENCE_S,
        env="inactivity_duration",
        kind=duration,
        low=0.1,
        help="the idler's own: the silence that learned sleep is held against where no label zero-duration says it",
    )
    gateway_metrics_urls: tuple[str, ...] = setting(
        (),
        env="gateway_metrics_urls",
        kind=words,
        help="every gateway's port for metrics, asked when functions were busy; empty: nothing is learned",
    )
    sleep_interval_s: float = setting(
        5.0, env="sleep_interval", kind=duration, low=0.2, high=30, help="time between questions to the gateways"
    )
    sleep_save_interval_s: float = setting(
        30.0, env="sleep_save_interval", kind=duration, low=1, high=300, help="time between saves of what was learned"
    )
    prewarm_forecasts: bool = setting(
        default=True,
        env="prewarm_forecasts",
        kind=boolean,
        help="wake functions whose sleep is learned ahead of calls that their pauses make likely",
    )
    prewarm_max: int = setting(
        20,
        env="prewarm_max",
        kind=integer,
        low=0,
        high=MAX_AT_ONCE,
        help="functions that may be up for a forecast at once; schedules and delayed calls are not bounded",
    )
    prewarm_replica_hours: float = setting(
        240.0,
        env="prewarm_replica_hours",
        kind=number,
        low=0,
        high=MAX_REPLICA_HOURS,
        help="replica-hours that forecasts may cost a day (UTC)",
    )
    sleep_default_start_s: float = setting(
        UNKNOWN_LEAD_S,
        env="sleep_default_start",
        kind=duration,
        low=0,
        high=MAX_LEAD_S,
        help="how long a start is taken to last where none was measured",
    )
    sleep_time_scale: float = setting(
        1.0,
        env="sleep_time_scale",
        kind=number,
        low=1,
        high=MAX_TIME_SCALE,
        help="seconds of the learned rule that pass in one second, to try it in minutes instead of hours; not for work",
    )

    @property
    def budget(self) -> Budget:
        return Budget(self.prewarm_max, self.prewarm_replica_hours)

    def learns(self, policy: ScalePolicy) -> bool:
        """Whether the sleep of a function with these labels is learned."""
        return policy.zero and (policy.zero_policy or self.zero_policy) is ZeroPolicy.LEARNED

    def fixed_s(self, policy: ScalePolicy) -> float:
        """The silence that would take it to zero if nothing was learned."""
        return self.inactivity_s if policy.zero_duration_s is None else policy.zero_duration_s

    def price(self, policy: ScalePolicy) -> Price:
        """What one cold start of it may cost, in seconds of the rule."""
        worth_s = self.cold_worth_s if policy.cold_worth_s is None else policy.cold_worth_s
        rare = self.cold_worth_rare if policy.cold_worth_rare is None else policy.cold_worth_rare
        return Price(worth_s, rare)
