"""Settings of the part of triggers that wakes functions ahead of calls that are known to come."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.runtime.settings import boolean, duration, integer, setting
from springtide.scaler.core.prewarm import MAX_LEAD_S, UNKNOWN_LEAD_S


@dataclass(frozen=True, kw_only=True)
class PrewarmSettings:
    prewarm: bool = setting(
        default=True,
        env="prewarm",
        kind=boolean,
        help="wake functions at zero before their schedules and delayed calls are due, so that none meets a cold start",
    )
    prewarm_default_lead_s: float = setting(
        UNKNOWN_LEAD_S,
        env="prewarm_default_lead",
        kind=duration,
        low=0,
        high=MAX_LEAD_S,
        help="how long before its call a function is woken whose starts were never measured",
    )
    prewarm_jobs_interval_s: float = setting(
        15.0,
        env="prewarm_jobs_interval",
        kind=duration,
        low=1,
        high=3600,
        help="time between questions for delayed calls; a call delayed by less may find its function asleep",
    )
    prewarm_deadline_s: float = setting(
        5.0, env="prewarm_deadline", kind=duration, low=0.1, high=10, help="longest wait for a write"
    )
    prewarm_concurrency: int = setting(
        16, env="prewarm_concurrency", kind=integer, low=1, high=1000, help="functions woken at the same time"
    )
