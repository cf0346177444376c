"""Names and defaults of contract 10.3, 10.7 and 10.8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from springtide.queue_worker.retrying import Jitter
from springtide.queue_worker.settings import (
    QueueWorkerSettings,
    callback_rules,
    with_names_of_openfaas_worker,
)
from springtide.runtime.errors import BadInput
from springtide.runtime.settings import SettingsError, read
from springtide.wire.jobs.callback_settings import CallbackSettings
from springtide.wire.jobs.settings import BrokerSettings


def settings(**environ: str) -> QueueWorkerSettings:
    return read(QueueWorkerSettings, with_names_of_openfaas_worker(environ))


def broker(**environ: str) -> BrokerSettings:
    return read(BrokerSettings, with_names_of_openfaas_worker(environ))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {"queue": "faas-request", "max_inflight": 50, "ack_wait_s": 30.0, "idle_lane_s": 30.0}),
        ({}, {"max_attempts": 10, "min_wait_s": 10.0, "max_wait_s": 120.0, "backoff": Jitter.EXPONENTIAL}),
        ({}, {"retry_codes": frozenset({408, 429, 500, 502, 503, 504})}),
        ({"max_inflight": "7"}, {"max_inflight": 7}),
        ({"ack_wait": "60s"}, {"ack_wait_s": 60.0}),
        ({"queue_name": "slow"}, {"queue": "slow"}),
        ({"nats_stream": "OF_slow"}, {"queue": "slow"}),
        ({"faas_nats_channel": "slow"}, {"queue": "slow"}),
        ({"faas_nats_channel": "other", "queue_name": "slow"}, {"queue": "slow"}),
        ({"gateway_url": "http://gw:9"}, {"gateway_url": "http://gw:9"}),
        ({"faas_gateway_address": "gw"}, {"gateway_url": "http://gw:8080"}),
        ({"faas_gateway_address": "gw", "faas_gateway_port": "9"}, {"gateway_url": "http://gw:9"}),
        ({"faas_gateway_address": "gw", "gateway_url": "http://x"}, {"gateway_url": "http://x"}),
        ({"upstream_timeout": "5m"}, {"upstream_timeout_s": 300.0}),
        ({"consumer_inactive_threshold": "1m"}, {"idle_lane_s": 60.0}),
        ({"max_retry_attempts": "100", "max_retry_wait": "5m"}, {"max_attempts": 100, "max_wait_s": 300.0}),
        ({"initial_retry_wait": "1s", "backoff": "full"}, {"min_wait_s": 1.0, "backoff": Jitter.FULL}),
        ({"retry_http_codes": "429,502"}, {"retry_codes": frozenset({429, 502})}),
    ],
)
def test_openfaas_names_are_understood(environ: Mapping[str, str], expected: Mapping[str, object]) -> None:
    found = settings(**environ)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    "environ",
    [
        {"faas_nats_address": "nats", "faas_nats_port": "9"},
        {"nats_host": "nats", "nats_port": "9"},
        {"nats_url": "nats://nats:9"},
    ],
)
def test_openfaas_names_of_the_server_are_understood(environ: Mapping[str, str]) -> None:
    assert broker(**environ).nats_url == ("nats://nats:9",)


def test_openfaas_number_of_replicas_is_understood() -> None:
    assert broker(nats_stream_replicas="3").queue_replicas == 3


def test_what_says_nothing_here_is_passed_over() -> None:
    environ = dict.fromkeys(("scaling_mode", "limiter_enabled", "nats_durable", "gateway_invoke", "debug"), "x")
    assert settings(**environ) == settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backoff", "never"),
        ("retry_http_codes", "teapot"),
        ("max_retry_attempts", "0"),
        ("max_inflight", "0"),
        ("ack_wait", "0.1"),
        ("initial_retry_wait", "25h"),
        ("queue_name", "Not A Queue"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises((SettingsError, BadInput), match=name):
        settings(**{name: value})


def test_rules_of_retrying_are_the_settings() -> None:
    rules = settings(max_retry_attempts="3", initial_retry_wait="1s", max_job_age="1h").retries
    assert (rules.max_attempts, rules.min_wait_s, rules.max_wait_s, rules.max_age_s) == (3, 1.0, 120.0, 3600.0)


def test_callbacks_may_go_to_functions_behind_the_gateway_whatever_else_is_denied() -> None:
    callbacks = read(CallbackSettings, {"callback_local": "false", "callback_deny": "*"})
    rules = callback_rules(replace(settings(gateway_url="http://gw.example:31112"), callbacks=callbacks))
    rules.check("http://gw.example:31112/function/next")
    rules.check("http://127.0.0.1:31112/function/next")
    with pytest.raises(BadInput, match="callback_deny"):
        rules.check("http://127.0.0.1:8081/system/functions")
