from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from springtide.cli.explanation import MISSED, Calls, Explanation, Standing, explain
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core import ownership
from springtide.scaler.core.explain import ago
from springtide.scaler.core.keepalive.rule import Basis, NotLearned, Why, Window
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer

ECHO = FunctionRef("openfaas-fn", "echo")
NOW = 10_000.0


def decision(
    writer: Writer, before: int, after: int, reason: Reason, detail: str, *, age_s: float, **inputs: float
) -> Decision:
    return Decision(ECHO, writer, before, after, reason, detail, Instant(NOW - age_s), inputs)


CLIMBED = decision(Writer.ALERT, 1, 5, Reason.ALERT_FIRING, "alert X fires: +4", age_s=30)
HELD = decision(Writer.IDLER, 5, 5, Reason.RECENTLY_ACTIVE, "last call 3 s ago", age_s=2)


def told(desired: int = 5, labels: dict[str, str] | None = None, *decisions: Decision, **more: Any) -> Explanation:
    prefixed = {f"com.openfaas.scale.{key}": value for key, value in (labels or {}).items()}
    more = {"owner": ownership.owner_by_labels(prefixed, ownership.UNTOLD)} | more
    standing = Standing(name="echo", desired=desired, ready=min(desired, 4), labels=prefixed, **more)
    return explain(standing, decisions, NOW)


def test_explanation_says_who_set_the_count_and_why() -> None:
    assert told(5, {}, CLIMBED, HELD).now == (
        "5 replicas wanted, 4 ready.",
        "The alert path set that 30 s ago (alert_firing): alert X fires: +4.",
        "Its labels allow 1 to 20 replicas while awake.",
        "The alert path owns its replicas while it runs: its labels name no load.",
    )


def test_explanation_says_what_replicas_are_where_functions_differ_in_it() -> None:
    assert "Its replicas are containers of this machine." in told(5, runtime="container").now
    assert not [line for line in told(5).now if line.startswith("Its replicas are")]


@pytest.mark.parametrize(
    ("labels", "owner", "said"),
    [
        pytest.param(
            {"type": "capacity"},
            Writer.SCALER,
            "The scaler owns its replicas while it runs: its labels name a load, capacity.",
            id="a load",
        ),
        pytest.param(
            {}, Writer.SCALER, "The scaler owns its replicas while it runs: that is the default here.", id="default"
        ),
        pytest.param(
            {"type": "capacity"},
            Writer.ALERT,
            "The alert path owns its replicas while it runs: no control loop runs here.",
            id="no loop",
        ),
        pytest.param(
            {"type": "cpu"},
            Writer.HPA,
            "The HPA owns its replicas while it runs: its labels name a load, cpu.",
            id="processor time",
        ),
        pytest.param(
            {"min": "3", "max": "3"},
            None,
            "Nobody owns its replicas while it runs: its minimum is its maximum.",
            id="fixed size",
        ),
    ],
)
def test_explanation_says_who_has_the_function_and_why(labels: dict[str, str], owner: Writer | None, said: str) -> None:
    assert told(5, labels, owner=owner).now[-1] == said


def test_owner_by_label_is_said_to_be_so() -> None:
    labels = {"com.springtide.scale.owner": "none", "com.openfaas.scale.type": "capacity"}
    standing = Standing(name="echo", desired=1, ready=1, labels=labels, owner=None)

    assert explain(standing, (), NOW).now[-1] == (
        "Nobody owns its replicas while it runs: label com.springtide.scale.owner says so."
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
        "The idler has left it at 5 for 2 s (recently_active); when that began: last call 3 s ago.",
    )


def test_hold_that_a_change_made_out_of_date_is_not_told() -> None:
    at_max = decision(Writer.ALERT, 20, 20, Reason.AT_MAX, "max 20 reached", age_s=60)
    asleep = decision(Writer.IDLER, 20, 0, Reason.IDLE, "silent for 900 s", age_s=50)

    assert told(20, {}, at_max).held == (
        "The alert path has left it at 20 for 60 s (at_max); when that began: max 20 reached.",
    )
    assert told(0, {}, at_max, asleep).held == ()


def test_count_of_a_function_that_could_not_be_read_is_not_told_as_its_own() -> None:
    unread = decision(Writer.ALERT, 0, 0, Reason.NO_DATA, "cannot be read: provider down", age_s=3)

    assert told(5, {}, CLIMBED, unread).held == (
        "The alert path has left it alone for 3 s (no_data); when that began: cannot be read: provider down.",
    )


def test_story_is_the_changes_in_order() -> None:
    assert told(5, {}, CLIMBED, HELD).story == (CLIMBED,)


@pytest.mark.parametrize(
    ("desired", "labels", "lines"),
    [
        pytest.param(0, {"min": "2"}, ["the next call wakes it, to 2 replicas", "Nothing else"], id="asleep"),
        pytest.param(5, {}, ["to 9 next (4 a step", "a step at a time, to 1 next", "zero is not true"], id="steps"),
        pytest.param(25, {}, ["above its maximum of 20", "to 21 next", "never"], id="above max"),
        pytest.param(1, {"min": "2"}, ["to 5 next", "below its minimum", "never"], id="below min"),
        pytest.param(3, {"max": "many"}, ["until its labels are right"], id="labels that are wrong"),
        pytest.param(20, {}, ["at its maximum of 20", "to 16 next", "To zero: never"], id="at max"),
        pytest.param(1, {"zero": "true", "zero-duration": "5m"}, ["to 5", "at its minimum", "after 5m"], id="at min"),
        pytest.param(3, {"factor": "0"}, ["factor 0", "not by alerts", "never"], id="factor 0"),
        pytest.param(3, {"min": "3", "max": "3"}, ["both 3", "not by alerts", "never"], id="fixed size"),
        pytest.param(3, {"type": "cpu", "target": "70"}, ["target 70", "leaves it alone", "never"], id="HPA"),
    ],
)
def test_explanation_says_what_would_change_it(desired: int, labels: dict[str, str], lines: list[str]) -> None:
    said = told(desired, labels).next

    assert len(said) == len(lines)
    for sentence, part in zip(said, lines, strict=True):
        assert part in sentence


def test_sleeping_function_is_woken_to_what_was_learned() -> None:
    learned = told(0, {"max": "5"}, owner=Writer.SCALER, learned_wake=6).next[0]

    assert learned == "Up: the next call wakes it, to 5 replicas: the middle of the last three wakes needed that."
    assert "to 1 replica." in told(0, {"max": "5"}, owner=Writer.SCALER).next[0]


CRON = {"topic": "cron-function", "schedule": "@hourly"}


@pytest.mark.parametrize(
    ("labels", "annotations", "said"),
    [
        pytest.param({"zero": "true"}, {}, "Nothing else does, but a person.", id="no schedule"),
        pytest.param({}, CRON, "Nothing else does, but a person.", id="a function that may not sleep"),
        pytest.param(
            {"zero": "true"},
            CRON,
            "It is scheduled at 03:00:00 UTC, and woken ahead for that at 02:59:55 UTC: a start took up to 3.2 s.",
            id="a schedule",
        ),
    ],
)
def test_what_else_wakes_a_sleeping_function(labels: dict[str, str], annotations: dict[str, str], said: str) -> None:
    assert told(0, labels, annotations=annotations, longest_start_s=3.2).next[1] == said


def test_function_that_is_kept_for_a_call_is_told_so() -> None:
    kept = decision(Writer.IDLER, 1, 1, Reason.CALL_EXPECTED, "scheduled at 23:00:00 UTC", age_s=2, duration_s=60)
    explained = told(1, {"zero": "true"}, kept)

    assert explained.next[-1].endswith("not for now, see below.")
    assert "call_expected" in explained.held[0]


def test_labels_that_the_count_is_outside_of_are_said() -> None:
    assert told(25).now[-2] == "Its labels allow 1 to 20 replicas while awake; it has more."
    assert told(1, {"min": "2", "max": "2"}).now[-2] == "Its labels allow 2 replicas while awake; it has fewer."


def test_descent_that_is_under_way_is_told_with_its_pace() -> None:
    down = decision(Writer.ALERT, 9, 5, Reason.ALERT_RESOLVED, "-4", age_s=2, interval_s=5)
    pending = decision(Writer.ALERT, 5, 5, Reason.STEP_PENDING, "next step down 5 s after the last", age_s=1)

    assert told(5, {}, down, pending).next[1] == "Down: it is on its way, a step each 5 s, to 1 next."
    assert "when an alert about it ends" in told(5, {}, down, CLIMBED).next[1]


def test_descent_that_waits_for_measurements_is_told() -> None:
    blind = decision(Writer.ALERT, 5, 5, Reason.NO_DATA, "load is not measured", age_s=1)

    assert told(5, {}, CLIMBED, blind).next[1].endswith("to 1 next; not for now, see below.")


def test_type_cpu_where_there_are_no_hpas_says_that_nothing_scales_it() -> None:
    assert "nothing; type cpu" in told(3, {"type": "cpu"}, has_hpa=False).next[0]


def test_explanation_says_what_the_scaler_follows() -> None:
    also = {"com.springtide.scale.also": "cpu=500m"}

    steady, zero = told(3, {"type": "capacity", "target": "10"}, owner=Writer.SCALER, annotations=also).next

    assert steady.startswith("Up and down: the scaler, by what each replica shall carry ")
    assert steady.endswith("(capacity: 10 calls in flight, cpu: 500 milli-cores; the one that needs most decides).")
    assert zero.startswith("To zero: never")


def test_explanation_says_that_nobody_scales_it() -> None:
    steady, _ = told(3, owner=None).next

    assert steady == "Up and down: nothing, but a person; label com.springtide.scale.owner is none."


SLEEPY = {"zero": "true", "zero-duration": "1m"}


@pytest.mark.parametrize(
    ("calls", "now"),
    [
        pytest.param(Calls(3, 0, NOW), "Calls in flight: 3.", id="in flight"),
        pytest.param(Calls(3, 2, NOW), "Calls in flight: 3, 2 of them waiting for a replica.", id="waiting"),
        pytest.param(Calls(0, 0, NOW - 42), "No call is in flight; it was last active 42 s ago.", id="quiet"),
        pytest.param(Calls(0, 0, None), "No call is in flight.", id="never active"),
    ],
)
def test_calls_are_told_where_the_gateway_tells_them(calls: Calls, now: str) -> None:
    assert now in told(5, {}, calls=calls).now


@pytest.mark.parametrize(
    ("calls", "last", "end"),
    [
        pytest.param(Calls(0, 0, NOW - 42), Reason.RECENTLY_ACTIVE, ": in about 18 s if nobody calls.", id="soon"),
        pytest.param(Calls(0, 0, NOW - 60), Reason.RECENTLY_ACTIVE, ": at the idler's next look.", id="now"),
        pytest.param(Calls(1, 0, NOW - 42), Reason.IN_FLIGHT, ".", id="busy"),
        pytest.param(None, Reason.RECENTLY_ACTIVE, ".", id="not known"),
        pytest.param(Calls(0, 0, NOW - 42), Reason.NO_DATA, "; not for now, see below.", id="held"),
    ],
)
def test_function_about_to_fall_asleep_is_told_when(calls: Calls | None, last: Reason, end: str) -> None:
    hold = decision(Writer.IDLER, 5, 5, last, "as the test has it", age_s=2)

    assert told(5, SLEEPY, hold, calls=calls).next[2] == (f"To zero: after 1m without a call, and none in flight{end}")


def test_idlers_default_time_is_told_once_it_has_decided() -> None:
    hold = decision(Writer.IDLER, 5, 5, Reason.RECENTLY_ACTIVE, "", age_s=2, duration_s=900)

    assert "the idler's default time" in told(5, {"zero": "true"}).next[2]
    assert "after 15m" in told(5, {"zero": "true"}, hold).next[2]


def test_parts_that_are_away_are_told_with_what_does_not_happen() -> None:
    away = told(5, SLEEPY, away=frozenset({"alert_receiver"}))

    assert away.held == (MISSED["alert_receiver"],)
    assert away.next[0].endswith("; not for now, see below.")
    assert "below" not in away.next[2]
    assert "below" in told(5, SLEEPY, away=frozenset({"prometheus"})).next[2]
    assert MISSED["scaler"] in told(5, {"type": "capacity"}, away=frozenset({"scaler"})).held


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


@pytest.mark.parametrize("name", ["dotted.openfaas-fn", "dotted"])
def test_explain_takes_the_name_as_decisions_write_it(springtide: Any, name: str) -> None:
    assert springtide("deploy", "dotted", "--fprocess", "cat").status == 0

    outcome = springtide("explain", name)

    assert (outcome.status, outcome.err) == (0, "")
    assert "1 replica wanted" in outcome.out


def test_explanation_names_labels_that_are_misspelt_or_have_no_effect() -> None:
    now = told(1, {"zeroduration": "5m", "type": "queue"}).now

    assert now[-2].startswith("A label is misspelt and ignored: com.openfaas.scale.zeroduration='5m': no such label")
    assert now[-1].startswith("A label has no effect: com.openfaas.scale.type=queue: messages waiting are not measured")


def test_explanation_names_what_is_wrong_of_a_schedule() -> None:
    annotations = {"topic": "cron-function", "schedule": "@daily; 61 * * * *"}
    standing = Standing(name="f", desired=1, ready=1, labels={}, annotations=annotations)

    (line,) = [line for line in explain(standing, [], 0).now if "schedule" in line]

    assert line.startswith("A schedule is wrong, and what is wrong of it does not count: annotation schedule='61")


def test_explanation_names_topics_that_can_never_come() -> None:
    standing = Standing(name="f", desired=1, ready=1, labels={}, annotations={"topic": "a,,sensors/#/state"})

    told = [line for line in explain(standing, [], 0).now if line.startswith("A topic is wrong, and never comes: ")]

    assert [line.partition(": ")[2].partition(":")[0] for line in told] == [
        "annotation topic",
        "annotation topic='sensors/#/state'",
    ]


def test_list_and_describe_tell_what_is_wrong_of_a_schedule_that_is_there(springtide: Any, api: Any) -> None:
    annotations = {"topic": "cron-function", "schedule": "61 * * * *"}
    ref = FunctionRef("openfaas-fn", "nightly")
    api.do(api.provider.deploy(FunctionSpec(ref=ref, image="x", env_process="cat", annotations=annotations)))

    assert "nightly: annotation schedule='61 * * * *': the minute" in springtide("list").err
    assert "annotation schedule='61 * * * *': the minute" in springtide("describe", "nightly").out


def test_list_and_describe_tell_of_a_topic_that_can_never_come(springtide: Any, api: Any) -> None:
    ref = FunctionRef("openfaas-fn", "bill")
    annotations = {"topic": "orders.>.new"}
    api.do(api.provider.deploy(FunctionSpec(ref=ref, image="x", env_process="cat", annotations=annotations)))

    assert "bill: annotation topic='orders.>.new': > is for all that follows" in springtide("list").err
    assert "annotation topic='orders.>.new': > is for all that follows" in springtide("describe", "bill").out


AWAKE = LearnedSilence(
    (Window(NOW - 300, NOW + 240), Window(NOW + 3600, NOW + 7200)),
    Instant(NOW - 300),
    Why(Basis.PAUSES, pauses=40, worth_s=900, within_s=540, ended_share=0.71),
)
SAID = "71 % of its pauses end within 9 minutes; a cold start is worth 15 minutes"


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"


def test_function_whose_sleep_is_learned_says_since_when_it_is_awake_until_when_and_why() -> None:
    line = told(1, SLEEPY, sleep=AWAKE, calls=Calls(0, 0, NOW - 300)).next[2]

    since, until = clock(NOW - 300), clock(NOW + 240)
    assert line == f"To zero: not yet; awake since {since}, until {until} if nobody calls: {SAID}."


def test_function_that_learned_to_sleep_says_until_when() -> None:
    line = told(0, SLEEPY, sleep=AWAKE).next[1]

    assert (
        line == f"It is asleep until about {clock(NOW + 3600)}, and woken then, ahead of a call that is likely: {SAID}."
    )
    assert told(0, SLEEPY, sleep=replace(AWAKE, forecasts=False)).next[1].startswith("Nothing else does, but a person")


def test_function_that_has_not_learned_yet_says_why() -> None:
    labels = {f"com.openfaas.scale.{key}": value for key, value in SLEEPY.items()}
    labels["com.springtide.scale.zero-policy"] = "learned"
    why = NotLearned("none of its pauses is known")
    line = explain(Standing(name="echo", desired=1, ready=1, labels=labels, sleep=why), (), NOW).next[2]

    assert "(its fixed silence holds: none of its pauses is known)" in line
