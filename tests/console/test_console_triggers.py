"""What the console tells of schedules and events: over a real gateway and a real cron part, and without them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from springtide.console import view
from springtide.console.assets import STATIC
from springtide.console.functions import FunctionInfo
from springtide.console.trigger_api import MAX_LISTED
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core import catalogue
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.cron.entry import Outcome as TickOutcome
from springtide.triggers.delivery import Outcome as EventOutcome
from springtide.triggers.journal import EMPTY, UNWANTED
from tests.console.served import World, world
from tests.fakes.http import HttpServer

YEARLY = "0 6 1 1 *"
KEY = "echo.openfaas-fn"
ACTS = f"/ui/api/functions/{KEY}/schedules"


async def scheduled(here: World, *names: str, schedule: str = YEARLY) -> None:
    """Deployed at a provider that checks nothing, as somebody else's, and known to the cron part."""
    annotations = {"topic": "cron-function", "schedule": schedule}
    for name in names:
        ref = FunctionRef("openfaas-fn", name)
        await here.provider.deploy(FunctionSpec(ref=ref, image="any", annotations=annotations))
    await here.until(lambda text: f'"{names[-1]}"' in text, "/system/schedules")


async def told(here: World, query: str = "") -> dict[str, Any]:
    """What the page of triggers is told next."""
    async for name, value in here.events(f"/ui/events?page=triggers{query}"):
        if name == "triggers":
            return dict(value)
    raise AssertionError("the stream ended")


@asynccontextmanager
async def connector(*events: dict[str, Any]) -> AsyncIterator[tuple[str, list[str]]]:
    """Its address, and what it was asked."""
    asked: list[str] = []

    async def answer(target: str) -> tuple[int, bytes]:
        asked.append(target)
        return 200, json.dumps(events).encode()

    server = HttpServer(answer)
    await server.start()
    yield f"http://127.0.0.1:{server.port}", asked
    await server.stop()


async def test_a_page_of_many_schedules_is_told_and_the_rest_is_counted() -> None:
    async with world(with_cron=True) as here:
        await scheduled(here, *(f"report-{number:03}" for number in range(MAX_LISTED + 1)))
        first = (await told(here, "&order=name"))["schedules"]
        last = (await told(here, f"&order=name&offset={MAX_LISTED}"))["schedules"]
        found = (await told(here, "&search=report-007"))["schedules"]

    assert (len(first["schedules"]), first["total"], first["limit"]) == (MAX_LISTED, MAX_LISTED + 1, MAX_LISTED)
    assert [one["function"] for one in last["schedules"]] == [f"report-{MAX_LISTED:03}"]
    assert last["offset"] == MAX_LISTED
    assert [one["function"] for one in found["schedules"]] == ["report-007"]
    assert len(found["schedules"][0]["next"]) == 3
    assert first["counts"] == {"schedules": MAX_LISTED + 1, "paused": 0, "failing": 0, "problems": 0}


async def test_schedule_that_is_wrong_at_a_function_that_is_there_is_a_problem() -> None:
    async with world(with_cron=True) as here:
        await scheduled(here, "good")
        await scheduled(here, "echo", schedule="61 * * * *")
        schedules = (await told(here))["schedules"]

    assert [(one["function"], "61 * * * *" in one["problem"]) for one in schedules["problems"]] == [("echo", True)]
    assert [one["function"] for one in schedules["schedules"]] == ["good"]


async def test_function_is_paused_resumed_and_run_from_a_page() -> None:
    async with world(with_cron=True) as here:
        await scheduled(here, "echo")
        proof = await here.token()

        async def seen() -> dict[str, Any]:
            return dict((await here.http.get(f"/ui/api/functions/{KEY}/triggers")).json()["schedules"]["schedules"][0])

        before = await seen()
        paused, then = await here.http.post(f"{ACTS}/pause", json={}, headers=proof), await seen()
        resumed, again = await here.http.post(f"{ACTS}/resume", json={}, headers=proof), await seen()
        run = await here.http.post(f"{ACTS}/run", json={"schedule": YEARLY}, headers=proof)
        after = await seen()

    assert [answer.status_code for answer in (paused, resumed, run)] == [202, 202, 202]
    assert (before["paused"], then["paused"], again["paused"]) == (False, True, False)
    assert (before["runs"], [one["note"] for one in after["runs"]]) == ([], ["by hand"])
    assert run.json()["job"] == "job-0"


@pytest.mark.parametrize("act", ["pause", "resume", "run"])
async def test_act_is_refused_without_the_proof_of_a_page(act: str) -> None:
    async with world(with_cron=True) as here:
        await scheduled(here, "echo")
        answer = await here.http.post(f"{ACTS}/{act}", json={})
        listed = (await here.http.get("/system/schedules")).json()["schedules"][0]

    assert answer.status_code == 403
    assert (listed["paused"], listed["runs"]) == (False, [])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param(f"{ACTS}/stop", {}, 404, id="no such act"),
        pytest.param(f"{ACTS}/run", {"schedule": 7}, 400, id="a schedule that is no text"),
        pytest.param(f"{ACTS}/run", {"schedule": "@daily"}, 404, id="a schedule that it has not"),
        pytest.param("/ui/api/functions/nobody/schedules/pause", {}, 404, id="no such function"),
    ],
)
async def test_what_cannot_be_done_with_a_schedule_is_told(path: str, body: dict[str, Any], status: int) -> None:
    async with world(with_cron=True) as here:
        await scheduled(here, "echo")
        answer = await here.http.post(path, json=body, headers=await here.token())

    assert answer.status_code == status
    assert answer.text


async def test_without_a_cron_part_that_is_said_and_whose_schedules_nobody_runs() -> None:
    async with world() as here:
        await here.provider.deploy(
            FunctionSpec(
                ref=FunctionRef("openfaas-fn", "echo"),
                image="any",
                annotations={"topic": "cron-function", "schedule": YEARLY},
            )
        )
        await here.until(lambda text: KEY in text, "/ui/")
        page = await here.http.get("/ui/triggers")
        seen = await told(here)
        own = (await here.http.get(f"/ui/api/functions/{KEY}/triggers")).json()

    assert page.status_code == 200
    assert "cron_url" in seen["schedules"]["off"]
    assert (seen["schedules"]["uncalled"], seen["schedules"]["uncalledTotal"]) == ([KEY], 1)
    assert "connector_urls" in seen["events"]["off"]
    assert "schedules" not in own["schedules"], "not known is not none"


async def test_cron_part_that_is_away_is_a_problem_and_not_an_empty_list() -> None:
    async with world(with_cron=True, cron_away=True) as here:
        seen = await told(here)
        health = await here.until(lambda text: '"Cron"' in text, "/ui/system")

    assert seen["schedules"]["off"] is None
    assert "the cron part cannot be reached" in seen["schedules"]["problem"]
    assert "schedules" not in seen["schedules"]
    assert "schedules wait" in health


async def test_events_are_told_with_the_connectors_that_do_not_answer() -> None:
    event = {"time": "2026-01-01T10:00:00.000+00:00", "topic": "orders", "outcome": "stored", "function": KEY}
    async with (
        connector(event) as (url, asked),
        world(connector_urls=(url, "http://127.0.0.1:9")) as here,
    ):
        events = (await told(here))["events"]
        own = (await here.http.get(f"/ui/api/functions/{KEY}/triggers")).json()["events"]
        health = (await here.http.get("/ui/system")).text

    assert events["events"] == [event]
    assert [(one["url"], bool(one["problem"])) for one in events["connectors"]] == [
        (url, False),
        ("http://127.0.0.1:9", True),
    ]
    assert own["events"] == [event]
    assert any(f"function={KEY}" in target for target in asked)
    assert "does not answer (ConnectError" in health
    assert "events wait" in health


def test_triggers_of_a_function_are_read_from_its_annotations() -> None:
    def of(secrets: tuple[str, ...] = (), *, topic: str = "", schedule: str = "", **more: str) -> dict[str, Any]:
        """``more`` without ``com.springtide.`` in front."""
        named = {f"com.springtide.{key.replace('_', '.')}": value for key, value in more.items()}
        annotations = {"topic": topic, "schedule": schedule, **named}
        return view.triggers(
            FunctionInfo(ref=FunctionRef("openfaas-fn", "echo"), annotations=annotations, secrets=secrets)
        )

    signed = of(("key",), webhook="github", webhook_secret="key")
    unknown = of(webhook="github", webhook_secret="key")

    assert of()["schedules"] == of()["topics"] == []
    assert of(topic="cron-function", schedule=f"{YEARLY}; @daily")["schedules"] == [YEARLY, "@daily"]
    assert of(topic="cron-function", schedule=YEARLY)["topics"] == []
    assert of(topic=" orders, orders,paid ")["topics"] == ["orders", "paid"]
    assert of(topic="orders", trigger_delivery="sync")["delivery"] == "call it at once"
    assert signed["webhook"] == {"sender": "github, proved by the secret key"}
    assert unknown["webhook"] is None
    assert "add it to its secrets" in unknown["problems"][0]


@pytest.mark.parametrize(
    ("script", "outcomes"),
    [
        pytest.param("schedules.js", tuple(TickOutcome), id="of ticks"),
        pytest.param("events.js", (*EventOutcome, UNWANTED, EMPTY), id="of events"),
    ],
)
def test_pages_have_words_for_every_outcome(script: str, outcomes: tuple[str, ...]) -> None:
    table = (STATIC / script).read_text().partition("const OUTCOMES = {")[2].partition("};")[0]

    assert sorted(re.findall(r"^  (\w+):", table, re.MULTILINE)) == sorted(map(str, outcomes))


@pytest.mark.parametrize(
    ("overdue_s", "said"),
    [pytest.param(72, "not sent is 72 s late", id="late"), pytest.param(0, "answers", id="in time")],
)
async def test_health_says_how_late_the_oldest_tick_is(overdue_s: int, said: str) -> None:
    async def answer(_: str) -> tuple[int, bytes]:
        return 200, f"{catalogue.TICKS_OVERDUE.name} {overdue_s}.0\n".encode()

    cron = HttpServer(answer)
    await cron.start()
    async with world(cron_url=f"http://127.0.0.1:{cron.port}") as here:
        async for name, value in here.events("/ui/events?page=system"):
            if name == "health":
                [part] = [part for part in value["parts"] if part["name"] == "Cron"]
                break
    await cron.stop()

    assert part["up"] is True
    assert part["detail"].endswith(said)
