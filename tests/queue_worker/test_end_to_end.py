"""A real gateway, a real NATS server, a worker and a replica: what is posted reaches the function byte for byte."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry

from springtide.queue_worker.callback_http import HttpTeller, checked_transport
from springtide.queue_worker.gateway_calls import GatewayCalls
from springtide.queue_worker.service import QueueWorkerDeps, Work
from springtide.queue_worker.settings import QueueWorkerSettings
from springtide.runtime.clock import SystemClock
from springtide.wire.endpoint_stream import Event, FunctionEndpoints, Snapshot
from springtide.wire.gateway_connections import GatewayConnections
from springtide.wire.jobs.callback_address import CallbackRules
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.hearing import NatsCopyChannel
from springtide.wire.jobs.nats.source import NatsJobSource
from tests.gateway.harness import Conversation, answering, data_plane, post, ref, replica, response
from tests.nats_server import running
from tests.queue_worker.world import Unseen

LARGE = bytes(range(256)) * 4000


class OneReplica:
    async def watch_endpoints(self) -> AsyncGenerator[Event]:
        yield Snapshot((FunctionEndpoints(ref("echo"), 1, "1"),))
        await asyncio.Event().wait()


async def test_what_is_posted_reaches_the_function_and_its_answer_the_caller(tmp_path: Path) -> None:
    async def function(conversation: Conversation) -> None:
        while True:
            request = await conversation.request()
            await conversation.send(response(request.body[:5], status="201 Created", headers="X-Own: yes\r\n"))

    rules = CallbackRules()
    with running(tmp_path / "nats") as server:
        async with (
            replica(function) as echo,
            replica(answering(response())) as caller,
            data_plane(broker=server.settings, max_async_inline=1000, max_async_body=2_000_000) as gateway,
            checked_transport(rules) as transport,
        ):
            gateway.publish("echo", [echo])
            broker = Broker(server.settings, name="worker")
            connections = GatewayConnections(httpx.URL(f"http://127.0.0.1:{gateway.port}"))
            work = Work(
                QueueWorkerSettings(),
                QueueWorkerDeps(
                    source=NatsJobSource(broker, "faas-request", ack_wait_s=30.0),
                    copies=NatsCopyChannel(broker.connection, "faas-request"),
                    broker=Unseen(),
                    endpoints=OneReplica(),
                    caller=GatewayCalls(connections, max_result=1000, timeout_s=60.0),
                    teller=HttpTeller(transport, rules, secret=b""),
                    clock=SystemClock(),
                    chance=random.random,
                    registry=CollectorRegistry(),
                    version="1",
                ),
            )
            tasks = [asyncio.create_task(one) for one in (work.follow(), work.run())]
            async with gateway.connect() as client:
                for body in (b"\x00\xffsmall", LARGE):
                    to = f"X-Callback-Url: http://127.0.0.1:{caller.port}/told\r\nX-Mine: a\r\n"
                    await client.send(post(body, "/async-function/echo/a%20b?x=%2F", to))
                    accepted = await client.answer("POST")
                    assert accepted.status == 202
                    await caller.heads.acquire()
                    await gateway.until(lambda: bool(caller.received[-1].body))
                    assert echo.received[-1].body == body
                    assert echo.received[-1].line == b"POST /a%20b?x=%2F HTTP/1.1"
                    assert echo.received[-1].values("X-Mine") == ["a"]
                    told = caller.received[-1]
                    assert (told.body, told.values("X-Own")) == (body[:5], ["yes"])
                    assert told.values("X-Call-Id") == [accepted["X-Call-Id"]]
                    assert told.values("X-Function-Status") == ["201"]
            await work.dispatch.drain(30.0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await connections.aclose()
            await broker.aclose()
