from __future__ import annotations

import json
from typing import Any

import pytest

from scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from suite.explanation import Explanation, Standing, ago, explain

ECHO = FunctionRef("openfaas-fn", "echo")
NOW = 10_000.0


def decision(writer: Writer, before: int, after: int, reason: Reason, detail: str, *, age_s: float) -> Decision:
    return Decision(ECHO, writer, before, after, reason, detail, Instant(NOW - age_s))


CLIMBED = decision(Writer.ALERT, 1, 5, Reason.ALERT_FIRING, "alert X fires: +4", age_s=30)
HELD = decision(Writer.IDLER, 5, 5, Reason.RECENTLY_ACTIVE, "last call 3 s ago", age_s=2)


def told(desired: int = 5, labels: dict[str, str] | None = None, *decisions: Decision, **more: Any) -> Explanation:
    prefixed = {f"com.openfaas.scale.{key}": value for key, value in (labels or {}).items()}
    standing = Standing(name="echo", desired=desired, ready=min(desired, 4), labels=prefixed, **more)
    return explain(standing, decisions, NOW)


def test_explanation_says_who_set_the_count_and_why() -> None:
    assert told(5, {}, CLIMBED, HELD).now == (
        "5 replicas wanted, 4 ready.",
        "The alert path set that 30 s ago (alert_firing): alert X fires: +4.",
        "Its labels allow 1 to 20 replicas while awake.",
    )


def test_explanation_owns_up_to_a_change_nobody_told() -> None:
    assert "changed it since" in told(7, {}, CLIMBED).now[1]


def test_explanation_names_what_is_wrong() -> None:
    now = told(1, {"max": "many"}, problem="exec format error").now

    assert any("com.openfaas.scale.max='many'" in line for line in now)
    assert now[-1] == "Replicas do not start: exec format error."


def test_explanation_tells_who_holds_the_count() -> None:
    earlier = decision(Writer.IDLER, 5, 5, Reason.IN_FLIGHT, "1 call(s) in flight", age_s=60)

    assert told(5, {}, earlier, CLIMBED, HELD).held == (
        "The idler left it at 5, 2 s ago (recently_active): last call 3 s ago.",
    )


def test_story_is_the_changes_in_order() -> None:
    assert told(5, {}, CLIMBED, HELD).story == (CLIMBED,)


@pytest.mark.parametrize(
    ("desired", "labels", "lines"),
    [
        pytest.param(0, {"min": "2"}, ["the next call wakes it, to 2 replicas", "Nothing else"], id="asleep"),
        pytest.param(5, {}, ["to 9 next (4 a step", "a step at a time, to 1 next", "zero is not true"], id="steps"),
        pytest.param(20, {}, ["at its maximum of 20", "to 16 next", "To zero: never"], id="at max"),
        pytest.param(1, {"zero": "true", "zero-duration": "5m"}, ["to 5", "at its minimum", "after 5m"], id="at min"),
        pytest.param(3, {"factor": "0"}, ["factor 0", "not by alerts", "never"], id="factor 0"),
        pytest.param(3, {"min": "3", "max": "3"}, ["both 3", "minimum", "never"], id="fixed size"),
        pytest.param(3, {"type": "cpu", "target": "70"}, ["target 70", "leaves it alone", "never"], id="HPA"),
    ],
)
def test_explanation_says_what_would_change_it(desired: int, labels: dict[str, str], lines: list[str]) -> None:
    said = told(desired, labels).next

    assert len(said) == len(lines)
    for sentence, part in zip(said, lines, strict=True):
        assert part in sentence


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s ago"), (119, "119 s ago"), (120, "2 m ago"), (7200, "2 h ago"), (1e6, "12 d ago")]
)
def test_age_is_told_in_one_unit(seconds: float, text: str) -> None:
    assert ago(seconds) == text


def test_explain_tells_a_real_function_s_story(springtide: Any) -> None:
    assert springtide("deploy", "storied", "--fprocess", "cat").status == 0
    assert springtide("scale", "storied", "3").status == 0

    outcome = springtide("explain", "storied")
    value = json.loads(springtide("explain", "storied", "--json").out)

    assert (outcome.status, outcome.err) == (0, "")
    assert "3 replicas wanted" in outcome.out
    assert "1 → 3  manual" in outcome.out
    assert [(item["before"], item["after"], item["reason"]) for item in value["story"]] == [(1, 3, "manual")]


def test_explain_tells_the_story_of_a_function_that_is_gone(springtide: Any) -> None:
    assert springtide("deploy", "bygone", "--fprocess", "cat").status == 0
    assert springtide("scale", "bygone", "2").status == 0
    assert springtide("remove", "bygone").status == 0

    outcome = springtide("explain", "bygone")

    assert (outcome.status, outcome.err) == (0, "")
    assert "It is gone" in outcome.out
    assert "1 → 2  manual" in outcome.out


def test_explain_names_a_function_that_is_not_there(springtide: Any) -> None:
    outcome = springtide("explain", "nobody")

    assert outcome.status == 1
    assert "no function nobody" in outcome.err
