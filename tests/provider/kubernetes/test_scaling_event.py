from __future__ import annotations

from springtide.provider.kubernetes.events import MAX_NOTE_BYTES, MAX_PER_MINUTE, Ration, event
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from tests.provider.kubernetes.published_schemas import all_problems

ECHO = FunctionRef("openfaas-fn", "echo")


def decision(detail: str = "1 caller waits") -> Decision:
    return Decision(ECHO, Writer.WAKE, 0, 1, Reason.WAKE, detail, Instant(1_700_000_000.25))


def test_event_names_reason_writer_and_counts() -> None:
    made = event(decision(), "uid-1", "host", left_out=0)

    assert made["reason"] == "Wake"
    assert made["note"] == "Scaled from 0 to 1 by a waiting caller: 1 caller waits"
    assert made["eventTime"] == "2023-11-14T22:13:20.250000Z"
    assert made["metadata"]["namespace"] == made["regarding"]["namespace"] == ECHO.namespace
    assert made["regarding"]["uid"] == "uid-1"


def test_event_says_how_many_were_left_out() -> None:
    assert event(decision(), "u", "host", left_out=3)["note"].endswith("(3 more decisions in between are not shown)")


def test_note_of_an_event_fits() -> None:
    note = event(decision("é" * 2000), "u", "host", left_out=0)["note"]

    assert len(note.encode()) <= MAX_NOTE_BYTES


def test_event_is_as_the_published_schemas_have_it() -> None:
    made = event(decision(), "u", "host", left_out=0)

    assert all_problems({"apiVersion": "events.k8s.io/v1", "kind": "Event", **made}) == []


def test_function_gets_so_many_events_a_minute_and_hears_how_many_were_left_out() -> None:
    ration, other = Ration(), FunctionRef("openfaas-fn", "other")

    within = [ration.take(ECHO, float(second)) for second in range(MAX_PER_MINUTE + 3)]

    assert within == [0] * MAX_PER_MINUTE + [None] * 3
    assert ration.take(other, 5.0) == 0
    assert [ration.take(ECHO, now) for now in (59.9, 60.0, 61.0)] == [None, 4, 0]
