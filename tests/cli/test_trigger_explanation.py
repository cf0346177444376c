from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from springtide.cli.trigger_explanation import Asked, Missing, Triggered, explain_triggers
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer

ECHO = FunctionRef("openfaas-fn", "echo")
NOW = 1_767_261_600.0
"""2026-01-01T10:00:00Z"""
CRON = {"topic": "cron-function", "schedule": "0 * * * *"}
NONE_KNOWN: dict[str, Any] = {"schedules": [], "problems": []}
NO_EVENTS: dict[str, Any] = {"events": [], "connectors": [{"url": "http://c", "problem": None}]}
OFF = Missing("no cron part is configured; set cron_url", off=True)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def schedule(**more: Any) -> dict[str, Any]:
    return {
        "schedule": "0 * * * *",
        "zone": "UTC",
        "paused": False,
        "next": ["2026-01-01T11:00:00.000Z", "2026-01-01T12:00:00.000Z"],
        "waiting": 0,
        "runs": [],
        **more,
    }


def told(annotations: dict[str, str], *, secrets: tuple[str, ...] = (), **asked: Any) -> Triggered:
    known = {"schedules": NONE_KNOWN, "events": NO_EVENTS, "decisions": ()} | asked
    return explain_triggers(ECHO, annotations, secrets, Asked(**known), NOW)


def test_schedule_says_when_it_is_due_and_what_became_of_its_last_ticks() -> None:
    runs = [
        {"due": "2026-01-01T09:00:00.000Z", "outcome": "failed", "note": "it answered 500"},
        {"due": "2026-01-01T08:00:00.000Z", "outcome": "called"},
    ]

    assert told(CRON, schedules={"schedules": [schedule(runs=runs, waiting=2)]}).lines == (
        "Schedule 0 * * * * (UTC): next at 2026-01-01 11:00:00+00:00, in 60 m, then 2026-01-01 12:00:00+00:00.",
        (
            "Its last tick: 2026-01-01 09:00:00+00:00, 60 m ago: failed (it answered 500); before that "
            "2026-01-01 08:00:00+00:00, 2 h ago: called. Not sent yet: 2."
        ),
    )


@pytest.mark.parametrize(
    ("one", "said"),
    [
        pytest.param({"paused": True, "next": []}, "paused, until springtide schedule resume", id="paused"),
        pytest.param({"next": []}, "never due", id="never due"),
        pytest.param({}, "Its last tick: none is known.", id="no tick yet"),
    ],
)
def test_schedule_that_does_not_run_says_so(one: dict[str, Any], said: str) -> None:
    assert said in " ".join(told(CRON, schedules={"schedules": [schedule(**one)]}).lines)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        pytest.param(
            OFF,
            "Nobody calls it by its schedules (0 * * * *): no cron part is configured; set cron_url.",
            id="no cron part",
        ),
        pytest.param(
            Missing("the cron part cannot be reached"),
            "What its schedules do is not known now (0 * * * *): the cron part cannot be reached.",
            id="cron part away",
        ),
        pytest.param(NONE_KNOWN, "The cron part has not heard yet of 0 * * * *.", id="deployed a moment ago"),
    ],
)
def test_schedule_whose_ticks_are_not_known_is_not_taken_for_none(missing: Any, said: str) -> None:
    triggered = told(CRON, schedules=missing)

    assert triggered.lines == (said,)
    unknown = isinstance(missing, Missing)
    assert triggered.json["schedules"] == {
        "missing": missing.why if unknown else None,
        "schedules": None if unknown else [],
    }


def test_wakes_ahead_are_told_with_their_reasons_the_newest_first() -> None:
    def decision(writer: Writer, after: int, reason: Reason, detail: str, age_s: float) -> Decision:
        return Decision(ECHO, writer, 0, after, reason, detail, Instant(NOW - age_s), {"lead_s": 4.1})

    decisions = [
        decision(Writer.PREWARM, 1, Reason.SCHEDULED, "scheduled at 09:00:00 UTC", 3600),
        decision(Writer.WAKE, 1, Reason.WAKE, "1 caller waits", 600),
        decision(Writer.PREWARM, 0, Reason.WOKEN_ONCE, "it was woken for that", 60),
    ]

    triggered = told({}, decisions=decisions)

    assert triggered.lines == (
        "Not woken ahead 60 s ago (woken_once): it was woken for that.",
        "Woken ahead 60 m ago, 0 → 1 replica (scheduled): scheduled at 09:00:00 UTC.",
    )
    assert [wake["reason"] for wake in triggered.json["prewarms"]["decisions"]] == ["scheduled", "woken_once"]
    assert triggered.json["prewarms"]["decisions"][0]["inputs"] == {"lead_s": 4.1}


def test_wakes_that_nobody_recorded_are_said_to_be_unknown() -> None:
    triggered = told(CRON, schedules=OFF, decisions=Missing("the provider keeps no decisions"))

    assert "Whether it was woken ahead is not known: the provider keeps no decisions." in triggered.lines
    assert triggered.json["prewarms"] == {"missing": "the provider keeps no decisions", "decisions": None}


def test_last_events_are_told_with_what_became_of_them() -> None:
    event = {"time": "2026-01-01T09:59:00.000+00:00", "topic": "orders", "source": "shop", "outcome": "refused"}
    events = {"events": [{**event, "attempts": 3, "why": "too large"}], "connectors": NO_EVENTS["connectors"]}

    assert told({"topic": "orders,paid"}, events=events).lines == (
        "Events of orders, paid call it, through the queue or at once as their connector does.",
        "Event of orders 60 s ago: refused, 3 tries, too large (source shop).",
    )


@pytest.mark.parametrize(
    ("events", "said"),
    [
        pytest.param(NO_EVENTS, "No event has called it since its connectors were started.", id="none came"),
        pytest.param(
            Missing("no connector is configured", off=True),
            "Which events called it last is not known: no connector is configured.",
            id="no connector",
        ),
        pytest.param(
            {"events": [], "connectors": []},
            "Which events called it last is not known: no connector runs.",
            id="no connector runs",
        ),
        pytest.param(
            {"events": [], "connectors": [{"url": "http://c", "problem": "ConnectError"}]},
            "The connector at http://c does not answer (ConnectError): its events are missing here.",
            id="connector away",
        ),
    ],
)
def test_events_that_are_not_known_are_not_taken_for_none(events: Any, said: str) -> None:
    assert told({"topic": "orders", "com.springtide.trigger.delivery": "sync"}, events=events).lines == (
        "Events of orders call it at once.",
        said,
    )


def test_webhook_says_who_sends_and_what_proves_it() -> None:
    signed = {"com.springtide.webhook": "github", "com.springtide.webhook.secret": "key"}

    assert told(signed, secrets=("key",)).lines == (
        "Webhook /webhook/echo.openfaas-fn: github, proved by the secret key.",
    )
    assert told({"com.springtide.webhook": "none"}).lines == (
        "Webhook /webhook/echo.openfaas-fn: anybody may send, nothing is proved.",
    )
    assert "add it to its secrets" in told(signed).lines[0]


def test_function_without_triggers_says_that_only_callers_call_it() -> None:
    assert told({}, events=OFF, schedules=OFF).lines == (
        "Only callers call it: it has no schedule, no topic and no webhook.",
    )
