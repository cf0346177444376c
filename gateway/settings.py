"""Everything about the gateway that can be set, with OpenFaaS's names where OpenFaaS has one."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.runtime.same_origin import origins
from springtide.runtime.settings import boolean, duration, integer, number, setting, words
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE
from springtide.wire.jobs.callback_settings import CallbackSettings
from springtide.wire.jobs.settings import BrokerSettings
from springtide.wire.webhooks.webhook import MAX_BODY as MAX_WEBHOOK_BODY

MEBIBYTE = 1024 * 1024

MAX_DEPLOY_S = 24 * 3600.0

MAX_CALL_S = 7 * 24 * 3600.0

MAX_ASYNC_BODY = 4 * 1024 * MEBIBYTE
MAX_WEBHOOK_HELD = 64 * 1024 * MEBIBYTE
MAX_WEBHOOK_TOLERANCE_S = 24 * 3600.0
MAX_ASYNC_INLINE = 7 * MEBIBYTE
"""The suite's own NATS server takes messages of 8."""

BACKLOG = 4096
"""Connections not yet accepted: many callers of a sleeping function come at once."""


@dataclass(frozen=True, kw_only=True)
class GatewaySettings:
    """Durations in seconds; 0 switches a time-out off. What is bounded altogether is shared out among the workers."""

    host: str = setting("127.0.0.1", env="gateway_host", help="address of the public listener")
    port: int = setting(8080, env="port", kind=integer, low=0, high=65535, help="port of the public listener")
    workers: int = setting(
        0,
        env="gateway_workers",
        kind=integer,
        low=0,
        high=256,
        help="processes that share the public port; 0: as many as processors may be used; 1: this process alone",
    )
    metrics_host: str = setting("127.0.0.1", env="metrics_host", help="address of /metrics and /healthz")
    metrics_port: int = setting(
        8082, env="metrics_port", kind=integer, low=0, high=65535, help="port of /metrics and /healthz"
    )
    provider_url: str = setting(
        "http://127.0.0.1:8081", env="functions_provider_url", help="base URL of the provider's API"
    )
    alert_receiver_url: str = setting(
        "", env="alert_receiver_url", help="URL that POST /system/alert is passed on to; empty: answered with 501"
    )
    cron_url: str = setting(
        "",
        env="cron_url",
        help="base URL of the cron part, which /system/schedules and /system/sleep are passed on to; empty: 501",
    )
    connector_urls: tuple[str, ...] = setting(
        (),
        env="connector_urls",
        kind=words,
        help="base URLs of connectors, separated by commas, which /system/events asks for their events; empty: 501",
    )
    connectors_dir: str = setting(
        "", env="connectors_dir", help="folder in which connectors on this machine say where they are; empty: none does"
    )
    console_url: str = setting(
        "", env="console_url", help="base URL of the console, which GET /ui/ is passed on to; empty: there is none"
    )
    allowed_origins: tuple[str, ...] = setting(
        (),
        env="allowed_origins",
        kind=origins,
        help="origins beside this server's own whose pages may change things, separated by commas: that of a TLS proxy "
        "in front, as https://faas.example.org",
    )
    poll_interval_s: float = setting(
        5.0,
        env="poll_interval",
        kind=duration,
        low=0.1,
        help="how often a provider that pushes no endpoints is asked for its functions",
    )
    prometheus_url: str = setting(
        "", env="prometheus_url", help="where invocationCount is summed up; empty: this gateway's own counters"
    )
    monitoring_secret_path: str = setting(
        "",
        env="monitoring_secret_path",
        help="folder with basic-auth-user and basic-auth-password for Prometheus; empty: none needed",
    )
    namespace: str = setting(
        DEFAULT_NAMESPACE, env="function_namespace", help="namespace of functions called without one"
    )

    head_timeout_s: float = setting(
        10.0, env="head_timeout", kind=duration, help="longest wait for a request's headers once its first byte came"
    )
    read_timeout_s: float = setting(
        60.0, env="read_timeout", kind=duration, help="longest pause of a caller while sending a body"
    )
    write_timeout_s: float = setting(
        60.0, env="write_timeout", kind=duration, help="longest pause of a caller in reading its answer"
    )
    upstream_timeout_s: float = setting(
        60.0,
        env="upstream_timeout",
        kind=duration,
        help="longest wait for a function's answer once it has the whole request, where the function names no time of "
        "its own; then 504",
    )
    max_call_duration_s: float = setting(
        3600.0,
        env="max_call_duration",
        kind=duration,
        high=MAX_CALL_S,
        help="longest time that a function may name itself (com.springtide.timeout, exec_timeout), and longest upload",
    )
    stream_idle_s: float = setting(
        0.0,
        env="stream_idle",
        kind=duration,
        high=MAX_CALL_S,
        help="how long an answer that has begun may be silent before it is broken off, however long it is altogether; "
        "0: as long as the function may take to begin it, and at least upstream_timeout",
    )
    first_byte_timeout_s: float = setting(
        0.0, env="first_byte_timeout", kind=duration, help="longest wait for a function's first byte; then 504"
    )
    connect_timeout_s: float = setting(
        2.0, env="connect_timeout", kind=duration, low=0.01, help="longest wait for a connection to a replica"
    )
    keep_alive_s: float = setting(
        75.0, env="keep_alive", kind=duration, help="how long a caller's idle connection is kept"
    )
    tunnel_idle_s: float = setting(
        600.0, env="tunnel_idle", kind=duration, help="how long a WebSocket or other tunnel may be silent"
    )
    deploy_timeout_s: float = setting(
        900.0,
        env="deploy_timeout",
        kind=duration,
        low=1,
        high=MAX_DEPLOY_S,
        help="longest silence of the provider while it deploys or builds, which may install packages; then 504",
    )
    max_connections: int = setting(
        50_000,
        env="max_connections",
        kind=integer,
        low=1,
        help="callers' connections open at once, an equal part of them at each worker; beyond it 503",
    )
    max_streams: int = setting(
        200,
        env="max_streams",
        kind=integer,
        low=1,
        help="logs, decisions and endpoints followed at once, an equal part of them at each worker; beyond it 429",
    )

    replica_idle_s: float = setting(
        4.0, env="replica_idle", kind=duration, help="how long an idle connection to a replica is kept"
    )
    max_idle_per_replica: int = setting(
        1024, env="max_idle_conns_per_host", kind=integer, low=0, help="idle connections kept to one replica"
    )
    replay_bytes: int = setting(
        64 * 1024,
        env="replay_bytes",
        kind=integer,
        low=0,
        help="bytes of a body kept for sending it to another replica",
    )
    retry_posts: bool = setting(
        True,  # noqa: FBT003 - the default comes first in every setting
        env="retry_posts",
        kind=boolean,
        help="repeat POST and PATCH, too, when a replica died before it answered; they may then be executed twice. "
        "Asynchronous calls are not repeated by this, but by their queue worker",
    )
    reroute_timeout_s: float = setting(
        5.0, env="reroute_timeout", kind=duration, help="how long a call whose replica went away waits for another"
    )

    hold_timeout_s: float = setting(
        60.0, env="hold_timeout", kind=duration, low=0.01, help="how long a caller is held while its function wakes"
    )
    wake_patience_s: float = setting(
        3.0,
        env="wake_patience",
        kind=duration,
        help="how long a wake is tried again that the provider answers with an error; one that is away is waited for",
    )
    problem_grace_s: float = setting(
        5.0, env="problem_grace", kind=duration, help="how long a caller is held once the provider says why none comes"
    )
    max_held_per_function: int = setting(
        20_000,
        env="max_held_per_function",
        kind=integer,
        low=0,
        help="callers held for one function, an equal part of them at each worker; beyond it 503",
    )
    max_held: int = setting(
        50_000,
        env="max_held",
        kind=integer,
        low=0,
        help="callers held altogether, an equal part of them at each worker; beyond it 503",
    )
    max_held_bytes: int = setting(
        256 * MEBIBYTE,
        env="max_held_bytes",
        kind=integer,
        low=0,
        help="bytes of held callers' requests kept altogether, an equal part at each worker; beyond it 503",
    )

    max_async_body: int = setting(
        64 * MEBIBYTE,
        env="max_async_body",
        kind=integer,
        low=0,
        high=MAX_ASYNC_BODY,
        help="bytes of an asynchronous call's body; beyond it 413",
    )
    max_async_inline: int = setting(
        MEBIBYTE,
        env="max_async_inline",
        kind=integer,
        low=0,
        high=MAX_ASYNC_INLINE,
        help="bytes of a body that are kept with the job itself; larger ones are streamed to the object store. The "
        "NATS server's max_payload has to allow it, and 100 kB for headers",
    )
    max_async_held_bytes: int = setting(
        256 * MEBIBYTE,
        env="max_async_held_bytes",
        kind=integer,
        low=MEBIBYTE,
        help="bytes of asynchronous calls' bodies that are being stored, an equal part at each worker; beyond it 503",
    )
    max_webhook_body: int = setting(
        25 * MEBIBYTE,
        env="max_webhook_body",
        kind=integer,
        low=0,
        high=MAX_WEBHOOK_BODY,
        help="bytes of a delivery to /webhook/; beyond it 413. GitHub sends at most these 25 MB",
    )
    max_webhook_held_bytes: int = setting(
        128 * MEBIBYTE,
        env="max_webhook_held_bytes",
        kind=integer,
        low=MEBIBYTE,
        high=MAX_WEBHOOK_HELD,
        help="bytes of deliveries to /webhook/ that are received and checked, an equal part at each worker; beyond it "
        "503",
    )
    webhook_tolerance_s: float = setting(
        300.0,
        env="webhook_tolerance",
        kind=duration,
        low=1,
        high=MAX_WEBHOOK_TOLERANCE_S,
        help="how far the time that a delivery was signed at may be from this clock, before it or after it; then 401",
    )

    first_snapshot_s: float = setting(
        2.0, env="first_snapshot", kind=duration, help="how long a start waits for the provider's list of functions"
    )
    grace_s: float = setting(
        10.0, env="grace", kind=duration, help="how long calls in flight may take to finish when the gateway stops"
    )

    otlp_endpoint: str = setting(
        "",
        env="OTEL_EXPORTER_OTLP_ENDPOINT",
        help="base URL of an OpenTelemetry collector (OTLP over HTTP) that is sent traces of calls; empty: none are "
        "made. Needs the extra springtide[otel]",
    )
    trace_sample_ratio: float = setting(
        0.1,
        env="trace_sample_ratio",
        kind=number,
        low=0,
        high=1,
        help="share of the calls traced that come without a trace of their own; others are as theirs is",
    )
    trace_max_per_s: int = setting(
        100,
        env="trace_max_per_second",
        kind=integer,
        low=1,
        help="most calls traced each second of those that come without a trace, an equal part of them at each worker",
    )
    access_log: bool = setting(
        False,  # noqa: FBT003 - the default comes first in every setting
        env="access_log",
        kind=boolean,
        help="log a line for each call: id, function, method, status, duration; never its path or its headers",
    )

    broker: BrokerSettings = BrokerSettings()  # noqa: RUF009 - frozen, made once
    """Of asynchronous calls."""

    callbacks: CallbackSettings = CallbackSettings()  # noqa: RUF009 - frozen, made once

    sharers: int = 1
    """How many workers give calls to the same replicas: each gives a replica so much less. Not for people to set."""
