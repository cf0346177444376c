"""The pages of asynchronous calls, over a real gateway and a real NATS server; the tests play the worker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from springtide.console.queue_api import MAX_BODY_CHARS
from springtide.scaler.core import catalogue
from springtide.wire.jobs.job import Answer, CallbackJob, DeadLetter, JobState, Outcome
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.ports import CallbackLease
from tests.console.served import World, world
from tests.fakes.http import HttpServer
from tests.nats_server import NatsServer
from tests.played_worker import PlayedWorker

KEY = "echo.openfaas-fn"
NO_ID = "00000000-0000-8000-8000-000000000000"


@pytest.fixture
@asynccontextmanager
async def here(server: NatsServer) -> AsyncIterator[World]:
    async with world(broker=server.settings) as here:
        await here.deploy("echo")
        yield here


@pytest.fixture
@asynccontextmanager
async def worker(server: NatsServer) -> AsyncIterator[PlayedWorker]:
    broker = Broker(server.settings, name="test worker")
    yield PlayedWorker(broker)
    await broker.aclose()


async def called(here: World, worker: PlayedWorker, **headers: str) -> str:
    """The id of a new job."""
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"X-Queue": worker.queue}
    answer = await here.http.post("/async-function/echo/rest?a=b", content=b"body", headers=named)
    assert answer.status_code == 202, answer.text
    return answer.headers["x-call-id"]


async def given_up(here: World, worker: PlayedWorker) -> str:
    job_id = await called(here, worker)
    await worker.runs(Answer(502, (), b"it broke"), JobState.FAILED, "it was tried once")
    return job_id


async def queues(here: World) -> dict[str, Any]:
    """What the page of the queues is told next."""
    async for name, value in here.events("/ui/events?page=queues"):
        if name == "queues":
            return dict(value)
    raise AssertionError("the stream ended")


async def letters(here: World) -> list[str]:
    answer = await here.http.get("/ui/api/dead-letters")
    return [letter["id"] for letter in answer.json()["letters"]]


# What is in the queues.


async def test_queues_are_told_by_function_and_what_is_not_measured_is_not_known(
    here: World, worker: PlayedWorker
) -> None:
    await called(here, worker)
    await called(here, worker)

    told = await queues(here)

    [row] = [row for row in told["rows"] if row["queue"] == worker.queue]
    assert row == {"queue": worker.queue, "key": KEY, "pending": 2, "running": None, "rate": None, "repeated": None}
    [queue] = [queue for queue in told["queues"] if queue["name"] == worker.queue]
    assert (queue["pending"], queue["dead"]) == (2, 0)
    assert queue["oldestAge"] >= 0
    assert (told["off"], told["problem"], told["measured"]) == (None, None, False)
    own = (await here.http.get(f"/ui/api/functions/{KEY}/queue")).json()
    assert row in own["rows"]
    assert (await here.http.get("/ui/api/functions/other.openfaas-fn/queue")).json()["rows"] == []


async def test_what_runs_ends_and_is_repeated_is_read_from_prometheus(server: NatsServer, worker: PlayedWorker) -> None:
    values = {catalogue.JOBS_RUNNING.name: "3", catalogue.JOBS_ENDED.name: "1.5", catalogue.JOBS_RETRIED.name: "0.25"}

    async def answer(target: str) -> tuple[int, bytes]:
        query = parse_qs(urlsplit(target).query).get("query", [""])[0]
        labels = {"queue_name": worker.queue, "function_name": KEY}
        result = [{"metric": labels, "value": [1.0, value]} for name, value in values.items() if name in query]
        return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()

    prometheus = HttpServer(answer)
    await prometheus.start()
    async with world(broker=server.settings, prometheus_url=f"http://127.0.0.1:{prometheus.port}") as here:
        await here.deploy("echo")
        await called(here, worker)
        told = await queues(here)
    await prometheus.stop()

    [row] = [row for row in told["rows"] if row["queue"] == worker.queue]
    assert row == {"queue": worker.queue, "key": KEY, "pending": 1, "running": 3, "rate": 1.5, "repeated": 0.25}
    assert told["measured"] is True
    assert told["totals"]["running"] == 3


async def test_suite_without_a_broker_says_that_asynchronous_calls_are_off() -> None:
    async with world() as here:
        told = await queues(here)

        assert "NATS" in told["off"]
        assert told["totals"]["pending"] is None
        assert (await here.http.get("/ui/queues")).status_code == 200


async def test_broker_that_is_away_is_told_and_nothing_is_taken_for_zero(server: NatsServer) -> None:
    async with world(broker=server.settings) as here:
        await here.deploy("echo")
        server.kill()
        try:
            told = await queues(here)
        finally:
            server.start()

        assert told["problem"]
        assert told["off"] is None
        assert set(told["totals"].values()) == {None}


# Calls.


async def test_calls_are_listed_by_state_and_function(here: World, worker: PlayedWorker) -> None:
    ended = await called(here, worker)
    await worker.runs(Answer(200, (), b"answer"))
    waits = await called(here, worker)

    async def listed(query: str) -> set[str]:
        return {job["id"] for job in (await here.http.get(f"/ui/api/jobs?{query}")).json()["jobs"]}

    assert {ended, waits} <= await listed("")
    queued = await listed("state=queued&function=echo")
    assert waits in queued
    assert ended not in queued
    assert await listed("function=other") == set()


async def test_state_that_there_is_none_of_is_refused_by_name(here: World) -> None:
    answer = await here.http.get("/ui/api/jobs?state=lost")

    assert answer.status_code == 400
    assert answer.text.startswith("state: 'lost' is none of queued, ")


async def test_page_of_a_call_tells_what_was_asked_for_and_what_came_of_it(here: World, worker: PlayedWorker) -> None:
    job_id = await called(here, worker)
    await worker.runs(Answer(200, (("Content-Type", "text/plain"),), b"the <answer>"))

    page = await here.http.get(f"/ui/jobs/{job_id}")
    told = (await here.http.get(f"/ui/api/jobs/{job_id}")).json()

    assert page.status_code == 200
    assert "POST /rest?a=b" in page.text
    assert "<answer>" not in page.text, "what a function says is no markup"
    assert (told["state"], told["attempts"], told["answer"]["body"]) == ("done", 1, "the <answer>")


async def test_the_letter_of_a_callback_has_a_page_that_leads_to_its_call(here: World, worker: PlayedWorker) -> None:
    job_id = await called(here, worker, X_Callback_Url="http://example.org/told")
    job = await worker.runs(Answer(200))
    letter_id = f"{job_id}-callback"
    assert (await here.http.get(f"/ui/api/jobs/{letter_id}")).json()["id"] == job_id, "there is no letter: the call is"
    await worker.jobs.store_callback(CallbackJob(job=job, id=job_id, headers=(), finished_at=3.0), b"answer")
    leases: Sequence[CallbackLease] = ()
    while not leases:
        leases = await worker.jobs.take_callbacks(1, 1.0)
    outcome = Outcome(state=JobState.FAILED, attempts=10, started_at=1.0, finished_at=2.0, reason="10 times")
    await worker.jobs.store_dead(DeadLetter(job=job, outcome=outcome, callback=True), leases[0])
    await leases[0].settle()

    page = await here.http.get(f"/ui/jobs/{letter_id}")
    told = (await here.http.get(f"/ui/api/jobs/{letter_id}")).json()

    assert "<h1>Callback for echo</h1>" in page.text
    assert f'<a href="/ui/jobs/{job_id}">{job_id}</a>' in page.text
    assert (told["id"], told["state"], told["reason"]) == (letter_id, "failed", "10 times")


async def test_of_a_large_answer_the_beginning_is_shown(here: World, worker: PlayedWorker) -> None:
    job_id = await called(here, worker)
    await worker.runs(Answer(200, (), b"x" * (MAX_BODY_CHARS + 1)))

    answer = (await here.http.get(f"/ui/api/jobs/{job_id}")).json()["answer"]

    assert (len(answer["body"]), answer["truncated"]) == (MAX_BODY_CHARS, True)


@pytest.mark.parametrize(
    "job_id", [pytest.param(NO_ID, id="an id nobody has"), pytest.param("..%2F..%2Fsystem%2Finfo", id="no id")]
)
async def test_page_of_a_call_that_there_is_not_says_so(here: World, job_id: str) -> None:
    answer = await here.http.get(f"/ui/jobs/{job_id}")

    assert answer.status_code == 404
    assert (await here.http.get(f"/ui/api/jobs/{job_id}")).status_code == 404


# What can be done.


async def test_call_that_waits_is_cancelled(here: World, worker: PlayedWorker) -> None:
    job_id = await called(here, worker)

    answer = await here.http.delete(f"/ui/api/jobs/{job_id}", headers=await here.token())

    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")


async def test_call_that_was_given_up_is_tried_again(here: World, worker: PlayedWorker) -> None:
    job_id = await given_up(here, worker)
    assert job_id in await letters(here)

    answer = await here.http.post(f"/ui/api/dead-letters/{job_id}/retry", headers=await here.token())

    assert answer.status_code == 202
    assert job_id not in await letters(here)
    assert (await worker.taken()).id == job_id


async def test_call_that_was_given_up_is_thrown_away(here: World, worker: PlayedWorker) -> None:
    job_id = await given_up(here, worker)
    headers = await here.token()

    first = await here.http.delete(f"/ui/api/dead-letters/{job_id}", headers=headers)
    again = await here.http.delete(f"/ui/api/dead-letters/{job_id}", headers=headers)

    assert (first.status_code, again.status_code) == (204, 404)
    assert job_id not in await letters(here)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("DELETE", "/ui/api/jobs/{}", id="cancel"),
        pytest.param("POST", "/ui/api/dead-letters/{}/retry", id="try again"),
        pytest.param("DELETE", "/ui/api/dead-letters/{}", id="throw away"),
    ],
)
async def test_pages_of_others_decide_nothing(here: World, worker: PlayedWorker, method: str, path: str) -> None:
    job_id = await given_up(here, worker)

    answer = await here.http.request(method, path.format(job_id))

    assert answer.status_code == 403
    assert job_id in await letters(here)
