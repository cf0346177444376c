"""Everything about the console that can be set."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.runtime.same_origin import origins
from springtide.runtime.settings import LEAVE_HELP, duration, integer, setting, words


@dataclass(frozen=True, kw_only=True)
class ConsoleSettings:
    """Durations in seconds. An address that is empty is a part this installation does not have."""

    host: str = setting("127.0.0.1", env="console_host", help="address to listen on")
    port: int = setting(
        8085, env="console_port", kind=integer, low=0, high=65535, help="port to listen on; 0 picks a free one"
    )
    gateway_url: str = setting(
        "http://127.0.0.1:8080", env="gateway_url", help="base URL of the gateway: its system API, and calls"
    )
    gateway_metrics_urls: tuple[str, ...] = setting(
        ("http://127.0.0.1:8082/metrics",),
        env="gateway_metrics_urls",
        kind=words,
        help="/metrics of every gateway, separated by commas",
    )
    provider_url: str = setting("", env="functions_provider_url", help="base URL of the provider, to see it is up")
    alert_receiver_url: str = setting("", env="console_alert_receiver_url", help="base URL of the alert receiver")
    scaler_url: str = setting("", env="console_scaler_url", help="base URL of the scaler")
    queue_worker_url: str = setting("", env="console_queue_worker_url", help="base URL of the queue worker")
    cron_url: str = setting("", env="console_cron_url", help="base URL of the cron part")
    idler_url: str = setting("", env="console_idler_url", help="base URL of the idler")
    prometheus_url: str = setting(
        "", env="prometheus_url", help="where histories of hours and days are read; empty: the last minutes only"
    )
    alertmanager_url: str = setting("", env="alertmanager_url", help="base URL of Alertmanager")
    monitoring_secret_path: str = setting(
        "",
        env="monitoring_secret_path",
        help="folder with basic-auth-user and basic-auth-password for Prometheus and Alertmanager; empty: none needed",
    )
    state_dir: str = setting(
        "",
        env="console_state_dir",
        help="folder of a suite on this machine, whose files that were set aside as damaged are shown; empty: none",
    )
    leave_s: float = setting(0.0, env="shutdown_delay", kind=duration, low=0, high=60, help=LEAVE_HELP)
    allowed_origins: tuple[str, ...] = setting(
        (),
        env="allowed_origins",
        kind=origins,
        help="origins beside this server's own whose pages may change things, separated by commas: that of a TLS proxy "
        "in front, as https://faas.example.org",
    )
    step_s: float = setting(
        2.0, env="console_step", kind=duration, low=0.2, high=60, help="how often the numbers are fetched"
    )
    deadline_s: float = setting(
        5.0, env="console_deadline", kind=duration, low=0.1, help="longest wait for an answer of another part"
    )
    invoke_deadline_s: float = setting(
        65.0, env="console_invoke_deadline", kind=duration, low=1, help="longest wait for a function called by hand"
    )
    max_viewers: int = setting(
        200, env="console_max_viewers", kind=integer, low=1, help="pages with live updates open at once"
    )
    max_log_viewers: int = setting(
        30, env="console_max_log_viewers", kind=integer, low=1, help="pages following a log at once"
    )
