from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.alert_receiver.payload import MAX_ALERTS, parse
from springtide.runtime.errors import BadInput
from springtide.scaler.core.steps import AlertEvent, AlertId, AlertStatus, Load
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.wire.alertmanager import MAX_DELIVERY_BYTES
from tests.fakes.alertmanager import STARTED, alert, body, delivery

ECHO = FunctionRef("openfaas-fn", "echo")


def test_alert_of_a_delivery_becomes_an_event() -> None:
    one = alert("echo.openfaas-fn")

    assert parse(body(one)) == [
        AlertEvent(ECHO, AlertStatus.FIRING, AlertId(one["fingerprint"], STARTED), "FunctionBusy")
    ]


@pytest.mark.parametrize(
    ("told", "load"),
    [
        ("31.2 calls/s, above 5, at 100", Load(31.2, "calls/s", 5.0, Instant(100))),
        ("4.0 calls in flight, at 100", Load(4.0, "calls in flight", None, Instant(100))),
        ("NaN calls/s, above 5, at 100", None),
        ("1.2.3 calls/s, at 100", None),
        ("much", None),
        (5, None),
        (None, None),
    ],
    ids=str,
)
def test_load_is_read_where_it_is_told_as_a_number(told: object, load: Load | None) -> None:
    one = alert("echo.openfaas-fn") | {"annotations": {"load": told}}

    assert [event.load for event in parse(body(one))] == [load]


@pytest.mark.parametrize("annotations", [None, [], "load"], ids=str)
def test_alert_without_annotations_is_as_good(annotations: object) -> None:
    assert [event.load for event in parse(body(alert("echo") | {"annotations": annotations}))] == [None]


def test_each_alerts_own_status_counts() -> None:
    given_delivery = delivery(alert("a.ns"), alert("b.ns", "resolved"))
    given_delivery["status"] = "resolved"

    events = parse(json.dumps(given_delivery).encode())

    assert [(event.ref.name, event.status) for event in events] == [
        ("a", AlertStatus.FIRING),
        ("b", AlertStatus.RESOLVED),
    ]


@pytest.mark.parametrize(
    ("name", "ref"),
    [
        pytest.param("echo", FunctionRef("home", "echo"), id="a bare name"),
        pytest.param("echo.team-a", FunctionRef("team-a", "echo"), id="name and namespace"),
        pytest.param("echo.v2.team-a", FunctionRef("team-a", "echo.v2"), id="split at the last dot"),
        pytest.param("echo.openfaas-fn", FunctionRef("home", "echo"), id="the alias of the default namespace"),
    ],
)
def test_names_with_and_without_namespace(name: str, ref: FunctionRef) -> None:
    assert [event.ref for event in parse(body(alert(name)), "home")] == [ref]


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"alertname": "TargetDown"}, id="without function_name"),
        pytest.param({"function_name": ""}, id="with an empty function_name"),
        pytest.param({"function_name": ".ns"}, id="with a namespace only"),
        pytest.param({"function_name": "f."}, id="with an empty namespace"),
        pytest.param({"function_name": "x" * 201}, id="with a name that no function can have"),
        pytest.param({}, id="without labels"),
        pytest.param(None, id="with null labels"),
    ],
)
def test_alert_that_names_no_function_is_skipped(labels: dict[str, str] | None) -> None:
    other = {**alert(None), "labels": labels}

    assert [event.ref for event in parse(body(other, alert("echo"), other))] == [ECHO]


def test_only_what_is_needed_must_be_there() -> None:
    events = parse(b'{"alerts": [{"status": "firing", "labels": {"function_name": "echo"}}]}')

    assert [(event.ref, event.name, event.id.starts_at) for event in events] == [(ECHO, "", "")]


def test_what_is_not_known_is_not_looked_at() -> None:
    given_delivery = {**delivery({**alert("echo"), "later": [1, 2]}), "version": "5", "groupLabels": 7, "new": None}

    assert len(parse(json.dumps(given_delivery).encode())) == 1


def test_delivery_without_alerts_is_empty() -> None:
    assert parse(body()) == []


@pytest.mark.parametrize("fingerprint", [None, ""], ids=["missing", "empty"])
def test_missing_fingerprint_is_made_from_the_labels(fingerprint: str | None) -> None:
    def identity(labels: dict[str, str]) -> AlertId:
        return parse(body({**alert("echo"), "labels": labels, "fingerprint": fingerprint}))[0].id

    one = identity({"function_name": "echo", "a": "1", "b": "2"})

    assert one.fingerprint
    assert identity({"b": "2", "a": "1", "function_name": "echo"}) == one
    assert identity({"function_name": "echo", "a": "1", "b": "3"}) != one


def with_alert(**changed: Any) -> bytes:
    return body({**alert("echo"), **changed})


@pytest.mark.parametrize(
    ("given_body", "why"),
    [
        pytest.param(b"", "a body is required", id="no body"),
        pytest.param(b" \n", "a body is required", id="white space"),
        pytest.param(b"{", "the body is not JSON", id="JSON cut off"),
        pytest.param(b"\xff\xfe\x00", "the body is not JSON", id="bytes that are no text"),
        pytest.param(b"[" * 50_000, "the body is not JSON", id="JSON nested without end"),
        pytest.param(b"status=firing", "the body is not JSON", id="a form"),
        pytest.param(b"[]", "must be a JSON object, not a list", id="a list"),
        pytest.param(b'"firing"', "must be a JSON object, not a string", id="a string"),
        pytest.param(b"17", "must be a JSON object, not a number", id="a number"),
        pytest.param(b"null", "must be a JSON object, not nothing", id="null"),
        pytest.param(b"{}", "alerts: must be a list, not nothing", id="no alerts"),
        pytest.param(b'{"alerts": {}}', "alerts: must be a list, not an object", id="alerts that are no list"),
        pytest.param(b'{"alerts": [7]}', "alerts[0]: must be an object, not a number", id="an alert that is none"),
        pytest.param(with_alert(status="pending"), "alerts[0].status: must be firing or resolved", id="a bad status"),
        pytest.param(with_alert(status=None), "alerts[0].status: must be firing or resolved", id="no status"),
        pytest.param(with_alert(status=["firing"]), "alerts[0].status: must be", id="a list of statuses"),
        pytest.param(with_alert(labels=[1]), "alerts[0].labels: must be an object of strings", id="a list of labels"),
        pytest.param(with_alert(labels={"function_name": 7}), "alerts[0].labels: must be", id="a number for a name"),
        pytest.param(with_alert(fingerprint=7), "alerts[0].fingerprint: must be a string", id="a number to identify"),
        pytest.param(with_alert(startsAt={}), "alerts[0].startsAt: must be a string", id="a start that is no time"),
        pytest.param(with_alert(startsAt="9" * 201), "alerts[0].startsAt: must be a string", id="a very long start"),
        pytest.param(body(alert("a"), {**alert("b"), "status": "?"}), "alerts[1].status", id="the second one bad"),
    ],
)
def test_bad_payload_is_refused_with_the_reason(given_body: bytes, why: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(given_body)

    assert why in str(refused.value)
    assert len(str(refused.value)) < 500


def test_more_alerts_than_can_be_right_are_refused_not_cut() -> None:
    one = {"status": "firing", "labels": {"function_name": "echo"}}
    whole = json.dumps({"alerts": [one] * MAX_ALERTS}).encode()
    too_many = json.dumps({"alerts": [one] * (MAX_ALERTS + 1)}).encode()

    assert len(parse(whole)) == MAX_ALERTS
    with pytest.raises(BadInput, match="20001 in one delivery, at most 20000"):
        parse(too_many)


def test_ten_thousand_alerts_as_alertmanager_writes_them_are_within_the_bounds() -> None:
    """A delivery that is refused is not tried again."""
    one = alert("echo") | {
        "labels": {
            "alertname": "APIHighInvocationRate",
            "function_name": f"{'f' * 40}.openfaas-fn",
            "severity": "major",
        },
        "annotations": {"summary": "s" * 60, "description": "d" * 160, "load": "31.2 calls/s, above 5, at 1767225600"},
        "generatorURL": "http://prometheus:9090/graph?g0.expr=" + "x" * 150,
    }
    delivery = json.dumps({"alerts": [one] * 10_001}).encode()

    assert len(delivery) <= MAX_DELIVERY_BYTES
    assert len(parse(delivery)) == 10_001


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["firing"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["alerts", "labels", "status", "function_name", "fingerprint", "startsAt"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=50), json_values.map(lambda value: json.dumps(value).encode())))
def test_any_body_is_events_or_bad_input(given_body: bytes) -> None:
    try:
        events = parse(given_body)
    except BadInput:
        return
    assert all(event.ref.name and event.ref.namespace and event.id.fingerprint for event in events)
