"""What a gateway sees of a job's call, through a real connection, and what a worker makes of its answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from springtide.queue_worker.gateway_calls import GatewayCalls
from springtide.queue_worker.gateway_connections import GatewayConnections
from springtide.runtime.clock import SystemClock
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
        self.silent, self.left = asyncio.Event(), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                if not self.answers:
                    self.silent.set()
                    await reader.read()
                    self.left.set()
                    return
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


async def test_a_function_sees_what_its_caller_sent_and_who_the_call_is(served: tuple[Gateway, GatewayCalls]) -> None:
    gateway, calls = served
    gateway.answers = [OK]
    lease = await lease_of(a_job(headers=(("X-Latin", "\xe4"), ("Content-Type", "text/x"))))
    assert await calls.call(lease) == Answer(200, (("X-Own", "1"), ("Content-Length", "5")), b"hell", truncated=True)
    head, _, body = gateway.requests[0].partition(b"\r\n\r\n")
    first, host, *others = head.split(b"\r\n")
    assert first == b"POST /function/echo.openfaas-fn/rest?a=b HTTP/1.1"
    assert host.startswith(b"Host: 127.0.0.1:")
    assert others == [
        b"X-Latin: \xe4",
        b"Content-Type: text/x",
        b"X-Call-Id: " + lease.id.encode(),
        b"X-Springtide-Job-Id: " + lease.id.encode(),
        b"Content-Length: 4",
    ]
    assert body == b"body"


async def test_a_callers_own_call_id_is_kept(served: tuple[Gateway, GatewayCalls]) -> None:
    gateway, calls = served
    gateway.answers = [OK]
    await calls.call(await lease_of(a_job(headers=(("x-call-id", "theirs"),))))
    assert gateway.requests[0].lower().count(b"x-call-id: ") == 1


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


async def test_a_gateway_that_is_away_has_no_answer() -> None:
    connections = GatewayConnections(httpx.URL("http://127.0.0.1:1"))
    assert await GatewayCalls(connections, max_result=4, timeout_s=20.0).call(await lease_of(a_job())) == Answer(0)


async def test_a_call_that_is_cancelled_closes_its_connection(served: tuple[Gateway, GatewayCalls]) -> None:
    gateway, calls = served
    call = asyncio.create_task(calls.call(await lease_of(a_job())))
    await gateway.silent.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gateway.left.wait()
