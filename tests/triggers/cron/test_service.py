"""The cron part over HTTP: schedules for people, behind credentials, and calls as a gateway gets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import NotFound, SpringtideError, Unavailable, Unsupported
from springtide.scaler.core.ports import Leadership
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.cron.gateway import HttpTickGateway, TickCall
from springtide.triggers.cron.service import CronDeps, build
from springtide.triggers.cron.settings import CronSettings
from springtide.wire.endpoint_stream import FunctionEndpoints, Snapshot
from springtide.wire.gateway_connections import GatewayConnections
from springtide.wire.jobs.job import JobState
from springtide.wire.leadership import Always
from springtide.wire.schedules.annotations import TickOptions
from tests.fakes.ticks import MemoryCronStore, MemoryTickGateway

CREDENTIALS = Credentials("admin", "secret")
YEARLY, WRONG = "0 0 1 1 *", "61 * * * *"


TWO = {"a": {"schedule": f"{YEARLY}; {WRONG}"}, "bad": {"schedule": WRONG}}
"""Annotations of functions."""


@dataclass
class Provider:
    functions: Mapping[str, Mapping[str, str]]

    async def watch_endpoints(self) -> AsyncIterator[Snapshot]:
        """Them, for ever."""
        yield Snapshot(
            tuple(
                FunctionEndpoints(
                    FunctionRef("openfaas-fn", name), 1, "1", annotations={"topic": "cron-function", **annotations}
                )
                for name, annotations in self.functions.items()
            )
        )
        await asyncio.Event().wait()


class Standby(Always):
    def hold(self) -> int | None:
        return None

    async def change(self, known: int | None) -> int | None:
        return await super().change(0 if known is None else None)


@asynccontextmanager
async def part(
    leadership: Leadership,
    functions: Mapping[str, Mapping[str, str]] = TWO,
    *,
    store: MemoryCronStore | None = None,
) -> AsyncIterator[tuple[httpx.AsyncClient, MemoryTickGateway]]:
    clock = SystemClock()
    gateway = MemoryTickGateway(clock)
    deps = CronDeps(
        endpoints=Provider(functions),  # type: ignore[arg-type] # an iterator is enough
        gateway=gateway,
        store=store or MemoryCronStore(),
        clock=clock,
        registry=CollectorRegistry(),
        credentials=CREDENTIALS,
        leadership=leadership,
    )
    cron = build(CronSettings(port=0), deps)
    await cron.start()
    auth = (CREDENTIALS.user, CREDENTIALS.password)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{cron.port}", auth=auth) as http:
        yield http, gateway
    await cron.stop()


async def listed(http: httpx.AsyncClient, **query: str) -> httpx.Response:
    """Once they are known; each look is a request, which lets the part go on."""
    while True:
        answer = await http.get("/system/schedules", params=query)
        if answer.status_code == 200 and answer.json()["schedules"]:
            return answer
        await asyncio.sleep(0)


async def test_schedules_are_listed_with_what_is_wrong() -> None:
    async with part(Always()) as (http, _):
        told = (await listed(http, next="2")).json()

    (one,) = told["schedules"]
    assert (one["function"], one["schedule"], one["paused"], one["waiting"]) == ("a", YEARLY, False, 0)
    assert [text[4:] for text in one["next"]] == ["-01-01T00:00:00.000Z"] * 2
    assert [(problem["function"], WRONG in problem["problem"]) for problem in told["problems"]] == [
        ("a", True),
        ("bad", True),
    ]


async def test_function_is_paused_and_resumed_and_run() -> None:
    async with part(Always()) as (http, gateway):
        await listed(http)
        paused = await http.post("/system/schedules/a/pause")
        (shown,) = (await listed(http)).json()["schedules"]
        await http.post("/system/schedules/a/resume", params={"namespace": "openfaas-fn"})
        (again,) = (await listed(http)).json()["schedules"]
        run = await http.post("/system/schedules/a/run", params={"schedule": YEARLY})
        (ran,) = (await listed(http)).json()["schedules"]

    assert (paused.status_code, shown["paused"], shown["next"]) == (200, True, [])
    assert (again["paused"], len(again["next"])) == (False, 1)
    assert (run.status_code, run.json()["job"]) == (202, "job-0")
    assert [(one["outcome"], one["job"], one["note"]) for one in ran["runs"]] == [("queued", "job-0", "by hand")]
    assert [call.key for call, _, _ in gateway.kept] == [""]


async def test_person_calls_at_once_where_the_function_wants_no_queue() -> None:
    sync = {"schedule": YEARLY, "com.springtide.trigger.delivery": "sync"}
    async with part(Always(), {"a": sync}) as (http, gateway):
        await listed(http)
        run = await http.post("/system/schedules/a/run")
        (ran,) = (await listed(http)).json()["schedules"]

    assert (run.json(), gateway.kept, len(gateway.made)) == ({"status": 200, "answer": "done", "job": ""}, [], 1)
    assert [(one["outcome"], one["note"]) for one in ran["runs"]] == [("called", "by hand")]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("nobody/pause", 404),
        ("bad/pause", 400),
        ("a/stop", 404),
        ("a/run?schedule=@daily", 404),
    ],
)
async def test_what_cannot_be_done_is_told(path: str, status: int) -> None:
    async with part(Always()) as (http, _):
        await listed(http)
        answer = await http.post(f"/system/schedules/{path}")

    assert answer.status_code == status
    assert answer.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("next", value) for value in ("0", "101", "many", "-1")),
        *(("limit", value) for value in ("0", "1001", "")),
        ("offset", "1000001"),
        ("state", "tired"),
        ("order", "random"),
        ("search", "x" * 201),
    ],
)
async def test_what_is_asked_for_is_bounded_and_named_where_it_is_wrong(name: str, value: str) -> None:
    async with part(Always()) as (http, _):
        await listed(http)
        answer = await http.get("/system/schedules", params={name: value})

    assert (answer.status_code, answer.text[: len(name)]) == (400, name)


async def test_part_of_a_long_list_is_asked_for() -> None:
    names = [f"report-{number:02}" for number in range(30)]
    daily = {"schedule": "@daily; 0 12 1 1 *"}
    async with part(Always(), dict.fromkeys(names, daily)) as (http, _):
        await listed(http)
        await http.post("/system/schedules/report-07/pause")
        page = (await listed(http, offset="58", limit="5")).json()
        found = (await listed(http, search="Report-1", limit="5")).json()
        paused = (await listed(http, state="paused")).json()
        running = (await listed(http, state="running", limit="1")).json()
        failing = (await http.get("/system/schedules", params={"state": "failing"})).json()
        soonest = (await listed(http, order="next", limit="60")).json()

    assert [one["function"] for one in page["schedules"]] == ["report-29"] * 2
    assert page["total"] == 60
    assert page["counts"] == {"schedules": 60, "paused": 2, "failing": 0, "problems": 0}
    assert (len(found["schedules"]), found["total"]) == (5, 20)
    assert {one["function"] for one in paused["schedules"]} == {"report-07"}
    assert (running["total"], failing["schedules"]) == (58, [])
    due = [one["next"][0] for one in soonest["schedules"] if one["next"]]
    assert due == sorted(due)
    assert len(due) == 58, "those that are paused come last"
    assert [one["function"] for one in soonest["schedules"][58:]] == ["report-07"] * 2


async def test_copy_that_does_not_lead_says_so() -> None:
    async with part(Standby()) as (http, _):
        assert (await http.get("/system/schedules")).status_code == 503


async def test_nobody_asks_without_credentials() -> None:
    async with part(Always()) as (http, _):
        answers = [
            await http.request(method, path, auth=("admin", "wrong"))
            for method, path in (("GET", "/system/schedules"), ("POST", "/system/schedules/a/run"))
        ]
        metrics = await http.get("/metrics", auth=None)

    assert [answer.status_code for answer in answers] == [401, 401]
    assert "springtide_schedules 1.0" in metrics.text


@dataclass
class Asked:
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.requests.append((request.method, path, dict(request.headers), await request.body()))
        if request.method == "GET":
            return JSONResponse({"state": "running"}) if "known" in path else PlainTextResponse("none", 404)
        return Response(status_code=202, headers={"X-Call-Id": "job-7"})


@asynccontextmanager
async def gateway(asked: Asked) -> AsyncIterator[HttpTickGateway]:
    app = Starlette(routes=[Route("/{path:path}", asked.answer, methods=["GET", "POST", "PUT", "DELETE"])])
    async with at(app) as http:
        yield http


@asynccontextmanager
async def at(app: Starlette) -> AsyncIterator[HttpTickGateway]:
    server = AsgiServer(app, name="gateway", host="127.0.0.1", port=0)
    await server.start()
    connections = GatewayConnections(httpx.URL(f"http://127.0.0.1:{server.port}"))
    yield HttpTickGateway(connections, credentials=CREDENTIALS, content_type="text/plain", timeout_s=60)
    await connections.aclose()
    await server.stop()


def call(**options: str) -> TickCall:
    return TickCall(
        function=FunctionRef("openfaas-fn", "a"),
        schedule=YEARLY,
        at=1_767_225_600.0,
        options=TickOptions(**options),  # type: ignore[arg-type] # texts only
        key="cron 2026-01-01T00:00:00.000Z x",
    )


async def test_headers_of_a_tick() -> None:
    asked = Asked()
    async with gateway(asked) as http:
        answer = await http.keep(call(body="hello", path="/report?day=1"))

    ((method, path, headers, body),) = asked.requests
    assert (answer.status, answer.job) == (202, "job-7")
    assert (method, path, body) == ("POST", "/async-function/a.openfaas-fn/report?day=1", b"hello")
    for name in ("host", "connection"):
        headers.pop(name, None)
    assert headers == {
        "content-type": "text/plain",
        "x-topic": "cron-function",
        "x-connector": "cron-connector",
        "user-agent": "springtide/cron-connector",
        "x-springtide-scheduled": "2026-01-01T00:00:00.000Z",
        "idempotency-key": "cron 2026-01-01T00:00:00.000Z x",
        "content-length": "5",
        "ce-specversion": "1.0",
        "ce-id": "a.openfaas-fn%200%200%201%201%20*%202026-01-01T00:00:00.000Z",
        "ce-source": "/springtide/cron",
        "ce-type": "com.springtide.schedule.tick",
        "ce-subject": "0%200%201%201%20*",
        "ce-time": "2026-01-01T00:00:00.000Z",
    }


async def test_another_method_is_asked_for_at_the_function_itself() -> None:
    asked = Asked()
    async with gateway(asked) as http:
        await http.keep(call(method="PUT"))
        await http.make(call())

    (first, second) = asked.requests
    assert (first[:2], first[2]["prefer"]) == (("PUT", "/function/a.openfaas-fn"), "respond-async")
    assert second[:2] == ("POST", "/function/a.openfaas-fn")
    assert "authorization" not in first[2] | second[2], "functions are shown no credentials"


async def test_state_of_a_call_is_asked_with_credentials() -> None:
    asked = Asked()
    async with gateway(asked) as http:
        states = [await http.state("known"), await http.state("forgotten")]
        await http.cancel("known")

    assert states == [JobState.RUNNING, None]
    assert [headers.get("authorization") for _, _, headers, _ in asked.requests] == [CREDENTIALS.header] * 3


KNOWN = {"id": "job-7", "key": "a.b cron k&y", "state": "failed", "status": None, "reason": "10 attempts"} | {
    "accepted_at": "2026-01-01T00:00:01.500Z"
}


@pytest.mark.parametrize(
    ("status", "answer", "found"),
    [
        pytest.param(200, {"jobs": [KNOWN]}, 1_767_225_601.5, id="known"),
        pytest.param(200, {"jobs": []}, None, id="forgotten"),
        pytest.param(200, {"jobs": [{"id": "job-7"}]}, Unavailable, id="no sense"),
        pytest.param(501, {}, Unsupported, id="no queue"),
        pytest.param(404, {}, NotFound, id="another gateway"),
        pytest.param(500, {}, Unavailable, id="trouble"),
    ],
)
async def test_calls_are_looked_for_by_id_and_by_key(
    status: int, answer: object, found: float | type[SpringtideError] | None
) -> None:
    asked: list[str] = []

    async def told(request: Request) -> Response:
        asked.append(f"{request.url.query} {request.headers['authorization'] == CREDENTIALS.header}")
        return JSONResponse(answer, status)

    app = Starlette(routes=[Route("/system/jobs", told)])
    async with at(app) as http:
        by_key = replace(call(), function=FunctionRef("b", "a"), key="cron k&y")
        for look, name in ((http.jobs(["job-7"]), "job-7"), (http.jobs_of([by_key]), "a.b cron k&y")):
            if isinstance(found, type):
                with pytest.raises(found):
                    await look
                continue
            jobs = await look
            assert [job.accepted_at for job in jobs.values()] == ([found] if found else [])
            assert [(job.state, job.status, job.reason) for job in jobs.values()] == (
                [(JobState.FAILED, 0, "10 attempts")] if found else []
            )
            assert list(jobs) == ([name] if found else [])

    assert asked == ["id=job-7 True", "key=a.b%20cron%20k%26y True"]


async def test_gateway_that_is_away_did_certainly_not_call() -> None:
    connections = GatewayConnections(httpx.URL("http://127.0.0.1:9"))
    http = HttpTickGateway(connections, credentials=None, content_type="text/plain", timeout_s=5)

    answer = await http.make(call())

    assert (answer.status, answer.unmade) == (0, True)


async def test_a_leader_that_cannot_know_says_why_in_the_place_of_a_copy_on_standby() -> None:
    """Not 503, after which the next copy would be asked, which knows nothing of it."""
    store = MemoryCronStore(away=True)
    async with part(Always(), store=store) as (http, _), part(Standby(), store=store) as (standby, _):
        while True:
            answer = await http.get("/system/schedules")
            if answer.status_code != 503:
                break
        other = await standby.get("/system/schedules")
        store.away = False
        known = await listed(http)

    assert (answer.status_code, other.status_code, known.status_code) == (502, 503, 200)
    assert answer.text == "no tick is sent: what is kept of schedules cannot be read: the store is away"
