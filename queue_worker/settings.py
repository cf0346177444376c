"""Everything about the queue worker that can be set, with OpenFaaS's names where OpenFaaS has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from springtide.queue_worker.retrying import DEFAULT_CODES, MAX_ATTEMPTS, MAX_WAIT_S, Jitter, RetryRules, codes
from springtide.runtime.errors import BadInput, reason_of
from springtide.runtime.settings import duration, integer, setting
from springtide.wire.jobs.callback_address import CallbackRules, port_of
from springtide.wire.jobs.callback_settings import CallbackSettings
from springtide.wire.jobs.job import DEFAULT_QUEUE
from springtide.wire.jobs.names import checked_queue
from springtide.wire.jobs.settings import BrokerSettings, with_names_of_openfaas

MEBIBYTE = 1024 * 1024
MAX_RESULT = 7 * MEBIBYTE
MAX_AGE_S = 30 * 86_400.0


def queue(text: str) -> str:
    """The name of a queue. Raises ValueError."""
    try:
        return checked_queue(text, "it")
    except BadInput as error:
        raise ValueError(reason_of(error)) from None


def jitter(text: str) -> Jitter:
    """``exponential`` (nothing is left to chance), ``full`` or ``equal`` (half of it is). Raises ValueError."""
    try:
        return Jitter(text)
    except ValueError:
        raise ValueError(f"{text!r} is none of {', '.join(Jitter)}") from None


@dataclass(frozen=True, kw_only=True)
class QueueWorkerSettings:
    """Durations in seconds."""

    queue: str = setting(DEFAULT_QUEUE, env="queue_name", kind=queue, help="queue whose jobs are run")
    gateway_url: str = setting(
        "http://127.0.0.1:8080", env="gateway_url", help="base URL of the gateway that is called"
    )
    provider_url: str = setting(
        "http://127.0.0.1:8081", env="functions_provider_url", help="base URL of the provider's API"
    )
    nats_monitoring_url: str = setting(
        "",
        env="nats_monitoring_url",
        help="monitoring port of the NATS server, as http://host:8222, which alone tells when it syncs and how much it "
        "may keep; empty: not asked",
    )
    max_running: int = setting(
        1000, env="max_running", kind=integer, low=1, high=100_000, help="jobs that this worker runs at once"
    )
    max_inflight: int = setting(
        50,
        env="max_inflight",
        kind=integer,
        low=1,
        high=100_000,
        help="jobs that run at once for each ready replica of a function that names no limit of its own",
    )
    ack_wait_s: float = setting(
        30.0,
        env="ack_wait",
        kind=duration,
        low=1.0,
        high=3600.0,
        help="how long a job is a worker's that says nothing: calls of one that was killed wait so long for another. "
        "While a call runs this is extended at each third of it, so it bounds no call; but where a worker, a machine "
        "or a server halts for longer, another copy begins the call once more. springtide up has one copy, which is "
        "given its own calls again and goes on with them, so it takes 10s",
    )
    upstream_timeout_s: float = setting(
        3660.0,
        env="upstream_timeout",
        kind=duration,
        low=1.0,
        high=8 * 86_400.0,
        help="longest wait for the gateway's answer, which has limits of its own",
    )
    idle_lane_s: float = setting(
        30.0,
        env="consumer_inactive_threshold",
        kind=duration,
        low=1.0,
        high=86_400.0,
        help="how long nothing comes for a function before what the server keeps for it is removed",
    )
    max_attempts: int = setting(
        10,
        env="max_retry_attempts",
        kind=integer,
        low=1,
        high=MAX_ATTEMPTS,
        help="how often a call is tried, the first time included, where its function does not say",
    )
    min_wait_s: float = setting(
        10.0, env="initial_retry_wait", kind=duration, low=0.0, high=MAX_WAIT_S, help="pause after a first try"
    )
    max_wait_s: float = setting(
        120.0, env="max_retry_wait", kind=duration, low=0.0, high=MAX_WAIT_S, help="longest pause between two tries"
    )
    retry_codes: frozenset[int] = setting(
        DEFAULT_CODES, env="retry_http_codes", kind=codes, help="statuses after which a call is tried again"
    )
    backoff: Jitter = setting(  # noqa: RUF009 - a member of an enumeration
        Jitter.EXPONENTIAL,
        env="backoff",
        kind=jitter,
        help="exponential: each pause twice the one before; full: from nothing to that; equal: half to all of that",
    )
    max_age_s: float = setting(
        86_400.0,
        env="max_job_age",
        kind=duration,
        low=1.0,
        high=MAX_AGE_S,
        help="age at which a job that failed is not tried again",
    )
    max_result: int = setting(
        MEBIBYTE,
        env="max_result",
        kind=integer,
        low=0,
        high=MAX_RESULT,
        help="bytes of an answer that are kept and told to a callback",
    )
    callback_secret_path: str = setting(
        "",
        env="callback_secret_path",
        help="file with the secret that callbacks are signed with (X-Springtide-Signature-256); empty: they are not",
    )
    grace_s: float = setting(
        30.0, env="queue_worker_grace", kind=duration, help="how long calls may take to finish when the worker stops"
    )
    host: str = setting("127.0.0.1", env="queue_worker_host", help="address on which /metrics and /healthz are served")
    port: int = setting(
        8087,
        env="queue_worker_port",
        kind=integer,
        low=0,
        high=65535,
        help="port of /metrics and /healthz; 0 takes a free one",
    )

    broker: BrokerSettings = BrokerSettings()  # noqa: RUF009 - frozen, made once
    callbacks: CallbackSettings = CallbackSettings()  # noqa: RUF009 - frozen, made once

    @property
    def retries(self) -> RetryRules:
        return RetryRules(
            max_attempts=self.max_attempts,
            codes=self.retry_codes,
            min_wait_s=self.min_wait_s,
            max_wait_s=self.max_wait_s,
            jitter=self.backoff,
            max_age_s=self.max_age_s,
        )


GATEWAY_HOST, GATEWAY_PORT = "faas_gateway_address", "faas_gateway_port"
STREAM, STREAM_REPLICAS, CHANNEL = "nats_stream", "nats_stream_replicas", "faas_nats_channel"


def with_names_of_openfaas_worker(environ: Mapping[str, str]) -> Mapping[str, str]:
    """``environ`` with the settings that OpenFaaS's queue workers are given in other words.

    What is left of theirs says nothing here: there is one way to call (``gateway_invoke``, ``faas_function_suffix``),
    one to share out (``scaling_mode``, ``limiter_enabled``, ``nats_durable``, ``faas_nats_queue_group``,
    ``consumer_pull_max_messages``), and the client connects again for as long as it takes (``faas_max_reconnect``).
    """
    more = dict(with_names_of_openfaas(environ))

    def also(name: str, value: str) -> None:
        if value and not environ.get(name):
            more[name] = value

    if environ.get(GATEWAY_HOST):
        also("gateway_url", f"http://{environ[GATEWAY_HOST]}:{environ.get(GATEWAY_PORT) or '8080'}")
    also("queue_name", environ.get(STREAM, "").removeprefix("OF_") or environ.get(CHANNEL, ""))
    also("queue_replicas", environ.get(STREAM_REPLICAS, ""))
    return more


def callback_rules(settings: QueueWorkerSettings) -> CallbackRules:
    """Functions behind the gateway are the usual callback."""
    to = urlsplit(settings.gateway_url)
    return settings.callbacks.rules(((to.hostname or "").lower(),), port_of(to))
