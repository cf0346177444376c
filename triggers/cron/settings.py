"""Everything about the cron part that can be set, with OpenFaaS's names where its connector has one."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.runtime.settings import duration, integer, setting
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE
from springtide.wire.jobs.settings import BrokerSettings


@dataclass(frozen=True, kw_only=True)
class CronSettings:
    """Durations in seconds."""

    gateway_url: str = setting(
        "http://127.0.0.1:8080", env="gateway_url", help="base URL of the gateway that takes the calls"
    )
    provider_url: str = setting(
        "http://127.0.0.1:8081", env="functions_provider_url", help="base URL of the provider's API"
    )
    default_namespace: str = setting(
        DEFAULT_NAMESPACE, env="function_namespace", help="namespace of functions that name none"
    )
    state_dir: str = setting(
        "",
        env="cron_state_dir",
        help="folder that keeps up to when ticks were sent, and pauses, of the only copy; empty: the broker keeps it",
    )
    content_type: str = setting("text/plain", env="content_type", help="Content-Type of the calls")
    rebuild_interval_s: float = setting(
        10.0,
        env="rebuild_interval",
        kind=duration,
        low=0.5,
        high=3600,
        help="time from one look at the functions to the next, before a provider that does not tell of changes",
    )
    takeover_s: float = setting(
        300.0,
        env="cron_takeover",
        kind=duration,
        low=10,
        high=3600,
        help="what is late by no more is sent, every tick of it; of what is older the function's catch-up says what "
        "becomes of it",
    )
    concurrency: int = setting(
        64, env="cron_concurrency", kind=integer, low=1, high=1000, help="ticks that are being sent at the same time"
    )
    upstream_timeout_s: float = setting(
        3600.0,
        env="upstream_timeout",
        kind=duration,
        low=1,
        high=86_400,
        help="longest wait for a function's answer, where there is no queue",
    )
    host: str = setting("127.0.0.1", env="cron_host", help="address on which schedules and /metrics are served")
    port: int = setting(8088, env="cron_port", kind=integer, low=0, high=65535, help="port of both; 0 takes a free one")
    broker: BrokerSettings = BrokerSettings()  # noqa: RUF009 - frozen, made once
