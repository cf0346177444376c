"""Everything about a connector but its sources that can be set, with OpenFaaS's names where OpenFaaS has one."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.runtime.settings import boolean, duration, integer, setting

MEBIBYTE = 1024 * 1024


def delimiter(text: str) -> str:
    """One character that separates. Raises ValueError."""
    if len(text) != 1 or text.isalnum():
        raise ValueError(f"{text[:20]!r} is not one character that separates, as , or ;")
    return text


@dataclass(frozen=True, kw_only=True)
class ConnectorSettings:
    """Durations in seconds."""

    gateway_url: str = setting(
        "http://127.0.0.1:8080", env="gateway_url", help="base URL of the gateway that is called"
    )
    provider_url: str = setting(
        "http://127.0.0.1:8081", env="functions_provider_url", help="base URL of the provider's API"
    )
    asynchronous: bool = setting(
        True,  # noqa: FBT003 - the default comes first in every setting
        env="asynchronous_invocation",
        kind=boolean,
        help="events of functions that do not say otherwise go through the queue",
    )
    upstream_timeout_s: float = setting(
        120.0,
        env="upstream_timeout",
        kind=duration,
        low=0.1,
        high=8 * 86_400.0,
        help="longest wait for the answer of a function that is called at once",
    )
    rebuild_interval_s: float = setting(
        30.0,
        env="rebuild_interval",
        kind=duration,
        low=0.1,
        high=3600.0,
        help="how often a provider that pushes nothing is asked for its functions",
    )
    topic_delimiter: str = setting(
        ",", env="topic_delimiter", kind=delimiter, help="what separates the topics of one function"
    )
    content_type: str = setting(
        "", env="content_type", help="Content-Type of events that have none; empty: that of their kind of source"
    )
    max_inflight: int = setting(
        100,
        env="max_inflight",
        kind=integer,
        low=1,
        high=10_000,
        help="events of one source that are on their way to functions at once; beyond it no more are read",
    )
    max_inflight_bytes: int = setting(
        64 * MEBIBYTE,
        env="max_inflight_bytes",
        kind=integer,
        low=1,
        high=16 * 1024 * MEBIBYTE,
        help="and bytes of their bodies",
    )
    grace_s: float = setting(
        30.0,
        env="connector_grace",
        kind=duration,
        low=0.0,
        high=3600.0,
        help="how long deliveries may take to finish when the connector stops; what does not is given back",
    )
    host: str = setting(
        "127.0.0.1", env="connector_host", help="address on which /metrics, /healthz, /events and /sources are served"
    )
    port: int = setting(
        8089,
        env="connector_port",
        kind=integer,
        low=0,
        high=65535,
        help="port of /metrics, /healthz, /events and /sources; 0 takes a free one",
    )
