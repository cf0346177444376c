from __future__ import annotations

import json

import pytest

from springtide.provider.api.decisions import MAX_REPORTED
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire import decision_log
from tests.provider.api.served import Served

PATH = "/system/scaling/decisions"
UP = Decision(FunctionRef("openfaas-fn", "echo"), Writer.ALERT, 1, 5, Reason.ALERT_FIRING, "up", Instant(1000.0))
IDLE = Decision(FunctionRef("openfaas-fn", "echo"), Writer.IDLER, 5, 0, Reason.IDLE, "idle", Instant(2000.0))
OTHER = Decision(FunctionRef("dev", "echo"), Writer.WAKE, 0, 1, Reason.WAKE, "wake", Instant(3000.0))


def body(*decisions: Decision) -> list[dict[str, object]]:
    return [decision_log.to_json(decision) for decision in decisions]


def decisions_in(text: str) -> list[Decision]:
    return [decision_log.from_json(json.loads(line)) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", [UP, IDLE, OTHER], id="all, oldest first"),
        pytest.param("?function=echo", [UP, IDLE], id="one of the default namespace"),
        pytest.param("?function=echo.openfaas-fn", [UP, IDLE], id="one by its full name"),
        pytest.param("?function=echo.dev", [OTHER], id="one of another namespace"),
        pytest.param("?since=2000", [IDLE, OTHER], id="since seconds"),
        pytest.param("?since=1970-01-01T00:33:20Z", [IDLE, OTHER], id="since a time"),
        pytest.param("?reason=idle", [IDLE], id="by reason"),
        pytest.param("?function=echo&reason=wake", [], id="none fits"),
        pytest.param("?tail=2", [IDLE, OTHER], id="the newest two"),
        pytest.param("?function=echo&tail=1", [IDLE], id="the newest of one"),
        pytest.param("?tail=1&reason=idle", [IDLE], id="the newest of a reason"),
        pytest.param("?tail=-1", [UP, IDLE, OTHER], id="minus one is all"),
        pytest.param("?follow=false", [UP, IDLE, OTHER], id="without following"),
    ],
)
async def test_reported_decisions_are_read_back(served: Served, query: str, expected: list[Decision]) -> None:
    assert (await served.http.post(PATH, json=body(UP, IDLE, OTHER))).status_code == 202

    answer = await served.http.get(PATH + query)

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert decisions_in(answer.text) == expected


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("since=yesterday", "since: 'yesterday' is not an RFC 3339 time"),
        ("reason=because", "reason: 'because' is no reason; write one of "),
        ("follow=maybe", "follow: 'maybe' is neither yes nor no; write true or false"),
        ("tail=abc", "tail: 'abc' is not a number; write"),
        ("tial=3", "tial: there is no such parameter; there are function, since, reason, tail, follow"),
    ],
)
async def test_query_that_makes_no_sense_is_refused(served: Served, query: str, told: str) -> None:
    answer = await served.http.get(f"{PATH}?{query}")

    assert answer.status_code == 400
    assert answer.text.startswith(told)


async def test_follower_may_begin_with_the_newest(served: Served) -> None:
    served.decisions.record(UP)
    served.decisions.record(IDLE)

    async with served.http.stream("GET", f"{PATH}?function=echo&follow=true&tail=1&reason=idle") as answer:
        told = answer.aiter_lines()  # kept: without it the answer is closed
        assert decisions_in(await anext(told)) == [IDLE]


async def test_followers_see_what_was_and_what_comes_of_one_function(served: Served) -> None:
    served.decisions.record(UP)

    async with served.http.stream("GET", f"{PATH}?function=echo&follow=true") as answer:
        lines = answer.aiter_lines()
        seen = decisions_in(await anext(lines))
        await served.http.post(PATH, json=body(OTHER, IDLE))
        seen += decisions_in(await anext(lines))

    assert seen == [UP, IDLE]


async def test_report_with_one_bad_decision_is_refused_whole(served: Served) -> None:
    answer = await served.http.post(PATH, json=[*body(UP), {"t": 1}, 5])

    assert answer.status_code == 400
    assert [line[:3] for line in answer.text.splitlines()] == ["[1]", "[2]"]
    assert served.decisions.since(0) == []


@pytest.mark.parametrize(
    "report", [{}, None, "x", [{}] * (MAX_REPORTED + 1)], ids=["object", "null", "text", "too many"]
)
async def test_report_that_is_no_list_of_decisions_is_400(served: Served, report: object) -> None:
    assert (await served.http.post(PATH, content=json.dumps(report))).status_code == 400
