"""The idler's settings. Names of environment variables that faas-idler had keep their names."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.runtime import quantities
from springtide.runtime.settings import boolean, duration, integer, setting, words
from springtide.scaler.core.idle import IdleLimits
from springtide.scaler.core.policy import DEFAULT_SILENCE_S
from springtide.scaler.core.prewarm import MAX_LEAD_S, UNKNOWN_LEAD_S


def quantity(text: str) -> int | None:
    """A quantity such as ``4Gi``; empty is none. Raises ValueError."""
    return quantities.memory_bytes(text) if text.strip() else None


@dataclass(frozen=True, kw_only=True)
class IdlerSettings:
    provider_url: str = setting(
        "http://127.0.0.1:8081", env="functions_provider_url", help="base URL of the provider's API"
    )
    prometheus_url: str = setting("", env="prometheus_url", help="base URL of Prometheus; wins over host and port")
    monitoring_secret_path: str = setting(
        "",
        env="monitoring_secret_path",
        help="folder with basic-auth-user and basic-auth-password for Prometheus; empty: none needed",
    )
    prometheus_host: str = setting("127.0.0.1", env="prometheus_host", help="host of Prometheus")
    prometheus_port: int = setting(
        9090, env="prometheus_port", kind=integer, low=1, high=65535, help="port of Prometheus"
    )
    gateway_job: str = setting(
        "gateway", env="prometheus_gateway_job", help="name of the Prometheus job that scrapes the gateways"
    )
    gateway_metrics_urls: tuple[str, ...] = setting(
        (),
        env="gateway_metrics_urls",
        kind=words,
        help="every gateway's /metrics, asked once more right before a function is taken to zero",
    )
    gateway_urls: tuple[str, ...] = setting(
        (),
        env="gateway_urls",
        kind=words,
        help="base URLs of the gateways, the first of which that answers is asked for calls that were put off right "
        "before a function is taken to zero, and for what pauses have taught; empty: nobody is asked",
    )
    inactivity_s: float = setting(
        DEFAULT_SILENCE_S,
        env="inactivity_duration",
        kind=duration,
        low=0.1,
        help="silence after which a function without a zero-duration label is idle",
    )
    sweep_s: float = setting(
        30.0, env="reconcile_interval", kind=duration, low=0.1, help="time from the start of a sweep to the next"
    )
    stale_after_s: float = setting(
        60.0, env="idler_stale_after", kind=duration, low=0.1, help="age from which a measurement counts as missing"
    )
    settle_s: float = setting(
        60.0,
        env="idler_settle",
        kind=duration,
        low=0,
        help="time for which measurements must have come without a gap before they are believed",
    )
    default_lead_s: float = setting(
        UNKNOWN_LEAD_S,
        env="prewarm_default_lead",
        kind=duration,
        low=0,
        high=MAX_LEAD_S,
        help="how long a start is expected to take where none was measured: so near its schedule nothing goes to zero",
    )
    deadline_s: float = setting(
        10.0, env="idler_deadline", kind=duration, low=0.1, help="longest wait for one answer of provider or source"
    )
    concurrency: int = setting(
        16, env="idler_concurrency", kind=integer, low=1, high=1000, help="functions written at the same time"
    )
    sleep_memory: int | None = setting(
        None,
        env="sleep_memory",
        kind=quantity,
        help="memory that the functions of one machine may take together, such as 4Gi: above it those that are idle "
        "sleep early, the least worthy first; empty: no bound. Kubernetes has bounds of its own",
    )
    dry_run: bool = setting(
        default=False, env="dry_run", kind=boolean, help="say what would be taken to zero, and do nothing"
    )
    host: str = setting("127.0.0.1", env="idler_host", help="address on which /metrics and /healthz are served")
    port: int = setting(
        8084,
        env="idler_port",
        kind=integer,
        low=0,
        high=65535,
        help="port of /metrics and /healthz; 0 takes a free one",
    )

    @property
    def prometheus(self) -> str:
        """Where Prometheus is, however that was said."""
        return self.prometheus_url or f"http://{self.prometheus_host}:{self.prometheus_port}"

    @property
    def limits(self) -> IdleLimits:
        return IdleLimits(
            default_duration_s=self.inactivity_s, stale_after_s=self.stale_after_s, settle_s=self.settle_s
        )
