"""Long calls from end to end: real functions of a real provider behind a real data plane, which is told of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed
from tests.gateway.harness import ServedPlane, data_plane, until
from tests.provider.process.conftest import Shared
from tests.provider.process.world import World

SLEEPS = "sh -c 'sleep 0.7; echo done'"
STREAMS = """
import time
def handle(event, context):
    def events():
        while True:
            yield b"data: x\\n\\n"
            time.sleep(0.05)
    return {"statusCode": 200, "body": events(), "headers": {"Content-Type": "text/event-stream"}}
"""
STALLS = """
import threading
def handle(event, context):
    def events():
        yield b"data: x\\n\\n"
        threading.Event().wait(30)
    return {"statusCode": 200, "body": events()}
"""


def ref(name: str) -> FunctionRef:
    return FunctionRef("openfaas-fn", name)


@contextlib.asynccontextmanager
async def in_front_of(world: World, *names: str, **settings: Any) -> AsyncIterator[ServedPlane]:
    async with data_plane(**settings) as gateway:
        for name in names:
            gateway.plane.table.apply(Changed(world.table[ref(name)]))
        yield gateway


async def test_function_that_says_how_long_it_may_take_is_waited_for(shared: Shared) -> None:
    world = shared.world
    await world.up("long", SLEEPS, {"exec_timeout": "10m", "read_timeout": "10m", "write_timeout": "10m"})
    async with in_front_of(world, "long", upstream_timeout_s=0.2) as gateway, gateway.connect() as caller:
        answer = await caller.get("/function/long")

    assert (answer.status, answer.body) == (200, b"done\n")


async def test_function_that_says_nothing_is_ended_by_the_gateway_which_says_so_and_blames_nobody(
    shared: Shared,
) -> None:
    world = shared.world
    await world.up("unsaid", "sleep 30")
    async with in_front_of(world, "unsaid", upstream_timeout_s=0.2) as gateway, gateway.connect() as caller:
        answer = await caller.get("/function/unsaid")
        told = await world.log_says(ref("unsaid"), "Killed process")

    assert answer.status == 504
    assert b"did not answer within upstream_timeout (0.2 s) of the gateway; set upstream_timeout, or" in answer.body
    assert "by the caller or by a time-out of the gateway" in told


async def test_functions_own_watchdog_ends_a_call_before_the_gateway_does(shared: Shared) -> None:
    world = shared.world
    await world.up("limited", "sleep 30", {"exec_timeout": "200ms"})
    async with in_front_of(world, "limited", upstream_timeout_s=30.0) as gateway, gateway.connect() as caller:
        answer = await caller.get("/function/limited")

    assert answer.status == 408
    assert b"longer than exec_timeout (0.2 s) of the function" in answer.body


async def test_limit_that_an_update_changes_is_told_to_gateways(shared: Shared) -> None:
    world = shared.world
    await world.up("changed", "cat")
    assert world.table[ref("changed")].timeout is None

    await world.provider.update(world.spec("changed", "cat", {"exec_timeout": "10m"}))

    seen = await world.until(ref("changed"), lambda function: function.timeout)
    assert seen.timeout is not None
    assert (seen.timeout.seconds, seen.timeout.source) == (600, "exec_timeout")


async def test_events_that_keep_coming_outlive_every_limit(shared: Shared) -> None:
    world = shared.world
    await world.up("events", env={"exec_timeout": "1s"}, annotations=world.handler(STREAMS, "events"))
    loop = asyncio.get_running_loop()
    async with in_front_of(world, "events", upstream_timeout_s=1.0, stream_idle_s=10.0) as gateway:
        async with gateway.connect() as caller:
            began = loop.time()
            await caller.send(b"GET /function/events HTTP/1.1\r\nHost: x\r\n\r\n")
            while loop.time() < began + 2.5:
                await caller.reader.readuntil(b"data: x\n\n")
            assert gateway.route("events").metrics.in_flight == 1
            caller.leave()
            await until(lambda: gateway.route("events").metrics.in_flight == 0)

        assert gateway.route("events").metrics.refused == {}


async def test_events_that_stop_are_broken_off_and_counted(shared: Shared) -> None:
    world = shared.world
    await world.up("stalls", annotations=world.handler(STALLS, "stalls"))
    async with in_front_of(world, "stalls", stream_idle_s=0.3) as gateway, gateway.connect() as caller:
        await caller.send(b"GET /function/stalls HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert not (await caller.rest()).endswith(b"0\r\n\r\n")

        assert gateway.route("stalls").metrics.refused == {"stream_idle": 1}
