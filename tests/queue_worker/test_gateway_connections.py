"""Connections to a gateway: how many there are, and that one that broke is not used again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from springtide.queue_worker.gateway_calls import GatewayCalls
from springtide.runtime.clock import SystemClock
from springtide.wire.gateway_connections import GatewayConnections
from springtide.wire.jobs.job import Answer, Job
from springtide.wire.jobs.ports import Lease
from tests.fakes.jobs import MemoryBroker, MemoryJobSource, MemoryJobStore
from tests.queue_worker.values import QUEUE, a_job

OK = b"HTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Length: 5\r\n\r\nhello"


class Gateway:
    """Answers each request with what is to come next; no bytes: it closes the connection."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if not answer:
                    return
                writer.write(answer)
                if not answer.endswith(b"hello"):
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@pytest.fixture
@asynccontextmanager
async def served() -> AsyncIterator[tuple[Gateway, GatewayCalls]]:
    gateway = Gateway()
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connections = GatewayConnections(httpx.URL(f"http://127.0.0.1:{port}"))
    yield gateway, GatewayCalls(connections, max_result=4, timeout_s=20.0)
    await connections.aclose()
    server.close()


async def lease_of(job: Job, body: bytes = b"body") -> Lease:
    broker = MemoryBroker(SystemClock())
    await MemoryJobStore(broker).submit(job, body)
    (lease,) = await MemoryJobSource(broker, QUEUE, ack_wait_s=30.0).take(job.lane, 1, 0.0)
    return lease


async def test_one_connection_carries_one_call_after_the_other(served: tuple[Gateway, GatewayCalls]) -> None:
    gateway, calls = served
    gateway.answers = [OK] * 3
    for _ in range(3):
        assert (await calls.call(await lease_of(a_job()))).status == 200
    assert gateway.connections == 1


async def test_calls_at_once_have_a_connection_each(served: tuple[Gateway, GatewayCalls]) -> None:
    gateway, calls = served
    gateway.answers = [OK] * 5
    leases = [await lease_of(a_job()) for _ in range(5)]
    answers = await asyncio.gather(*map(calls.call, leases))
    assert [answer.status for answer in answers] == [200] * 5
    assert gateway.connections == 5


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"nonsense\r\n\r\n"])
async def test_a_call_that_breaks_off_has_no_answer(said: bytes, served: tuple[Gateway, GatewayCalls]) -> None:
    gateway, calls = served
    gateway.answers = [said]
    assert await calls.call(await lease_of(a_job())) == Answer(0)
    gateway.answers = [OK]
    assert (await calls.call(await lease_of(a_job()))).status == 200
