"""The settings of the part that runs the control loop."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.runtime.settings import duration, integer, setting, words


@dataclass(frozen=True, kw_only=True)
class ScalerSettings:
    provider_url: str = setting(
        "http://127.0.0.1:8081", env="functions_provider_url", help="base URL of the provider's API"
    )
    gateway_urls: tuple[str, ...] = setting(
        ("http://127.0.0.1:8080",),
        env="gateway_urls",
        kind=words,
        help="base URLs of the gateways, which tell their calls each second; a name stands for all its addresses",
    )
    prometheus_url: str = setting(
        "", env="prometheus_url", help="base URL of Prometheus, for loads with a name of your own; empty: unknown"
    )
    monitoring_secret_path: str = setting(
        "",
        env="monitoring_secret_path",
        help="folder with basic-auth-user and basic-auth-password for Prometheus; empty: none needed",
    )
    interval_s: float = setting(
        1.0,
        env="scaler_interval",
        kind=duration,
        low=0.5,
        high=60,
        help="time from one look at all functions to the next; its rules are made for looks each second",
    )
    deadline_s: float = setting(
        5.0, env="scaler_deadline", kind=duration, low=0.1, high=10, help="longest wait for a write"
    )
    concurrency: int = setting(
        16, env="scaler_concurrency", kind=integer, low=1, high=1000, help="functions written at the same time"
    )
    host: str = setting("127.0.0.1", env="scaler_host", help="address on which /metrics and /healthz are served")
    port: int = setting(
        8086,
        env="scaler_port",
        kind=integer,
        low=0,
        high=65535,
        help="port of /metrics and /healthz; 0 takes a free one",
    )
