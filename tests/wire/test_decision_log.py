from __future__ import annotations

import json
import math
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire import decision_log
from springtide.wire.decision_log import MAX_DETAIL, MAX_HOLDS, MAX_INPUTS, MAX_NAME, MAX_UNREAD, DecisionLog, Recorders

ECHO = FunctionRef("openfaas-fn", "echo")
OTHER = FunctionRef("dev", "echo")


def step(at: float, *, ref: FunctionRef = ECHO) -> Decision:
    return Decision(ref, Writer.ALERT, 1, 5, Reason.ALERT_FIRING, "up", Instant(at))


def hold(
    at: float, reason: Reason = Reason.AT_MAX, *, ref: FunctionRef = ECHO, writer: Writer = Writer.ALERT
) -> Decision:
    return Decision(ref, writer, 5, 5, reason, "", Instant(at))


decisions = st.builds(
    Decision,
    st.sampled_from([ECHO, OTHER]),
    st.sampled_from(Writer),
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(Reason),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=20),
    st.integers(0, 4_000_000_000_000).map(lambda ms: Instant(ms / 1000)),
    st.dictionaries(st.text(max_size=MAX_NAME), st.integers(-1000, 1000).map(float), max_size=MAX_INPUTS),
)


@given(decisions)
def test_decision_survives_the_wire(decision: Decision) -> None:
    assert decision_log.from_json(json.loads(json.dumps(decision_log.to_json(decision)))) == decision


def test_wire_form_is_the_documented_one() -> None:
    decision = replace(step(1000.12345), inputs={"step": 4, "interval_s": 40.12345})

    assert decision_log.to_json(decision) == {
        "t": 1000.123,
        "function": "echo.openfaas-fn",
        "before": 1,
        "after": 5,
        "reason": "alert_firing",
        "writer": "alert",
        "detail": "up",
        "inputs": {"step": 4, "interval_s": 40.123},
    }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"t": 1e300}, id="an instant that no calendar has"),
        pytest.param({"t": -1}, id="an instant before time"),
        pytest.param({"t": 10**400}, id="an instant that is no float"),
        pytest.param({"before": 10**400}, id="more replicas than anybody has"),
        pytest.param({"inputs": {"a": 10**400}}, id="an input that is no float"),
        pytest.param({"function": "x" * 321}, id="a long name"),
        pytest.param({"function": ""}, id="no name"),
        {"t": None},
        {"t": "1000"},
        {"t": True},
        {"t": math.nan},
        {"t": math.inf},
        {"function": None},
        {"function": 5},
        {"before": -1},
        {"before": "1"},
        {"after": 1.5},
        {"after": True},
        {"reason": "because"},
        {"writer": "nobody"},
        {"inputs": None},
        {"inputs": [1]},
        {"inputs": {"step": "4"}},
        {"inputs": {"step": math.nan}},
        {"inputs": {str(number): number for number in range(MAX_INPUTS + 1)}},
    ],
    ids=str,
)
def test_what_is_no_decision_is_bad_input(change: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="not a decision"):
        decision_log.from_json(decision_log.to_json(step(1)) | change)


@pytest.mark.parametrize("key", ["t", "function", "before", "after", "reason", "writer"])
def test_missing_part_is_named(key: str) -> None:
    value = decision_log.to_json(step(1))
    del value[key]

    with pytest.raises(BadInput, match=f"'{key}' is missing"):
        decision_log.from_json(value)


@pytest.mark.parametrize("value", [None, [], 5, "x"])
def test_what_is_no_object_is_bad_input(value: object) -> None:
    with pytest.raises(BadInput):
        decision_log.from_json(value)


def test_detail_is_cut_to_a_bound() -> None:
    value = decision_log.to_json(step(1)) | {"detail": "x" * (MAX_DETAIL + 1)}

    assert len(decision_log.from_json(value).detail) == MAX_DETAIL


def test_log_keeps_the_newest() -> None:
    log = DecisionLog(max_decisions=3)
    for at in range(5):
        log.record(step(at))

    assert [decision.at for decision in log.since(0)] == [2, 3, 4]


def test_since_is_by_time_and_by_function() -> None:
    log = DecisionLog()
    for decision in (step(1), step(2, ref=OTHER), step(3)):
        log.record(decision)

    assert [decision.at for decision in log.since(2)] == [2, 3]
    assert [decision.at for decision in log.since(0, ECHO)] == [1, 3]


def test_hold_for_the_same_reason_is_kept_once_until_something_changes() -> None:
    log = DecisionLog()
    for decision in (hold(1), hold(2), hold(3, Reason.REDELIVERED), hold(4), step(5), hold(6)):
        log.record(decision)

    assert [decision.at for decision in log.since(0)] == [1, 3, 4, 5, 6]


def test_holds_of_another_function_or_writer_are_others() -> None:
    log = DecisionLog()
    for decision in (hold(1), hold(2, ref=OTHER), hold(3, writer=Writer.IDLER)):
        log.record(decision)

    assert len(log.since(0)) == 3


def test_forgotten_function_has_its_hold_told_again() -> None:
    log = DecisionLog()
    log.record(hold(1))
    log.record(hold(1, ref=OTHER))

    log.forget(ECHO)
    log.record(hold(2))
    log.record(hold(2, ref=OTHER))

    assert [(decision.at, decision.ref) for decision in log.since(0)] == [(1, ECHO), (1, OTHER), (2, ECHO)]


def test_memory_of_holds_is_bounded() -> None:
    log = DecisionLog()
    for number in range(MAX_HOLDS + 1):
        log.record(hold(1, ref=FunctionRef("openfaas-fn", f"f{number}")))

    log.record(hold(2, ref=FunctionRef("openfaas-fn", f"f{MAX_HOLDS}")))
    log.record(hold(2, ref=FunctionRef("openfaas-fn", "f0")))

    assert [str(decision.ref.name) for decision in log.since(2)] == ["f0"]


async def test_follower_reads_the_past_then_what_comes() -> None:
    log = DecisionLog()
    for decision in (step(1), step(2), step(3, ref=OTHER)):
        log.record(decision)
    async with aclosing(log.follow(2, ECHO)) as following:
        seen = [await anext(following)]
        for decision in (step(0), step(4, ref=OTHER), step(5)):
            log.record(decision)
        seen.append(await anext(following))
        assert repr(log) == "<DecisionLog 6 decisions, 1 followers>"

    assert [decision.at for decision in seen] == [2, 5]
    assert repr(log) == "<DecisionLog 6 decisions, 0 followers>"


async def test_follower_that_lags_loses_the_oldest() -> None:
    log = DecisionLog()
    log.record(step(0))
    async with aclosing(log.follow(0)) as following:
        await anext(following)
        for at in range(1, MAX_UNREAD + 3):
            log.record(step(at))

        assert (await anext(following)).at == 3


def test_recorders_tell_everyone() -> None:
    first, second = DecisionLog(), DecisionLog()

    Recorders([first, second]).record(step(1))

    assert first.since(0) == second.since(0) == [step(1)]


def test_hold_at_another_count_is_told() -> None:
    log = DecisionLog()
    for after in (1, 1, 5, 5):
        log.record(Decision(ECHO, Writer.IDLER, after, after, Reason.NOT_OPTED_IN, "", Instant(after)))

    assert [decision.after for decision in log.since(0)] == [1, 5]


def test_a_hold_of_the_control_loop_is_told_again_once_another_thing_is_missing() -> None:
    log = DecisionLog()
    for at, words in enumerate(("a is silent", "a is silent", "b is silent")):
        log.record(replace(hold(at, Reason.PARTIAL_DATA, writer=Writer.SCALER), detail=words))
        log.record(replace(hold(at, Reason.RECENTLY_ACTIVE, writer=Writer.IDLER), detail=f"last call {at} s ago"))

    assert [told.detail for told in log.since(0)] == ["a is silent", "last call 0 s ago", "b is silent"]


def test_holds_push_no_change_out() -> None:
    log = DecisionLog(max_decisions=4)
    log.record(step(0))
    for at in range(1, 100):
        log.record(hold(at, Reason.AT_MAX if at % 2 else Reason.REDELIVERED))

    assert [decision.at for decision in log.since(0)] == [0, 98, 99]


def test_function_that_flaps_pushes_no_other_s_story_out() -> None:
    log = DecisionLog(max_decisions=6)
    for at in range(2):
        log.record(step(at, ref=OTHER))
    for at in range(2, 100):
        log.record(step(at))

    assert [decision.at for decision in log.since(0)] == [0, 1, 96, 97, 98, 99]


def test_log_is_bounded_however_many_functions_there_are() -> None:
    log = DecisionLog(max_decisions=5)
    for number in range(100):
        ref = FunctionRef("openfaas-fn", f"f{number}")
        log.record(step(number, ref=ref))
        log.record(hold(number, ref=ref))

    kept = log.since(0)
    assert [decision.at for decision in kept if decision.changes] == [95, 96, 97, 98, 99]
    assert [decision.at for decision in kept if not decision.changes] == [98, 99]


@given(st.lists(decisions, max_size=40), st.integers(1, 20))
def test_what_is_kept_is_the_newest_of_each_function_in_order(given: list[Decision], max_decisions: int) -> None:
    kept = decision_log.newest(given, max_decisions)

    for changes, limit in decision_log.limits(max_decisions).items():
        of_kind = [decision for decision in kept if decision.changes is changes]
        assert len(of_kind) <= limit
        for ref in (ECHO, OTHER):
            all_of_one = [decision for decision in given if decision.changes is changes and decision.ref == ref]
            of_one = [decision for decision in of_kind if decision.ref == ref]
            assert of_one == all_of_one[len(all_of_one) - len(of_one) :]
