from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.runtime.errors import Unavailable
from springtide.scaler.core.call_timeout import CallTimeout
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.wire.endpoint_stream import (
    MAX_ANNOTATIONS_BYTES,
    Changed,
    Endpoint,
    Event,
    FunctionEndpoints,
    Heartbeat,
    Removed,
    Snapshot,
    decode,
    encode,
    merge,
)

ECHO = FunctionEndpoints(
    FunctionRef("openfaas-fn", "echo"),
    2,
    "7",
    (Endpoint("echo-1", "127.0.0.1", 40001), Endpoint("echo-2", "127.0.0.1", 40002, max_inflight=3)),
    labels={"a": "b"},
)

texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)
refs = st.builds(FunctionRef, st.sampled_from(["openfaas-fn", "dev"]), st.sampled_from(["a", "b", "c"]))
endpoints = st.builds(
    Endpoint,
    texts,
    st.sampled_from(["127.0.0.1", "::1", "replica.local"]),
    st.integers(1, 65535),
    st.integers(0, 9),
    texts,
)
functions = st.builds(
    FunctionEndpoints,
    refs,
    st.integers(0, 20),
    texts,
    st.lists(endpoints, max_size=3).map(tuple),
    st.dictionaries(texts, texts, max_size=2),
    st.none() | texts.filter(bool),
    st.dictionaries(texts, texts, max_size=2),
    st.none() | texts.filter(bool),
    st.booleans(),
    st.none() | st.builds(CallTimeout, st.floats(0, 1e9), texts),
    st.none() | st.floats(0, 1e10),
)
events = st.one_of(
    st.builds(Snapshot, st.lists(functions, max_size=4, unique_by=lambda function: function.ref).map(tuple)),
    st.builds(Changed, functions),
    st.builds(Removed, refs),
    st.just(Heartbeat()),
)


@given(events)
def test_event_survives_the_wire_on_one_line(event: Event) -> None:
    line = encode(event)

    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode(line) == event


def test_wire_form_is_the_documented_one() -> None:
    assert json.loads(encode(Changed(ECHO))) == {
        "type": "changed",
        "function": {
            "name": "echo",
            "namespace": "openfaas-fn",
            "replicas": 2,
            "version": "7",
            "labels": {"a": "b"},
            "endpoints": [
                {"instance": "echo-1", "address": "127.0.0.1:40001"},
                {"instance": "echo-2", "address": "127.0.0.1:40002", "maxInflight": 3},
            ],
            "owner": "alert",
        },
    }
    assert json.loads(encode(Removed(ECHO.ref))) == {"type": "removed", "name": "echo", "namespace": "openfaas-fn"}
    assert json.loads(encode(Heartbeat())) == {"type": "heartbeat"}


def test_annotations_are_sent_where_there_are_any() -> None:
    annotated = replace(ECHO, annotations={"topic": "t", "schedule": "*/5 * * * *"})

    assert json.loads(encode(Changed(annotated)))["function"]["annotations"] == {
        "topic": "t",
        "schedule": "*/5 * * * *",
    }
    assert "annotations" not in json.loads(encode(Changed(ECHO)))["function"]


def test_how_long_a_call_may_take_is_sent_and_what_says_so_but_no_environment() -> None:
    timed = replace(ECHO, timeout=CallTimeout(600, "exec_timeout"), next_start=12.5, learned_wake=6, wakes=2)
    timed = replace(timed, created_at=Instant(1.5), changed_at=Instant(2.5))
    timed = replace(timed, longest_start_s=3.2)

    sent = json.loads(encode(Changed(timed)))["function"]

    assert sent["timeout"] == {"seconds": 600, "source": "exec_timeout"}
    assert (sent["nextStart"], sent["createdAt"], sent["changedAt"]) == (12.5, 1.5, 2.5)


@pytest.mark.parametrize("seconds", ["-1", "1e300"])
def test_time_that_is_none_says_nothing(seconds: str) -> None:
    line = encode(Changed(replace(ECHO, timeout=CallTimeout(7, "x")))).replace(
        b'"seconds":7', b'"seconds":' + seconds.encode()
    )

    event = decode(line)

    assert isinstance(event, Changed)
    assert event.function.timeout is None


def test_longest_annotations_are_left_out_where_they_are_too_many() -> None:
    half = "x" * (MAX_ANNOTATIONS_BYTES // 2)
    annotated = replace(ECHO, annotations={"a document": half + half, "b": half, "topic": "t", "c": "ü" * len(half)})
    whole = encode(Changed(annotated))

    sent = json.loads(whole)["function"]["annotations"]

    assert sent == {"b": half, "topic": "t"}
    assert decode(whole) == Changed(replace(ECHO, annotations=sent))


def test_reader_keeps_no_more_annotations_than_a_writer_may_send() -> None:
    line = json.loads(encode(Changed(ECHO)))
    line["function"]["annotations"] = {"topic": "t", "long": "x" * MAX_ANNOTATIONS_BYTES}

    assert decode(json.dumps(line)) == Changed(replace(ECHO, annotations={"topic": "t"}))


def test_event_of_a_later_version_is_skipped() -> None:
    assert decode(b'{"type": "weather", "sun": true}') is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"<html>",
        b"[]",
        b"5",
        b"{}",
        b"\xff",
        b'{"type": "changed"}',
        b'{"type": "snapshot", "functions": 5}',
        b'{"type": "snapshot", "functions": [{"name": "a"}]}',
        encode(Changed(ECHO)).replace(b"127.0.0.1:40001", b"nowhere"),
        encode(Changed(ECHO)).replace(b'"labels":', b'"annotations":{"a":5},"labels":'),
        encode(Changed(ECHO)).replace(b'"labels":', b'"annotations":["a"],"labels":'),
    ],
)
def test_line_that_is_no_event_is_unavailable(line: bytes) -> None:
    with pytest.raises(Unavailable, match="not an endpoint event"):
        decode(line)


def test_merge_applies_events_in_order_and_leaves_its_input_alone() -> None:
    other = FunctionEndpoints(FunctionRef("openfaas-fn", "other"), 1, "1")
    stale = FunctionEndpoints(FunctionRef("openfaas-fn", "stale"), 1, "1")
    known = {stale.ref: stale}

    table = merge(known, [Snapshot((ECHO, other)), Heartbeat(), Removed(other.ref), Removed(stale.ref)])

    assert table == {ECHO.ref: ECHO}
    assert known == {stale.ref: stale}


@given(st.lists(events, max_size=8))
def test_merging_one_by_one_is_merging_all(stream: list[Event]) -> None:
    table: dict[FunctionRef, FunctionEndpoints] = {}
    for event in stream:
        table = merge(table, [event])

    assert table == merge({}, stream)
