from __future__ import annotations

import asyncio

import httpx
import pytest
from prometheus_client import CollectorRegistry

from springtide.provider.api import Version, application
from springtide.provider.api.request_values import NamespaceRule
from springtide.provider.memory import MemoryProvider
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.clock import SystemClock
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from springtide.wire.decision_log import DecisionLog
from springtide.wire.endpoint_stream import Changed, Heartbeat, Removed, Snapshot, decode
from tests.provider.api.served import DEADLINE_S, Served

ECHO = FunctionRef(DEFAULT_NAMESPACE, "echo")
WATCH = "/system/endpoints?watch=true"


def watchers(served: Served) -> str:
    return repr(served.memory._feed)


async def test_without_watch_one_snapshot_is_all(served: Served) -> None:
    await served.deploy()

    answer = await served.http.get("/system/endpoints")

    assert answer.headers["content-type"] == "application/x-ndjson"
    (line,) = answer.text.splitlines()
    snapshot = decode(line)
    assert isinstance(snapshot, Snapshot)
    assert [(function.ref, function.replicas) for function in snapshot.functions] == [(ECHO, 1)]
    # The one of the invoke proxy; the request's own is closed.
    assert "1 watchers" in watchers(served)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("watch=perhaps", "watch: 'perhaps' is neither yes nor no; write true or false"),
        ("wacht=true", "wacht: there is no such parameter; there are watch"),
    ],
)
async def test_query_that_makes_no_sense_is_refused(served: Served, query: str, told: str) -> None:
    answer = await served.http.get(f"/system/endpoints?{query}")

    assert (answer.status_code, answer.text) == (400, told)


async def test_watcher_is_told_of_each_change_at_once(served: Served) -> None:
    async with served.http.stream("GET", WATCH) as answer:
        lines = answer.aiter_lines()
        events = [decode(await anext(lines))]
        await served.deploy()
        events.append(decode(await anext(lines)))
        await served.http.post("/system/scale-function/echo", json={"replicas": 0})
        events.append(decode(await anext(lines)))
        await served.http.request("DELETE", "/system/functions", json={"functionName": "echo"})
        events.append(decode(await anext(lines)))

    assert events[0] == Snapshot(())
    assert [event.function.replicas for event in events if isinstance(event, Changed)] == [1, 0]
    assert events[3] == Removed(ECHO)


async def test_idle_watcher_gets_heartbeats() -> None:
    parts = application.Parts(
        provider=MemoryProvider(),
        decisions=DecisionLog(),
        clock=SystemClock(),
        registry=CollectorRegistry(),
        version=Version("1"),
        stopping=asyncio.Event(),
        heartbeat_s=0.01,
        namespaces=NamespaceRule(DEFAULT_NAMESPACE),
    )
    server = AsgiServer(application.application(parts, credentials=None, body_deadline_s=5), name="heartbeats")
    await server.start()
    url = f"http://127.0.0.1:{server.port}{WATCH}"
    async with (
        asyncio.timeout(DEADLINE_S),
        httpx.AsyncClient(trust_env=False) as http,
        http.stream("GET", url) as answer,
    ):
        lines = answer.aiter_lines()
        events = [decode(await anext(lines)) for _ in range(3)]
    parts.stopping.set()
    await server.stop()

    assert events == [Snapshot(()), Heartbeat(), Heartbeat()]


async def test_watcher_who_leaves_is_forgotten(served: Served) -> None:
    async with served.http.stream("GET", WATCH) as answer:
        told = answer.aiter_lines()  # kept: without it the answer is closed
        await anext(told)
        assert "2 watchers" in watchers(served)

    while "1 watchers" not in watchers(served):  # noqa: ASYNC110 - the server learns of it by itself
        await asyncio.sleep(0.005)


async def test_stream_ends_in_good_order_when_the_service_stops(served: Served) -> None:
    async with served.http.stream("GET", WATCH) as answer:
        lines = answer.aiter_lines()
        await anext(lines)

        await served.api.stop()

        assert [line async for line in lines] == []


async def test_stopped_service_is_stopped_twice_and_leaves_the_provider_alone(served: Served) -> None:
    await served.deploy()

    await served.api.stop()
    await served.api.stop()

    assert (await served.memory.read(ECHO)).scale.ready == 1
    try:
        await served.http.get("/healthz")
    except httpx.ConnectError:
        return
    raise AssertionError("still listening")
