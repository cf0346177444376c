"""What the watchdog does the same in every mode."""

from __future__ import annotations

import asyncio
from typing import Any

from springtide.scaler.core.vocabulary import FunctionRef
from tests.provider.process.conftest import Shared
from tests.provider.process.world import World, url

WAITS = """
import asyncio
go = asyncio.Event()
async def handle(event, context):
    if event.path == "/go":
        go.set()
    else:
        await go.wait()
    return context.hostname
"""


async def waiting(world: World, name: str, env: dict[str, str] | None = None) -> tuple[str, asyncio.Task[Any]]:
    """A function with one call in flight, which ends when ``/go`` is called."""
    address = await world.up(name, env=env, annotations=world.handler(WAITS, name))
    call = asyncio.create_task(world.http.get(address + "/wait"))
    await world.answer_when(address + "/_/ready", lambda answer: answer.json()["inflight"] == 1)
    return address, call


async def test_health_and_readiness(shared: Shared) -> None:
    world = shared.world
    address = await world.up("healthy", "cat", {"max_inflight": "3"})
    answers = [await world.http.get(address + path) for path in ("/_/health", "/_/ready")]
    health, ready = [(answer.status_code, answer.text) for answer in answers]

    assert health == (200, "OK")
    assert ready == (200, '{"inflight": 0, "max_inflight": 3}')


async def test_call_beyond_max_inflight_is_refused_and_said_in_readiness(shared: Shared) -> None:
    world = shared.world
    address, call = await waiting(world, "full", {"max_inflight": "2"})
    other = asyncio.create_task(world.http.get(address + "/wait"))
    await world.answer_when(address + "/_/ready", lambda answer: answer.json()["inflight"] == 2)
    refused = await world.http.get(address)
    readiness = await world.http.get(address + "/_/ready")
    other.cancel()
    call.cancel()
    health = await world.http.get(address + "/_/health")

    assert (refused.status_code, refused.headers["x-openfaas-internal"]) == (429, "faas-middleware")
    assert (readiness.status_code, health.status_code) == (429, 200)


async def test_endpoints_carry_the_limit(shared: Shared) -> None:
    world = shared.world
    await world.up("limited", "cat", {"max_inflight": "7"})
    assert world.table[FunctionRef("openfaas-fn", "limited")].endpoints[0].max_inflight == 7


async def test_metrics_count_by_status_and_lower_case_method(shared: Shared) -> None:
    world = shared.world
    address = await world.up("measured", "cat")
    await world.http.post(address)
    await world.http.get(address)
    await world.http.get(address)
    text = (await world.http.get(address + "/_/metrics")).text

    assert 'http_requests_total{code="200",method="post"} 1.0' in text
    assert 'http_requests_total{code="200",method="get"} 2.0' in text
    assert 'http_request_duration_seconds_count{code="200",method="get"} 2.0' in text
    assert "http_requests_in_flight 0.0" in text


async def test_replica_that_drains_answers_what_is_in_flight_and_what_comes_late_and_closes(world: Any) -> None:
    async with world(linger_s=1.0) as here:
        address, call = await waiting(here, "drains")
        ref = FunctionRef("openfaas-fn", "drains")
        await here.scale(ref, 0)
        await here.until(ref, lambda seen: not seen.endpoints)
        await here.answer_when(address + "/_/health", lambda answer: answer.status_code == 503)
        ready = await here.http.get(address + "/_/ready")
        late = await here.http.get(address + "/go")
        first = await call

        assert ready.status_code == 503
        assert (late.status_code, first.status_code) == (200, 200)
        assert late.headers["connection"] == first.headers["connection"] == "close"


async def test_pipelined_and_reused_connections(shared: Shared) -> None:
    world = shared.world
    address = await world.up("pipelined", "cat")
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
    writer.write(request + b"1" + request + b"2")
    bodies = b""
    for _ in range(2):
        await reader.readuntil(b"\r\n\r\n")
        bodies += await reader.readexactly(1)
    writer.close()
    assert bodies == b"12"


async def test_caller_who_stops_reading_does_not_hold_a_place_for_ever(shared: Shared) -> None:
    world = shared.world
    source = "def handle(event, context): return {'body': iter([b'x' * 1_000_000] * 100)}"
    address = await world.up("stalled", env={"write_timeout": "100ms"}, annotations=world.handler(source, "stalled"))
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    reader._transport.pause_reading()  # type: ignore[attr-defined]  # nothing is read from the socket
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await world.log_says(FunctionRef("openfaas-fn", "stalled"), "gave up")
    assert (await world.http.get(address + "/_/ready")).json()["inflight"] == 0
    writer.close()


async def test_url_of_an_endpoint_is_on_the_loopback(shared: Shared) -> None:
    world = shared.world
    await world.up("local", "cat")
    assert url(world.table[FunctionRef("openfaas-fn", "local")]).startswith("http://127.0.0.1:")
