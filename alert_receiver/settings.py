"""The alert receiver's settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from springtide.runtime.same_origin import origins
from springtide.runtime.settings import LEAVE_HELP, duration, integer, path, setting
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE


@dataclass(frozen=True, kw_only=True)
class AlertReceiverSettings:
    host: str = setting("127.0.0.1", env="alert_receiver_host", help="address on which webhooks are taken")
    port: int = setting(
        8083,
        env="alert_receiver_port",
        kind=integer,
        low=0,
        high=65535,
        help="port of the webhook, /metrics and /healthz; 0 takes a free one",
    )
    provider_url: str = setting(
        "http://127.0.0.1:8081", env="functions_provider_url", help="base URL of the provider's API"
    )
    leave_s: float = setting(0.0, env="shutdown_delay", kind=duration, low=0, high=60, help=LEAVE_HELP)
    allowed_origins: tuple[str, ...] = setting(
        (),
        env="allowed_origins",
        kind=origins,
        help="origins beside this server's own whose pages may change things, separated by commas: that of a TLS proxy "
        "in front, as https://faas.example.org",
    )
    default_namespace: str = setting(
        DEFAULT_NAMESPACE, env="function_namespace", help="namespace of a function_name without one"
    )
    step_interval_s: float = setting(
        5.0,
        env="alert_step_interval",
        kind=duration,
        low=0.1,
        help="least time between two steps up of a function, and between two down; a label overrides it",
    )
    prometheus_url: str = setting(
        "", env="prometheus_url", help="base URL of Prometheus, asked before each step down; empty: not asked"
    )
    gateway_job: str = setting(
        "gateway", env="prometheus_gateway_job", help="name of the Prometheus job that scrapes the gateways"
    )
    alertmanager_url: str = setting(
        "", env="alertmanager_url", help="base URL of Alertmanager, asked which alerts fire; empty: not asked"
    )
    monitoring_secret_path: str = setting(
        "",
        env="monitoring_secret_path",
        help="folder with basic-auth-user and basic-auth-password for Prometheus and Alertmanager; empty: none needed",
    )
    review_interval_s: float = setting(
        60.0,
        env="alert_review_interval",
        kind=duration,
        low=1,
        help="time between two questions to Alertmanager and Prometheus which alerts fire",
    )
    settle_s: float = setting(
        30.0,
        env="alert_settle_duration",
        kind=duration,
        low=0,
        help="after measurements were missing, no step down until they have been there this long",
    )
    state_file: Path | None = setting(  # noqa: RUF009 - it returns a dataclass field
        None, env="alert_receiver_state_file", kind=path, help="file in which firing alerts and descents are kept"
    )
    deadline_s: float = setting(
        5.0, env="alert_receiver_deadline", kind=duration, low=0.1, help="longest wait for one answer of the provider"
    )
    delivery_budget_s: float = setting(
        8.0,
        env="alert_delivery_budget",
        kind=duration,
        low=0.1,
        help="longest work on one delivery, then it is answered 500; Alertmanager, which waits at least 10s, repeats "
        "it, and the functions not reached come first",
    )
    concurrency: int = setting(
        16,
        env="alert_receiver_concurrency",
        kind=integer,
        low=1,
        high=1000,
        help="functions read and written at the same time",
    )
