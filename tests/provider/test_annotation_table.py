"""The table of annotations says what is read and checked, whoever does it; none is missing from it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from springtide.provider.annotation_table import (
    ANNOTATIONS,
    HEALTH,
    MAX_ATTEMPTS,
    QUEUE,
    READY,
    RETRY,
    Annotation,
)
from springtide.provider.spec import spec_from_json
from springtide.queue_worker import retrying
from springtide.queue_worker.settings import QueueWorkerSettings
from springtide.runtime.errors import BadInput
from springtide.runtime.settings import declared
from springtide.scaler.core import label_names, loads
from springtide.scaler.core.call_timeout import TIMEOUT
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.events import delivery_mode, topics
from springtide.wire.schedules import annotations as schedules
from springtide.wire.webhooks import webhook

BESIDE: Mapping[str, Mapping[str, str]] = {
    **{row.key: {"topic": "cron-function", "schedule": "@hourly"} for row in ANNOTATIONS if "schedule" in row.key},
    webhook.WEBHOOK: {webhook.SECRET: "github"},
    webhook.SECRET: {webhook.WEBHOOK: "github"},
}
"""What an annotation wants beside it."""

BEYOND: Mapping[str, tuple[str, ...]] = {
    TIMEOUT: ("long", "-1s"),
    RETRY + "attempts": ("10001", "-1"),
    RETRY + "min_wait": ("soon",),
    RETRY + "max_wait": ("-1s",),
    topics.ANNOTATION: ("a" * 1025, "a,,b"),
    delivery_mode.ANNOTATION: ("later",),
    webhook.WEBHOOK: ("gitlab",),
    webhook.SECRET: ("a,b,c",),
    schedules.SCHEDULE: ("at noon", ";".join(f"{minute} 0 * * *" for minute in range(21))),
    schedules.OVERLAP: ("skip",),
    schedules.CATCH_UP: ("some",),
    schedules.CATCH_UP_LIMIT: ("0", "1001"),
    schedules.JITTER: ("61m",),
    schedules.METHOD: ("TRACE",),
    schedules.PATH: ("/" + "a" * 1000, "/a b"),
    schedules.BODY: ("a" * 8193,),
    "com.openfaas.http.path": ("health",),
    "prometheus.io.port": ("0", "65536"),
    **{
        prefix + name: values
        for prefix in (READY, HEALTH)
        for name, values in {
            "path": ("ready",),
            **dict.fromkeys(("initialDelay", "initialDelaySeconds"), ("-1s", "25h")),
            **dict.fromkeys(("period", "periodSeconds", "timeout", "timeoutSeconds"), ("0s", "25h")),
            **dict.fromkeys(("successThreshold", "failureThreshold"), ("0", "10001")),
        }.items()
    },
}
UNCHECKED = {
    # By those who read them, elsewhere or later: see the tests of ownership and loads, of the queue, of Kubernetes.
    *(loads.ALSO, loads.QUERY, RETRY + "codes", QUEUE),
    *("com.openfaas.profile", "com.openfaas.serviceaccount", "prometheus.io.scrape", "prometheus.io.path"),
    *(label_names.HANDLER, label_names.LANG),
}

rows = pytest.mark.parametrize("row", ANNOTATIONS, ids=lambda row: row.key)


def problems(annotations: Mapping[str, str]) -> str:
    body = {"service": "f", "image": "f", "secrets": ["github", "a", "b", "c"], "annotations": dict(annotations)}
    try:
        spec_from_json(body, deploying=True)
    except BadInput as error:
        return str(error)
    return ""


def test_names_are_unique_and_every_one_has_cases() -> None:
    keys = [row.key for row in ANNOTATIONS]

    assert len(keys) == len(set(keys))
    assert {*BEYOND, *UNCHECKED} == set(keys)


@rows
def test_example_is_accepted(row: Annotation) -> None:
    assert problems({**BESIDE.get(row.key, {}), row.key: row.example}) == ""
    assert row.meaning
    assert row.default or row.unset or row.key == "prometheus.io.port"


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BEYOND.items() for value in values])
def test_value_beyond_what_the_table_says_is_refused(key: str, value: str) -> None:
    assert key in problems({**BESIDE.get(key, {}), key: value})


@rows
def test_annotation_written_as_a_label_is_told(row: Annotation) -> None:
    known = label_names.problems_of({row.key: "x"}) or label_names.without_effect_anywhere({row.key: "x"})

    assert "annotations only" in "".join(known)


def test_schedule_options_have_the_defaults_that_are_told() -> None:
    told = {row.key: row.default or row.example for row in ANNOTATIONS if row.key in schedules.OPTIONS}
    told[schedules.BODY] = schedules.DEFAULT.body
    beside = {"topic": "cron-function", "schedule": "@hourly"}
    ref = FunctionRef("openfaas-fn", "f")

    assert schedules.schedules_of(ref, {**beside, **told}) == schedules.schedules_of(ref, beside)


def test_retries_name_settings_that_there_are() -> None:
    settings = {item.env for item in declared(QueueWorkerSettings)}
    named = {word for row in ANNOTATIONS if row.key.startswith(RETRY) for word in re.findall(r"`(\w+)`", row.unset)}

    assert named
    assert named <= settings
    assert {retrying.ATTEMPTS, retrying.CODES, retrying.MIN_WAIT, retrying.MAX_WAIT} == {
        row.key for row in ANNOTATIONS if row.key.startswith(RETRY)
    }
    assert retrying.MAX_ATTEMPTS == MAX_ATTEMPTS
