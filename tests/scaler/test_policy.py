from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.scaler.core import policy
from springtide.scaler.core.policy import (
    Down,
    Owner,
    Rule,
    ScalePolicy,
    Wake,
    ZeroPolicy,
    initial_replicas,
    updated_replicas,
    wake_replicas,
)


@pytest.mark.parametrize("labels", [None, {}, {"app": "x", "com.openfaas.scale": "1"}], ids=["null", "none", "others"])
def test_without_labels_the_defaults_hold(labels: dict[str, str] | None) -> None:
    assert ScalePolicy.from_labels(labels) == (
        ScalePolicy(
            min=1,
            max=20,
            factor=20,
            zero=False,
            zero_duration_s=None,
            zero_policy=None,
            cold_worth_s=None,
            cold_worth_rare=None,
            type="rps",
            target=50.0,
            target_proportion=0.9,
            down_window_s=None,
            down=Down.STEP,
            step_interval_s=None,
            owner=None,
            rule=Rule.QUEUEING,
            wake=Wake.LEARNED,
            names_load=False,
        ),
        (),
    )


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        pytest.param("min", "3", ScalePolicy(min=3), id="minimum"),
        pytest.param("min", "0", ScalePolicy(min=0), id="minimum zero"),
        pytest.param("max", "100", ScalePolicy(max=100), id="maximum"),
        pytest.param("max", " 7 ", ScalePolicy(max=7), id="white space around a number"),
        pytest.param("factor", "0", ScalePolicy(factor=0), id="factor 0 switches alert scaling off"),
        pytest.param("factor", "100", ScalePolicy(factor=100), id="factor 100"),
        pytest.param("zero", "true", ScalePolicy(zero=True), id="opted in"),
        pytest.param("zero", "1", ScalePolicy(zero=True), id="opted in with 1"),
        pytest.param("zero", "TRUE", ScalePolicy(zero=True), id="opted in, loudly"),
        pytest.param("zero", "false", ScalePolicy(), id="opted out"),
        pytest.param("zero", "", ScalePolicy(), id="an empty opt-in is none"),
        pytest.param("zero-duration", "15m", ScalePolicy(zero_duration_s=900), id="a Go duration"),
        pytest.param("zero-duration", "20s", ScalePolicy(zero_duration_s=20), id="less than a minute"),
        pytest.param("zero-duration", "90", ScalePolicy(zero_duration_s=90), id="plain seconds"),
        pytest.param("type", "cpu", ScalePolicy(type="cpu", names_load=True), id="a known type"),
        pytest.param("type", "my_queue", ScalePolicy(type="my_queue", names_load=True), id="a custom type"),
        pytest.param("target", "12.5", ScalePolicy(target=12.5, names_load=True), id="target"),
        pytest.param("target-proportion", "1", ScalePolicy(target_proportion=1, rule=Rule.TARGET), id="proportion"),
        pytest.param("down.window", "5m", ScalePolicy(down_window_s=300, rule=Rule.TARGET), id="down window"),
    ],
)
def test_openfaas_label_is_understood(key: str, text: str, expected: ScalePolicy) -> None:
    assert ScalePolicy.from_labels({f"com.openfaas.scale.{key}": text}) == (expected, ())


@pytest.mark.parametrize(
    ("labels", "limit"),
    [
        pytest.param({"type": "capacity", "target": "5"}, 5, id="the target"),
        pytest.param({"type": "capacity", "target": "5", "target-proportion": "0.5"}, 5, id="whatever its proportion"),
        pytest.param({"type": "capacity", "target": "2.9"}, 2, id="never more than the target"),
        pytest.param({"type": "capacity", "target": "0.2"}, 1, id="at least one call"),
        pytest.param({"type": "capacity"}, 50, id="the default target"),
        pytest.param({"type": "capacity", "target": "none"}, 50, id="the default for a target that is no number"),
        pytest.param({"type": "rps", "target": "5"}, 0, id="none for calls per second"),
        pytest.param({"target": "5"}, 0, id="none where no type is named"),
        pytest.param({"type": "cpu", "target": "500"}, 0, id="none for processor time"),
        pytest.param({"type": "mine", "target": "5"}, 0, id="none for a type of the user's own"),
    ],
)
def test_concurrency_limit_is(labels: dict[str, str], limit: int) -> None:
    policy, _ = ScalePolicy.from_labels({f"com.openfaas.scale.{key}": value for key, value in labels.items()})

    assert policy.concurrency_limit == limit


def test_our_own_labels_are_understood() -> None:
    labels = {"com.springtide.scale.down": "min", "com.springtide.scale.step-interval": "30s"}

    assert ScalePolicy.from_labels(labels) == (ScalePolicy(down=Down.MIN, step_interval_s=30), ())


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({policy.OWNER: "alerts"}, ScalePolicy(owner=Owner.ALERTS), id="the alert path owns it"),
        pytest.param({policy.OWNER: "scaler"}, ScalePolicy(owner=Owner.SCALER), id="the scaler owns it"),
        pytest.param({policy.OWNER: "none"}, ScalePolicy(owner=Owner.NONE), id="nobody owns it"),
        pytest.param(
            {policy.OWNER: "hpa", policy.TYPE: "cpu"},
            ScalePolicy(owner=Owner.HPA, type="cpu", names_load=True),
            id="an HPA owns it",
        ),
        pytest.param({policy.RULE: "target"}, ScalePolicy(rule=Rule.TARGET), id="the documented formula"),
        pytest.param(
            {policy.RULE: "queueing", policy.DOWN_WINDOW: "1m"}, ScalePolicy(down_window_s=60), id="said for itself"
        ),
        pytest.param({policy.WAKE: "min"}, ScalePolicy(wake=Wake.MIN), id="wakes its minimum"),
    ],
)
def test_labels_of_the_control_loop_are_understood(labels: dict[str, str], expected: ScalePolicy) -> None:
    assert ScalePolicy.from_labels(labels) == (expected, ())


@pytest.mark.parametrize(
    ("key", "choices"),
    [
        (policy.OWNER, "write alerts, scaler, hpa or none"),
        (policy.RULE, "write queueing or target"),
        (policy.WAKE, "write min or learned"),
        (policy.ZERO_POLICY, "write fixed or learned"),
    ],
)
def test_choice_that_there_is_not_is_told_with_those_that_there_are(key: str, choices: str) -> None:
    assert ScalePolicy.from_labels({key: "Scaler"}) == (ScalePolicy(), (f"{key}='Scaler': {choices}",))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        pytest.param("min", "-1", id="negative minimum"),
        pytest.param("min", "1.5", id="half a replica"),
        pytest.param("min", "٣", id="a digit that is not ASCII"),
        pytest.param("max", "many", id="a word for a number"),
        pytest.param("max", "", id="nothing for a number"),
        pytest.param("max", "1000000", id="a maximum beyond all reason"),
        pytest.param("factor", "101", id="more than all"),
        pytest.param("factor", "20%", id="a percent sign"),
        pytest.param("zero", "yes please", id="neither true nor false"),
        pytest.param("zero-duration", "soon", id="not a duration"),
        pytest.param("zero-duration", "0s", id="no duration at all"),
        pytest.param("zero-duration", "-5m", id="a negative duration"),
        pytest.param("type", "a b", id="a type with a space"),
        pytest.param("type", "", id="an empty type"),
        pytest.param("type", "x" * 64, id="a type too long for a label"),
        pytest.param("target", "0", id="a target of nothing"),
        pytest.param("target", "nan", id="a target that is not a number"),
        pytest.param("target", "inf", id="an infinite target"),
        pytest.param("target-proportion", "1.1", id="more than the whole"),
        pytest.param("target-proportion", "0", id="none of it"),
        pytest.param("down.window", "6m", id="a window beyond five minutes"),
    ],
)
def test_bad_label_counts_as_absent_and_is_reported(key: str, text: str) -> None:
    full = f"com.openfaas.scale.{key}"

    parsed, problems = ScalePolicy.from_labels({full: text})

    assert parsed == ScalePolicy()
    assert len(problems) == 1
    assert problems[0].startswith(f"{full}={text!r}: ")


SLEEPY = {policy.ZERO: "true"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({policy.ZERO_POLICY: "learned"}, {"zero_policy": ZeroPolicy.LEARNED}, id="learned"),
        pytest.param({policy.ZERO_POLICY: "fixed"}, {"zero_policy": ZeroPolicy.FIXED}, id="fixed"),
        pytest.param({policy.COLD_WORTH: "15m"}, {"cold_worth_s": 900.0}, id="a price as a duration"),
        pytest.param({policy.COLD_WORTH: "168h"}, {"cold_worth_s": 604800.0}, id="the highest price"),
        pytest.param({policy.COLD_WORTH_RARE: "0.8"}, {"cold_worth_rare": 0.8}, id="more for rare ones"),
        pytest.param({policy.COLD_WORTH_RARE: "0"}, {"cold_worth_rare": 0.0}, id="no more for rare ones"),
    ],
)
def test_how_a_function_that_may_sleep_weighs_cold_starts(labels: dict[str, str], expected: dict[str, Any]) -> None:
    assert ScalePolicy.from_labels(SLEEPY | labels) == (replace(ScalePolicy(zero=True), **expected), ())


@pytest.mark.parametrize(
    ("key", "text", "remedy"),
    [
        (policy.COLD_WORTH, "169h", "at most 168h"),
        (policy.COLD_WORTH, "0s", "above zero"),
        (policy.COLD_WORTH, "dear", "30s"),
        (policy.COLD_WORTH_RARE, "10.1", "0 to 10,"),
        (policy.COLD_WORTH_RARE, "-1", "0 to 10,"),
        (policy.COLD_WORTH_RARE, "inf", "finite"),
    ],
)
def test_price_of_a_cold_start_is_bounded(key: str, text: str, remedy: str) -> None:
    parsed, problems = ScalePolicy.from_labels(SLEEPY | {key: text})

    assert parsed == ScalePolicy(zero=True)
    assert len(problems) == 1
    assert problems[0].startswith(f"{key}={text!r}: ")
    assert remedy in problems[0]


@pytest.mark.parametrize("sleeps", [{}, {policy.ZERO: "false"}], ids=["not told", "told not to"])
def test_learned_sleep_of_a_function_that_may_not_sleep_is_a_problem(sleeps: dict[str, str]) -> None:
    parsed, problems = ScalePolicy.from_labels({policy.ZERO_POLICY: "learned", **sleeps})

    assert parsed.zero_policy is None
    assert len(problems) == 1
    assert problems[0].startswith(f"{policy.ZERO_POLICY}='learned': ")
    assert f"write {policy.ZERO}=true" in problems[0]


def test_every_problem_is_reported_at_once() -> None:
    labels = {policy.MIN: "x", policy.FACTOR: "999", policy.ZERO: "maybe", policy.DOWN: "sideways"}

    _, problems = ScalePolicy.from_labels(labels)

    assert [problem.partition("=")[0] for problem in problems] == [
        policy.MIN,
        policy.FACTOR,
        policy.ZERO,
        policy.DOWN,
    ]


def test_minimum_above_maximum_is_reported_with_both_values() -> None:
    _, problems = ScalePolicy.from_labels({policy.MIN: "30"})

    assert len(problems) == 1
    assert "=30" in problems[0]
    assert "=20" in problems[0]


@pytest.mark.parametrize(
    ("given_policy", "current", "woken", "updated"),
    [
        pytest.param(ScalePolicy(), 0, 1, 0, id="asleep stays asleep over an update"),
        pytest.param(ScalePolicy(), 7, 1, 7, id="a loaded function keeps its replicas"),
        pytest.param(ScalePolicy(min=3), 1, 3, 3, id="the new minimum applies"),
        pytest.param(ScalePolicy(max=5), 9, 1, 5, id="the new maximum applies"),
        pytest.param(ScalePolicy(min=0), 2, 1, 2, id="minimum zero still wakes one"),
        pytest.param(ScalePolicy(min=9, max=4), 2, 4, 4, id="a minimum above the maximum is the maximum"),
        pytest.param(ScalePolicy(min=0, max=0), 3, 1, 1, id="a maximum of zero still serves a caller"),
    ],
)
def test_replicas_of_a_wake_and_of_an_update(given_policy: ScalePolicy, current: int, woken: int, updated: int) -> None:
    assert wake_replicas(given_policy) == initial_replicas(given_policy) == woken
    assert updated_replicas(given_policy, current) == updated


@pytest.mark.parametrize(
    ("given_policy", "learned", "woken"),
    [
        pytest.param(ScalePolicy(), 6, 6, id="what was learned"),
        pytest.param(ScalePolicy(min=8), 6, 8, id="at least the minimum"),
        pytest.param(ScalePolicy(max=4), 6, 4, id="at most the maximum"),
        pytest.param(ScalePolicy(wake=Wake.MIN), 6, 1, id="the minimum where the label says so"),
        pytest.param(ScalePolicy(min=0, max=0), 6, 1, id="a maximum of zero still serves a caller"),
        pytest.param(ScalePolicy(min=3), None, 3, id="the minimum where nothing was learned"),
    ],
)
def test_replicas_of_a_wake_that_was_learned(given_policy: ScalePolicy, learned: int | None, woken: int) -> None:
    assert wake_replicas(given_policy, learned) == woken


@pytest.mark.parametrize(("kind", "on_hpa"), [("rps", False), ("capacity", False), ("cpu", True), ("mine", False)])
def test_only_type_cpu_is_handed_to_an_hpa(kind: str, on_hpa: bool) -> None:
    assert ScalePolicy(type=kind).on_hpa is on_hpa


KEYS = [
    value for name, value in vars(policy).items() if isinstance(value, str) and "scale." in value and value[-1] != "."
]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), st.text(max_size=12)))
def test_any_labels_give_a_policy_that_can_be_worked_with(labels: dict[str, str]) -> None:
    parsed, problems = ScalePolicy.from_labels(labels)

    assert 0 <= parsed.min <= policy.MAX_REPLICAS
    assert 0 <= parsed.max <= policy.MAX_REPLICAS
    assert 0 <= parsed.factor <= 100
    assert parsed.target > 0
    assert parsed.zero_duration_s is None or parsed.zero_duration_s > 0
    assert parsed.min <= parsed.max or problems
    assert wake_replicas(parsed) >= 1


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 20_000))
def test_update_stays_in_the_limits_and_never_wakes(low: int, high: int, current: int) -> None:
    after = updated_replicas(ScalePolicy(min=low, max=high), current)

    assert (after == 0) == (current == 0)
    if current:
        assert min(low, high) <= after <= max(high, 1)
