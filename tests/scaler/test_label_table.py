"""The table of labels says what the policy reads: bounds, defaults, examples."""

from __future__ import annotations

import pytest

from springtide.alert_receiver.settings import AlertReceiverSettings
from springtide.idler.settings import IdlerSettings
from springtide.runtime.durations import format_duration
from springtide.scaler.core import policy
from springtide.scaler.core.label_table import DEMO, ISOLATION, LABELS, RUNTIME, SLEEP, Row
from springtide.scaler.core.policy import ScalePolicy

BEYOND = {
    policy.MIN: ("10001", "-1", "two"),
    policy.MAX: ("10001", "-1", "1.5"),
    policy.FACTOR: ("101", "-1"),
    policy.ZERO: ("yes",),
    policy.ZERO_DURATION: ("0s", "-1s", "soon"),
    policy.ZERO_POLICY: ("sometimes",),
    policy.COLD_WORTH: ("0s", "169h"),
    policy.COLD_WORTH_RARE: ("-0.1", "10.5"),
    policy.TYPE: ("a" * 64, "a b"),
    policy.TARGET: ("0", "1000000001", "many"),
    policy.PROPORTION: ("0", "1.1"),
    policy.DOWN_WINDOW: ("301s", "-1s"),
    policy.DOWN: ("max",),
    policy.STEP_INTERVAL: ("0s",),
    policy.OWNER: ("idler",),
    policy.RULE: ("formula",),
    policy.WAKE: ("all",),
}
AT_BOUND = {
    policy.MIN: ("0",),
    policy.MAX: ("10000",),
    policy.FACTOR: ("0", "100"),
    policy.ZERO_POLICY: ("learned",),
    policy.COLD_WORTH: ("168h",),
    policy.COLD_WORTH_RARE: ("0", "10"),
    policy.TYPE: ("a" * 63,),
    policy.TARGET: ("1000000000",),
    policy.PROPORTION: ("1",),
    policy.DOWN_WINDOW: ("0s", "5m"),
}
"""What is told as the last legal value."""

rows = pytest.mark.parametrize("row", LABELS, ids=lambda row: row.key)


def problems(key: str, value: str) -> tuple[str, ...]:
    beside = {policy.OWNER: {policy.TYPE: "cpu"}, policy.ZERO_POLICY: {policy.ZERO: "true"}}.get(key, {})
    return ScalePolicy.from_labels({**beside, key: value})[1]


def test_names_are_unique_and_every_one_has_cases() -> None:
    names = [row.key for row in LABELS]

    assert len(names) == len(set(names))
    assert set(names) == {*BEYOND, DEMO, ISOLATION, RUNTIME, SLEEP}


@rows
def test_example_is_read(row: Row) -> None:
    assert problems(row.key, row.example) == ()
    assert row.meaning
    assert row.readers
    assert row.default or row.unset


@pytest.mark.parametrize("row", [row for row in LABELS if row.default], ids=lambda row: row.key)
def test_default_says_the_same_as_silence(row: Row) -> None:
    said = ScalePolicy.from_labels({row.key: row.default})[0]
    names_load = row.key in (policy.TYPE, policy.TARGET)
    rule = policy.Rule.TARGET if row.key == policy.PROPORTION else policy.Rule.QUEUEING

    assert said == ScalePolicy(names_load=names_load, rule=rule)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BEYOND.items() for value in values])
def test_value_beyond_what_the_table_says_is_refused(key: str, value: str) -> None:
    assert len(problems(key, value)) == 1


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in AT_BOUND.items() for value in values])
def test_last_value_that_the_table_allows_is_read(key: str, value: str) -> None:
    assert problems(key, value) == ()


def test_what_holds_without_a_label_is_the_setting_it_names() -> None:
    unset = {row.key: row.unset for row in LABELS}

    assert unset[policy.ZERO_DURATION].endswith(format_duration(IdlerSettings().inactivity_s))
    assert unset[policy.STEP_INTERVAL].endswith(format_duration(AlertReceiverSettings().step_interval_s))
