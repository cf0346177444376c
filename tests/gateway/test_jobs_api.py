"""What became of asynchronous calls, over the whole gateway and a real NATS server; the tests play the worker."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from springtide.gateway.service import Gateway, GatewayDeps
from springtide.gateway.settings import GatewaySettings
from springtide.runtime.clock import SystemClock
from springtide.wire.jobs.job import Answer, JobState, Outcome, Progress
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.store import NatsJobStore
from tests.gateway.harness import until
from tests.gateway.test_system_api import AUTH, CREDENTIALS, Whole, alone, whole
from tests.nats_server import NatsServer
from tests.played_worker import PlayedWorker
from tests.wire.jobs.test_nats import a_job

NO_ID = "00000000-0000-8000-8000-000000000000"


@pytest.fixture
@asynccontextmanager
async def suite(server: NatsServer) -> AsyncIterator[Whole]:
    async with whole(broker=server.settings, max_async_inline=1000) as suite:
        await suite.deploy()
        yield suite


async def called(suite: Whole, worker: PlayedWorker, body: bytes = b"body", **headers: str) -> str:
    """The id of a new job."""
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"X-Queue": worker.queue}
    answer = await suite.http.post("/async-function/echo/rest?a=b", content=body, headers=named)
    assert answer.status_code == 202, answer.text
    return answer.headers["x-call-id"]


@pytest.fixture
@asynccontextmanager
async def worker(server: NatsServer) -> AsyncIterator[PlayedWorker]:
    broker = Broker(server.settings, name="test worker")
    yield PlayedWorker(broker)
    await broker.aclose()


async def told(suite: Whole, job_id: str, query: str = "") -> dict[str, Any]:
    answer = await suite.http.get(f"/async-function/{job_id}{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-springtide-job-state"] == answer.json()["state"]
    return dict(answer.json())


async def told_as(suite: Whole, job_id: str, state: str) -> dict[str, Any]:
    """Once it has come: what workers tell is not waited for."""
    while (status := await told(suite, job_id))["state"] != state:
        pass
    return status


# State and answer.


async def test_a_queued_call_is_told_with_all_that_is_known(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker, X_Callback_Url="http://example.org/told")
    status = await told(suite, job_id)
    assert status.pop("accepted_at").endswith("Z")
    assert status == {
        "id": job_id,
        "state": "queued",
        "function": "echo",
        "namespace": "openfaas-fn",
        "queue": worker.queue,
        "tenant": None,
        "method": "POST",
        "path": "/rest",
        "query": "a=b",
        "callback": "http://example.org/told",
        "attempts": 0,
        "not_before": None,
        "started_at": None,
        "finished_at": None,
        "next_attempt_at": None,
        "status": None,
        "reason": None,
        "callback_delivery": None,
        "answer": None,
    }


async def test_a_delayed_call_says_until_when(suite: Whole, worker: PlayedWorker) -> None:
    status = await told(suite, await called(suite, worker, X_Delay="1h"))
    accepted, not_before = (datetime.fromisoformat(status[key]) for key in ("accepted_at", "not_before"))
    assert status["state"] == "delayed"
    assert (not_before - accepted).total_seconds() == pytest.approx(3600, abs=60)


async def test_a_call_that_runs_and_one_that_is_tried_again(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker)
    lease = await worker.taken()
    await worker.tells(lease, Progress(state=JobState.RUNNING, attempts=2, started_at=1000.0))
    status = await told_as(suite, job_id, "running")
    assert (status["attempts"], status["started_at"]) == (2, "1970-01-01T00:16:40.000Z")
    await worker.tells(
        lease, Progress(state=JobState.RETRYING, attempts=2, started_at=1000.0, next_attempt_at=1010.0, status=503)
    )
    status = await told_as(suite, job_id, "retrying")
    assert (status["status"], status["next_attempt_at"]) == (503, "1970-01-01T00:16:50.000Z")


@pytest.mark.parametrize(
    ("body", "shown", "encoding"),
    [
        pytest.param("grüß".encode(), "grüß", "text", id="text"),
        pytest.param(b"\xff\x00", base64.b64encode(b"\xff\x00").decode(), "base64", id="bytes"),
    ],
)
async def test_a_call_that_is_done_has_its_answer(
    suite: Whole, worker: PlayedWorker, body: bytes, shown: str, encoding: str
) -> None:
    job_id = await called(suite, worker)
    await worker.runs(Answer(418, (("X-A", "1"), ("X-A", "2"), ("Content-Type", "a/b")), body))
    status = await told(suite, job_id)
    assert (status["state"], status["attempts"], status["status"]) == ("done", 1, 418)
    assert status["finished_at"] == "1970-01-01T00:00:02.250Z"
    assert status["answer"] == {
        "status": 418,
        "headers": {"X-A": ["1", "2"], "Content-Type": ["a/b"]},
        "body": shown,
        "encoding": encoding,
        "size": len(body),
        "truncated": False,
    }


async def test_text_that_was_cut_within_a_character_is_text(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker)
    await worker.runs(Answer(200, (), "grüß".encode()[:-1], truncated=True))
    told_answer = (await told(suite, job_id))["answer"]
    assert (told_answer["body"], told_answer["encoding"], told_answer["truncated"]) == ("grü", "text", True)


async def test_telling_the_caller_is_a_part_of_the_story(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker, X_Callback_Url="http://example.org/told")
    token = (await worker.runs(Answer(200))).token
    status = await told(suite, job_id)
    nothing = dict.fromkeys(("tried_at", "next_attempt_at", "status", "reason", "dead_letter"))
    assert status["callback_delivery"] == nothing | {"state": "queued", "attempts": 0}
    await worker.jobs.tell_delivery(token, Progress(state=JobState.RETRYING, attempts=2, started_at=5.0, status=500))
    while (status := await told(suite, job_id))["callback_delivery"]["state"] != "retrying":
        pass
    at = "1970-01-01T00:00:05.000Z"
    tried = nothing | {"state": "retrying", "attempts": 2, "status": 500, "tried_at": at}
    assert status["callback_delivery"] == tried
    (listed,) = (await suite.http.get(f"/system/jobs?queue={worker.queue}")).json()["jobs"]
    assert listed["callback_delivery"] == tried
    failed = Progress(state=JobState.FAILED, attempts=10, started_at=5.0, reason="10 times")
    await worker.jobs.tell_delivery(token, failed)
    while (status := await told(suite, job_id))["callback_delivery"]["state"] != "failed":
        pass
    assert status["callback_delivery"]["dead_letter"] == f"{job_id}-callback"


async def test_a_call_that_was_given_up_says_why(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker)
    await worker.runs(Answer(503, (), b"no"), JobState.FAILED, "10 attempts")
    status = await told(suite, job_id)
    assert (status["state"], status["reason"], status["answer"]["body"]) == ("failed", "10 attempts", "no")


async def test_who_waits_is_told_at_the_end(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker)
    waits = asyncio.create_task(told(suite, job_id, "?wait=5m"))
    await worker.runs(Answer(200, (), b"answer"))
    assert (await waits)["answer"]["body"] == "answer"
    assert (await told(suite, job_id, "?wait=5m"))["state"] == "done"


async def test_who_has_waited_long_enough_is_told_what_is_known(suite: Whole, worker: PlayedWorker) -> None:
    assert (await told(suite, await called(suite, worker), "?wait=100ms"))["state"] == "queued"


async def test_a_gateway_that_ends_answers_who_waits(server: NatsServer) -> None:
    broker = Broker(server.settings, name="test")
    job = a_job(f"q{uuid.uuid4().hex[:12]}")
    job_id = await NatsJobStore(broker).submit(job, b"")
    settings = replace(
        GatewaySettings(), port=0, metrics_port=0, first_snapshot_s=0.01, grace_s=4.0, broker=server.settings
    )
    gateway = Gateway(settings, GatewayDeps(CREDENTIALS, CollectorRegistry(), SystemClock()))
    await gateway.start()
    url = f"http://127.0.0.1:{gateway.port}/async-function/{job_id}?wait=5m"
    async with httpx.AsyncClient(auth=AUTH, timeout=60) as http:
        waits = asyncio.create_task(http.get(url))
        await until(lambda: gateway.plane.system.metrics.in_flight == 1)
        await gateway.stop()
        answer = await waits
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")
    await broker.aclose()


@pytest.mark.parametrize("wait", ["1h", "-1s", "soon", ""])
async def test_a_wait_that_cannot_be_is_refused(suite: Whole, worker: PlayedWorker, wait: str) -> None:
    answer = await suite.http.get(f"/async-function/{await called(suite, worker)}", params={"wait": wait})
    assert (answer.status_code, answer.text[:4]) == (400, "wait")


async def test_the_functions_own_answer_is_to_be_had(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker)
    path = f"/async-function/{job_id}/result"
    early = await suite.http.get(path)
    assert (early.status_code, early.headers["x-springtide-job-state"], early.content) == (202, "queued", b"")
    headers = (
        ("Content-Type", "a/b"),
        ("X-A", "\xe4"),
        ("Connection", "X-Hop"),
        ("X-Hop", "1"),
        ("Content-Length", "9"),
    )
    await worker.runs(Answer(418, headers, b"\x00\xff", truncated=True))
    answer = await suite.http.get(path + "?wait=10s")
    assert (answer.status_code, answer.content) == (418, b"\x00\xff")
    told = {name: value for name, value in answer.headers.raw if name not in (b"date", b"server", b"X-Start-Time")}
    assert told[b"content-type"] == b"a/b"
    assert told[b"x-a"] == b"\xe4"
    assert (told[b"content-length"], told[b"x-springtide-truncated"]) == (b"2", b"true")
    assert b"x-hop" not in told
    assert told[b"content-security-policy"] == b"sandbox"  # or a page would act as the operator who looks at it
    assert answer.headers["x-springtide-job-state"] == "done"


async def test_where_no_answer_came_the_result_says_why(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker)
    await worker.runs(Answer(0), JobState.FAILED, "no answer came")
    answer = await suite.http.get(f"/async-function/{job_id}/result")
    assert (answer.status_code, answer.text) == (502, "there is no answer: no answer came")
    job_id = await called(suite, worker)
    await suite.http.delete(f"/async-function/{job_id}")
    assert (await suite.http.get(f"/async-function/{job_id}/result")).status_code == 410


# Cancelling.


async def test_a_queued_call_is_cancelled(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker)
    for _ in range(2):  # again is no error
        answer = await suite.http.delete(f"/async-function/{job_id}")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    assert await worker.jobs.backlog() == {}


async def test_a_delayed_call_is_cancelled_and_a_stored_body_goes(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker, b"x" * 5000, X_Delay="1h")
    assert (await suite.http.delete(f"/async-function/{job_id}")).json()["state"] == "cancelled"
    assert (await told(suite, job_id))["reason"] == "it was cancelled before it ran"


async def test_a_call_that_is_to_be_tried_again_is_cancelled(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker)
    lease = await worker.taken()
    await worker.tells(lease, Progress(state=JobState.RETRYING, attempts=1, started_at=5.0, next_attempt_at=9e9))
    await lease.hand_back(3600.0)
    await told_as(suite, job_id, "retrying")
    answer = await suite.http.delete(f"/async-function/{job_id}")
    assert (answer.status_code, answer.json()["state"], answer.json()["attempts"]) == (202, "cancelled", 1)
    assert await worker.jobs.backlog() == {}


async def test_a_running_call_is_ended_by_its_worker(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker)
    lease, stops = await worker.taken(), worker.jobs.stops()
    heard = asyncio.ensure_future(anext(stops))
    await worker.tells(lease, Progress(state=JobState.RUNNING, attempts=1, started_at=5.0))
    await told_as(suite, job_id, "running")

    async def end() -> None:
        assert await heard == lease.job.token
        outcome = Outcome(state=JobState.CANCELLED, attempts=1, started_at=5.0, finished_at=6.0, reason="was running")
        await worker.jobs.store_outcome(lease.job, lease.id, outcome)
        await lease.settle()

    ends = asyncio.create_task(end())
    answer = await suite.http.delete(f"/async-function/{job_id}")
    await ends
    assert answer.status_code == 202
    assert (await told_as(suite, job_id, "cancelled"))["reason"] == "was running"
    await stops.aclose()


async def test_a_running_call_whose_worker_is_dead_is_not_run_again(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker)
    lease = await worker.taken()
    await worker.tells(lease, Progress(state=JobState.RUNNING, attempts=1, started_at=5.0))
    await told_as(suite, job_id, "running")
    answer = await suite.http.delete(f"/async-function/{job_id}")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    outcome = await worker.jobs.outcome(lease.job)  # what the next worker looks at before it calls
    assert outcome is not None
    assert outcome.state is JobState.CANCELLED


async def test_a_call_that_has_ended_cannot_be_cancelled(suite: Whole, worker: PlayedWorker) -> None:
    job_id = await called(suite, worker)
    await worker.runs(Answer(200))
    answer = await suite.http.delete(f"/async-function/{job_id}")
    assert (answer.status_code, answer.json()["state"]) == (409, "done")


# Who may ask, and for what.


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_call_nobody_made_is_404_and_a_functions_name_405(suite: Whole, method: str) -> None:
    answer = await suite.http.request(method, f"/async-function/{NO_ID}")
    assert (answer.status_code, NO_ID in answer.text) == (404, True)
    answer = await suite.http.request(method, "/async-function/echo")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "POST /async-function/NAME" in answer.text


async def test_other_verbs_name_the_way_to_anybody(suite: Whole) -> None:
    async with httpx.AsyncClient(base_url=suite.http.base_url) as anyone:
        for client in (suite.http, anyone):
            for method in ("PUT", "PATCH", "OPTIONS", "GET", "DELETE"):
                answer = await client.request(method, "/async-function/echo")
                assert (answer.status_code, "Prefer: respond-async" in answer.text) == (405, True)
        assert (await anyone.put(f"/async-function/{NO_ID}")).status_code == 405
        for path in (f"/async-function/{NO_ID}", "/async-function", "/system/async-function/echo"):
            assert (await anyone.get(path)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/async-function/{NO_ID}"),
        ("GET", f"/async-function/{NO_ID}/result"),
        ("DELETE", f"/async-function/{NO_ID}"),
        ("GET", "/system/queues"),
        ("GET", "/system/queues/delayed"),
        ("GET", "/system/jobs"),
        ("GET", "/system/dead-letters"),
        ("GET", f"/system/dead-letters/{NO_ID}"),
        ("DELETE", f"/system/dead-letters/{NO_ID}"),
        ("POST", f"/system/dead-letters/{NO_ID}/retry"),
    ],
)
async def test_credentials_are_needed_and_a_broker(method: str, path: str) -> None:
    async with alone() as gateway, httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}") as anyone:
        assert (await anyone.request(method, path)).status_code == 401
        answer = await anyone.request(method, path, auth=AUTH)
        assert (answer.status_code, "nats_url" in answer.text) == (501, True)


async def test_pages_of_other_sites_cancel_nothing(suite: Whole, worker: PlayedWorker) -> None:
    path, foreign = f"/async-function/{await called(suite, worker)}", {"Origin": "http://evil.example"}
    assert (await suite.http.delete(path, headers=foreign)).status_code == 403
    assert (await suite.http.get(path)).json()["state"] == "queued"


async def test_a_broker_that_is_away_is_503(tmp_path: Path) -> None:
    gone = NatsServer(tmp_path / "nats")
    async with alone(broker=gone.settings) as gateway:
        url = f"http://127.0.0.1:{gateway.port}"
        async with httpx.AsyncClient(base_url=url, auth=AUTH, timeout=60) as http:
            paths = (f"/async-function/{NO_ID}", "/system/queues")
            answers = await asyncio.gather(*map(http.get, paths))
    assert [(answer.status_code, str(gone.port) in answer.text) for answer in answers] == [(503, True)] * 2


# Queues, jobs, dead letters.


async def test_queues_are_told_with_their_depth(suite: Whole, worker: PlayedWorker) -> None:
    await called(suite, worker)
    await called(suite, worker, X_Fairness_Key="tenant")
    await called(suite, worker, X_Delay="1h")
    while not (found := await _queue(suite, worker.queue)) or found["pending"] < 2:
        pass
    assert found["functions"] == [{"function": "echo", "namespace": "openfaas-fn", "pending": 2}]
    assert (found["pending"], found["dead"], found["oldest_age_s"] >= 0) == (2, 0, True)
    assert (await suite.http.get("/system/queues")).json()["delayed"] >= 1


async def test_jobs_are_listed_by_queue_function_and_state(suite: Whole, worker: PlayedWorker) -> None:
    done = [await called(suite, worker) for _ in range(2)]
    for _ in done:
        await worker.runs(Answer(200, (), b"answer"))
    running = await called(suite, worker)
    await worker.tells(await worker.taken(), Progress(state=JobState.RUNNING, attempts=1, started_at=5.0))
    queued, delayed = await called(suite, worker), await called(suite, worker, X_Delay="1h")
    await told_as(suite, running, "running")
    assert await _ids(suite, queue=worker.queue) == [running, queued, delayed, *reversed(done)]
    assert await _ids(suite, queue=worker.queue, state="done") == list(reversed(done))
    assert await _ids(suite, queue=worker.queue, state="running,delayed") == [running, delayed]
    assert await _ids(suite, queue=worker.queue, function="other") == []
    assert await _ids(suite, queue=worker.queue, function="echo", state="queued") == [queued]
    answer = (await suite.http.get("/system/jobs", params={"queue": worker.queue, "limit": 2})).json()
    assert ([job["id"] for job in answer["jobs"]], answer["complete"]) == ([running, queued], False)
    assert running in await _ids(suite, state="running", limit="1000")


async def test_calls_that_were_put_off_are_told_by_function(suite: Whole, worker: PlayedWorker) -> None:
    first = await told(suite, await called(suite, worker, X_Delay="30m"))
    later = await told(suite, await called(suite, worker, X_Delay="40m"))
    answer = (await suite.http.get("/system/queues/delayed")).json()
    (due,) = [each["due"] for each in answer["functions"] if each["function"] == "echo"]
    assert answer["until"] is None
    assert [at for at in due if at in (first["not_before"], later["not_before"])] == due[:2]


async def test_jobs_are_looked_for_by_id_and_by_idempotency_key(suite: Whole, worker: PlayedWorker) -> None:
    first, second = [await called(suite, worker, Idempotency_Key=key) for key in ("tick 1", "tick 2")]
    await worker.runs(Answer(500, (), b"answer"))
    keys = [f"echo.openfaas-fn {key}" for key in ("tick 1", "tick 2", "tick 3")]
    by_key = (await suite.http.get("/system/jobs", params={"key": keys})).json()["jobs"]
    by_id = (await suite.http.get("/system/jobs", params={"id": [first, second, NO_ID, "no id"]})).json()["jobs"]
    assert [(job["id"], job["key"], job["state"]) for job in by_key] == [
        (first, keys[0], "done"),
        (second, keys[1], "queued"),
    ]
    assert [(job["id"], job["status"], "answer" in job) for job in by_id] == [
        (first, 500, False),
        (second, None, False),
    ]
    assert await _ids(suite, key="other.openfaas-fn tick 1") == []


async def test_dead_letters_are_listed_in_pages_shown_retried_and_purged(suite: Whole, worker: PlayedWorker) -> None:
    ids = [await called(suite, worker, body) for body in (b"one", b"two", b"x" * 5000)]
    for _ in ids:
        await worker.runs(Answer(500, (), b"broken"), JobState.FAILED, "10 attempts")
    page = await _letters(suite, queue=worker.queue, limit="2")
    assert [letter["id"] for letter in page["letters"]] == ids[:2]
    page = await _letters(suite, queue=worker.queue, limit="2", after=page["next"])
    assert ([letter["id"] for letter in page["letters"]], page["next"]) == (ids[2:], None)
    assert (await _letters(suite, queue=worker.queue, function="other"))["letters"] == []
    assert set(ids) <= {letter["id"] for letter in (await _letters(suite, limit="1000"))["letters"]}

    shown = (await suite.http.get(f"/system/dead-letters/{ids[0]}")).json()
    assert (shown["reason"], shown["status"], shown["body"], shown["size"]) == ("10 attempts", 500, "one", 3)
    assert shown["answer"]["body"] == "broken"

    assert (await suite.http.post(f"/system/dead-letters/{ids[0]}/retry")).status_code == 202
    assert (await told(suite, ids[0]))["state"] == "queued"
    for job_id in ids[1:]:
        assert (await suite.http.delete(f"/system/dead-letters/{job_id}")).status_code == 204
        assert (await suite.http.delete(f"/system/dead-letters/{job_id}")).status_code == 404
    assert (await _letters(suite, queue=worker.queue))["letters"] == []


@pytest.mark.parametrize(
    "query",
    [
        f"id=x{'&id=x' * 100}",
        "key=echo",
        "key=echo%20k",
        "limit=0",
        "limit=1001",
        "limit=x",
        "queue=No%20Queue",
        "state=none",
        "after=x",
        "after=mail:-1",
    ],
)
async def test_what_cannot_be_asked_is_named(suite: Whole, query: str) -> None:
    path = "/system/dead-letters" if query.startswith("after") else "/system/jobs"
    answer = await suite.http.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert answer.text.startswith(query.partition("=")[0])


async def _queue(suite: Whole, name: str) -> dict[str, Any] | None:
    found = (await suite.http.get("/system/queues")).json()["queues"]
    return next((queue for queue in found if queue["name"] == name), None)


async def _ids(suite: Whole, **query: str) -> Sequence[str]:
    answer = await suite.http.get("/system/jobs", params=query)
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


async def _letters(suite: Whole, **query: str) -> dict[str, Any]:
    answer = await suite.http.get("/system/dead-letters", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
