from __future__ import annotations

import json
import time

import pytest
import structlog
from prometheus_client import CollectorRegistry

from springtide.provider.api.scale_accounting import MAX_SERIES, ScaleWrites
from springtide.scaler.core import catalogue
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire import decision_log
from springtide.wire.provider_client import WRITER_HEADER
from tests.provider.api.served import Served

ECHO = FunctionRef(DEFAULT_NAMESPACE, "echo")
SCALE = "/system/scale-function/echo"
STEP = Decision(
    ECHO, Writer.ALERT, 1, 5, Reason.ALERT_FIRING, "alert High fires: +4 – “burst”", Instant(1_700_000_000.5)
)


def header(decision: Decision) -> dict[str, str]:
    return {WRITER_HEADER: json.dumps(decision_log.to_json(decision))}


async def desired(served: Served) -> int:
    return (await served.memory.read(ECHO)).scale.desired


async def test_scale_is_accepted_and_visible_at_once(served: Served) -> None:
    await served.deploy()

    answer = await served.http.post(SCALE, json={"serviceName": "echo", "replicas": 4})

    assert (answer.status_code, answer.content) == (202, b"")
    assert await desired(served) == 4


async def test_person_s_scale_is_one_line_in_the_log_and_that_of_others_is_theirs_to_log(served: Served) -> None:
    await served.deploy()
    with structlog.testing.capture_logs() as lines:
        await served.http.post(SCALE, json={"replicas": 4})
        await served.http.post(SCALE, json={"replicas": 4})
        await served.http.post(SCALE, json={"replicas": 5}, headers=header(STEP))

    (line,) = lines
    assert (line["event"], line["function"]) == ("scaled by a person", str(ECHO))
    assert (line["before"], line["after"], line["reason"]) == (1, 4, "manual")


async def test_path_decides_which_function(served: Served) -> None:
    await served.deploy()
    await served.deploy("other")

    await served.http.post(SCALE, json={"serviceName": "other", "replicas": 4})

    assert await desired(served) == 4


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"replicas": None},
        {"replicas": -1},
        {"replicas": 1.5},
        {"replicas": "2"},
        {"replicas": True},
        {"replicas": 10**9},
    ],
    ids=str,
)
async def test_count_that_is_no_count_is_400_and_changes_nothing(served: Served, body: dict[str, object]) -> None:
    await served.deploy()

    answer = await served.http.post(SCALE, json=body)

    assert answer.status_code == 400
    assert "replicas" in answer.text
    assert await desired(served) == 1
    assert served.decisions.since(0) == []


async def test_unknown_function_is_404(served: Served) -> None:
    assert (await served.http.post(SCALE, json={"replicas": 1})).status_code == 404


async def test_etag_of_describe_and_of_scale_is_the_quoted_version(served: Served) -> None:
    await served.deploy()
    described = await served.http.get("/system/function/echo")
    assert described.headers["etag"] == f'"{(await served.memory.read(ECHO)).scale.version}"'

    scaled = await served.http.post(SCALE, json={"replicas": 2})

    assert scaled.headers["etag"] == f'"{(await served.memory.read(ECHO)).scale.version}"'
    assert scaled.headers["etag"] != described.headers["etag"]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        pytest.param('"{version}"', 202, id="the version read"),
        pytest.param("{version}", 202, id="without quotes"),
        pytest.param('W/"{version}"', 202, id="a weak one, as proxies make of it"),
        pytest.param("*", 202, id="any"),
        pytest.param('"{version}0"', 412, id="another version"),
        pytest.param('""', 412, id="an empty version"),
    ],
)
async def test_if_match_with(served: Served, given: str, status: int) -> None:
    await served.deploy()
    version = (await served.memory.read(ECHO)).scale.version

    answer = await served.http.post(SCALE, json={"replicas": 2}, headers={"If-Match": given.format(version=version)})

    assert answer.status_code == status
    assert await desired(served) == (2 if status == 202 else 1)


async def test_decision_sent_along_is_recorded(served: Served) -> None:
    await served.deploy()

    assert (await served.http.post(SCALE, json={"replicas": 5}, headers=header(STEP))).status_code == 202

    assert served.decisions.since(0) == [STEP]


async def test_scale_without_a_decision_is_a_persons(served: Served) -> None:
    await served.deploy()
    earliest = time.time()

    await served.http.post(SCALE, json={"replicas": 3})

    (decision,) = served.decisions.since(0)
    assert (decision.ref, decision.before, decision.after) == (ECHO, 1, 3)
    assert (decision.writer, decision.reason) == (Writer.PERSON, Reason.MANUAL)
    assert decision.inputs == {"min": 1, "max": 20}
    assert earliest <= decision.at <= time.time()


async def test_write_that_lost_is_not_recorded(served: Served) -> None:
    await served.deploy()

    headers = {"If-Match": '"0"', **header(STEP)}
    assert (await served.http.post(SCALE, json={"replicas": 5}, headers=headers)).status_code == 412

    assert served.decisions.since(0) == []


async def test_writes_are_counted_by_writer_and_outcome_until_the_function_is_deleted(served: Served) -> None:
    await served.deploy()

    await served.http.post(SCALE, json={"replicas": 3})
    await served.http.post(SCALE, json={"replicas": 5}, headers=header(STEP))
    for _ in range(2):
        await served.http.post(SCALE, json={"replicas": 5}, headers={"If-Match": '"0"', **header(STEP)})
    await served.http.post("/system/scale-function/nobody", json={"replicas": 1})
    counted = writes(served)
    await served.http.request("DELETE", "/system/functions", json={"functionName": ECHO.name})

    assert counted == {
        (str(ECHO), "person", "written"): 1,
        (str(ECHO), STEP.writer.value, "written"): 1,
        (str(ECHO), STEP.writer.value, "conflict"): 2,
    }
    assert writes(served) == {}


def writes(served: Served) -> dict[tuple[str, str, str], float]:
    return {
        (sample.labels["function_name"], sample.labels["writer"], sample.labels["outcome"]): sample.value
        for family in served.registry.collect()
        for sample in family.samples
        if sample.name == catalogue.SCALE_WRITES.name
    }


def test_writes_remembered_are_bounded() -> None:
    kept = ScaleWrites(CollectorRegistry())
    for number in range(MAX_SERIES + 5):
        kept.count(FunctionRef("ns", f"f{number}"), Writer.PERSON, catalogue.WRITTEN)

    [family] = kept.collect()

    assert len(family.samples) == MAX_SERIES
    assert family.samples[0].labels["function_name"] == "f5.ns"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("not json", id="not JSON"),
        pytest.param("[]", id="not an object"),
        pytest.param("{}", id="empty"),
        pytest.param(json.dumps(decision_log.to_json(STEP) | {"reason": "because"}), id="unknown reason"),
        pytest.param(json.dumps(decision_log.to_json(STEP) | {"after": 6}), id="about another count"),
        pytest.param(json.dumps(decision_log.to_json(STEP) | {"function": "other"}), id="about another function"),
        pytest.param("[" * 20_000, id="nested beyond reason"),
    ],
)
async def test_decision_that_does_not_fit_is_400_and_changes_nothing(served: Served, text: str) -> None:
    await served.deploy()

    answer = await served.http.post(SCALE, json={"replicas": 5}, headers={WRITER_HEADER: text})

    assert answer.status_code == 400
    assert await desired(served) == 1
    assert served.decisions.since(0) == []


@pytest.mark.parametrize(
    ("writer", "before", "after"),
    [
        pytest.param(Writer.WAKE, 2, 1, id="a wake of a function that is awake"),
        pytest.param(Writer.ALERT, 0, 4, id="a step of a function that sleeps"),
        pytest.param(Writer.IDLER, 2, 0, id="a zero that the labels do not allow"),
    ],
)
async def test_writer_that_may_not_make_the_change_is_refused_as_one_that_came_late(
    served: Served, writer: Writer, before: int, after: int
) -> None:
    await served.deploy()
    await served.http.post(SCALE, json={"replicas": before})
    reason = {Writer.WAKE: Reason.WAKE, Writer.IDLER: Reason.IDLE}.get(writer, Reason.ALERT_FIRING)
    decision = Decision(ECHO, writer, before, after, reason, "", Instant(1.0))

    answer = await served.http.post(SCALE, json={"replicas": after}, headers=header(decision))

    assert answer.status_code == 412
    assert await desired(served) == before
