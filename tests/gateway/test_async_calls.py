"""Asynchronous calls through a real data plane to a real NATS server: accepted means stored, and as it was sent."""

from __future__ import annotations

import asyncio
import socket
import time
import tracemalloc
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from springtide.runtime.basic_auth import Credentials
from springtide.wire.jobs.job import Job, JobState, Lane
from springtide.wire.jobs.job_id import place_of
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.source import NatsJobSource
from springtide.wire.jobs.nats.store import NatsJobStore
from springtide.wire.jobs.settings import BrokerSettings
from tests.gateway.harness import Client, ServedPlane, data_plane, post, ref
from tests.nats_server import NatsServer

CREDENTIALS = Credentials("admin", "secret")
PATH = "/async-function/echo"


class Queue:
    """What came into one queue."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.name = name
        self.broker = broker
        self.source = NatsJobSource(broker, name, ack_wait_s=5.0)
        self.store = NatsJobStore(broker)

    @property
    def header(self) -> str:
        return f"X-Queue: {self.name}\r\n"

    async def jobs(self, tenant: str = "_") -> list[tuple[Job, bytes]]:
        lane = Lane(self.name, ref("echo"), tenant)
        leases = await self.source.take(lane, 100, 0.0)
        return [(lease.job, b"".join([piece async for piece in lease.body()])) for lease in leases]


@pytest.fixture
@asynccontextmanager
async def queue(server: NatsServer) -> AsyncIterator[Queue]:
    broker = Broker(server.settings, name="test")
    yield Queue(broker, f"q{uuid.uuid4().hex[:12]}")
    await broker.aclose()


@pytest.fixture
@asynccontextmanager
async def gateway(server: NatsServer) -> AsyncIterator[ServedPlane]:
    async with data_plane(
        broker=server.settings, credentials=CREDENTIALS, max_async_inline=1000, max_async_body=1_000_000
    ) as plane:
        plane.publish()
        yield plane


async def posted(client: Client, queue: Queue, headers: str = "", body: bytes = b"hi", path: str = PATH) -> str:
    await client.send(post(body, path, queue.header + headers))
    answer = await client.answer("POST")
    assert (answer.status, answer.body) == (202, b""), answer
    assert answer["X-Start-Time"].isdigit()
    return answer["X-Call-Id"]


async def refused(client: Client, queue: Queue, headers: str, body: bytes = b"hi") -> tuple[int, str]:
    await client.send(post(body, PATH, queue.header + headers))
    answer = await client.answer("POST")
    return answer.status, answer.body.decode()


async def test_a_call_is_stored_as_it_was_sent(gateway: ServedPlane, queue: Queue) -> None:
    headers = "Content-Type: text/x\r\nX-Latin: \xe4\r\nX-Call-Id: theirs\r\nAuthorization: Bearer ours\r\n"
    async with gateway.connect() as client:
        job_id = await posted(client, queue, headers, b"\x00\xff", PATH + "/rest%20/x?a=b&c")
    ((job, body),) = await queue.jobs()
    assert (job.method, job.path, job.query, body) == ("POST", "/rest%20/x", "a=b&c", b"\x00\xff")
    kept = dict(job.headers)
    assert kept["Content-Type"] == "text/x"
    assert kept["X-Latin"] == "\xc3\xa4"  # as bytes: the harness wrote UTF-8
    assert (kept["X-Call-Id"], kept["Authorization"]) == ("theirs", "Bearer ours")
    assert not {"host", "content-length", "x-queue"} & {name.lower() for name in kept}
    place = place_of(job_id)
    assert place is not None
    assert place.token == job.token
    assert job_id != "theirs"


async def test_credentials_of_the_system_api_are_not_stored(gateway: ServedPlane, queue: Queue) -> None:
    async with gateway.connect() as client:
        await posted(client, queue, f"authorization: {CREDENTIALS.header}\r\n")
    ((job, _),) = await queue.jobs()
    assert "authorization" not in {name.lower() for name, _ in job.headers}


async def test_each_body_is_whole_however_it_comes(gateway: ServedPlane, queue: Queue) -> None:
    large = bytes(range(256)) * 2000
    async with gateway.connect() as client:
        await posted(client, queue, body=b"")
        await posted(client, queue, body=b"x" * 1000)
        await posted(client, queue, body=large)
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{queue.header}Transfer-Encoding: chunked\r\n\r\n"
        await client.send(head.encode())
        for at in range(0, len(large), 7000):
            piece = large[at : at + 7000]
            await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await client.send(b"0\r\n\r\n")
        assert (await client.answer("POST")).status == 202
        await client.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{queue.header}Content-Length: 4\r\n\r\n".encode())
        await client.send(b"slow")
        assert (await client.answer("POST")).status == 202
    assert [body for _, body in await queue.jobs()] == [b"", b"x" * 1000, large, large, b"slow"]


async def test_a_caller_that_waits_to_be_told_to_go_on_is_told(gateway: ServedPlane, queue: Queue) -> None:
    async with gateway.connect() as client:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{queue.header}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        await client.send(head.encode())
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"hi")
        assert (await client.answer("POST")).status == 202
    assert [body for _, body in await queue.jobs()] == [b"hi"]


@pytest.mark.parametrize(
    "head", ["Content-Length: 1000001\r\n", "Transfer-Encoding: chunked\r\n"], ids=["announced", "not announced"]
)
async def test_a_body_that_is_too_large_is_refused_and_nothing_kept(
    gateway: ServedPlane, queue: Queue, head: str
) -> None:
    before = await stored_bodies(queue)
    async with gateway.connect() as client:
        await client.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{queue.header}{head}\r\n".encode())
        if "chunked" in head:
            await client.send(b"%x\r\n%b\r\n" % (1_000_001, b"x" * 1_000_001))
        answer = await client.answer("POST")
    assert answer.status == 413
    assert b"max_async_body" in answer.body
    assert await queue.jobs() == []
    while await stored_bodies(queue) > before:
        pass  # what was stored of it is removed a moment later


async def test_a_caller_that_leaves_in_the_middle_of_a_body_leaves_nothing(gateway: ServedPlane, queue: Queue) -> None:
    async with gateway.connect() as client:
        await client.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{queue.header}Content-Length: 500000\r\n\r\n".encode())
        await client.send(b"x" * 300_000)
        client.leave()
    await gateway.until(lambda: not gateway.plane.draining.open)
    assert await queue.jobs() == []


async def test_a_delayed_call_waits_for_its_time(gateway: ServedPlane, queue: Queue) -> None:
    async with gateway.connect() as client:
        job_id = await posted(client, queue, "X-Delay: 1h\r\n")
        at = datetime.fromtimestamp(time.time() + 3600, UTC)
        iso = await posted(client, queue, f"X-Not-Before: {at.isoformat()}\r\n")
        http = await posted(client, queue, f"X-Not-Before: {format_datetime(at, usegmt=True)}\r\n")
        gone = await posted(client, queue, "X-Not-Before: 2001-01-01T00:00:00Z\r\n")
    found = [await queue.store.find(one) for one in (job_id, iso, http, gone)]
    assert [status.state for status in found if status] == [JobState.DELAYED] * 3 + [JobState.QUEUED]
    assert abs(found[2].job.not_before - at.timestamp()) <= 1.0 if found[2] else False


async def test_the_queue_is_the_callers_else_the_functions_else_the_default(gateway: ServedPlane, queue: Queue) -> None:
    gateway.publish(annotations={"com.openfaas.queue": queue.name})
    async with gateway.connect() as client:
        await client.send(post(b"", PATH))
        assert (await client.answer("POST")).status == 202
        assert len(await queue.jobs()) == 1
        gateway.publish(annotations={"com.openfaas.queue": "Not A Queue"})
        await client.send(post(b"", PATH))
        answer = await client.answer("POST")
    assert answer.status == 400
    assert b"com.openfaas.queue" in answer.body


async def test_tenants_have_lanes_of_their_own(gateway: ServedPlane, queue: Queue) -> None:
    async with gateway.connect() as client:
        for key in ("a", "b", "a"):
            await posted(client, queue, f"X-Fairness-Key: {key}\r\n")
    backlog = await queue.source.backlog()
    assert sorted(backlog.values()) == [1, 2]


async def test_a_key_makes_a_second_post_the_same_job(gateway: ServedPlane, queue: Queue) -> None:
    key = f"Idempotency-Key: {uuid.uuid4()}\r\n"
    large = b"x" * 5000
    async with gateway.connect() as client:
        first = await posted(client, queue, key)
        assert await posted(client, queue, key) == first
        assert await refused(client, queue, key, b"other") == (422, _REUSED)
        more = f"Idempotency-Key: {uuid.uuid4()}\r\n"
        first = await posted(client, queue, more, large)
        assert await posted(client, queue, more, large) == first
    assert [body for _, body in await queue.jobs()] == [b"hi", large]


async def test_a_second_post_is_the_same_job_across_a_restart_of_the_gateway(server: NatsServer, queue: Queue) -> None:
    key = f"Idempotency-Key: {uuid.uuid4()}\r\n"
    ids = set()
    for _ in range(2):
        async with data_plane(broker=server.settings) as plane:
            plane.publish()
            async with plane.connect() as client:
                ids.add(await posted(client, queue, key))
    assert len(ids) == 1
    assert len(await queue.jobs()) == 1


async def test_a_preference_is_taken_and_the_method_kept(gateway: ServedPlane, queue: Queue) -> None:
    async with gateway.connect() as client:
        await client.send(
            b"PATCH /function/echo/x?y HTTP/1.1\r\nHost: x\r\nPrefer: wait=5, Respond-Async\r\n"
            + f"prefer: respond-async\r\n{queue.header}\r\n".encode()
        )
        answer = await client.answer("PATCH")
    assert (answer.status, answer["Preference-Applied"]) == (202, "respond-async")
    ((job, _),) = await queue.jobs()
    assert (job.method, job.path, job.query) == ("PATCH", "/x", "y")
    assert "prefer" not in {name.lower() for name, _ in job.headers}


async def test_a_callback_is_stored_with_the_job(gateway: ServedPlane, queue: Queue) -> None:
    async with gateway.connect() as client:
        await posted(client, queue, "X-Callback-Url: http://example.org/told?x=1\r\n")
    ((job, _),) = await queue.jobs()
    assert job.callback == "http://example.org/told?x=1"
    assert ("X-Callback-Url", job.callback) in job.headers


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("X-Callback-Url: ftp://x/", "X-Callback-Url"),
        ("X-Callback-Url: http://u:p@x/", "user or a password"),
        ("X-Callback-Url: http://[x/", "X-Callback-Url"),
        ("X-Callback-Url: http://", "X-Callback-Url"),
        ("X-Delay: soon", "X-Delay"),
        ("X-Delay: 31d", "X-Delay"),
        ("X-Delay: 1s\r\nX-Not-Before: 1", "both"),
        ("X-Not-Before: tomorrow", "X-Not-Before"),
        ("X-Queue: No", "X-Queue"),
        ("Idempotency-Key: " + "x" * 256, "Idempotency-Key"),
        ("X-Fairness-Key: " + "x" * 101, "X-Fairness-Key"),
        *(
            (f"{name}: {value}\r\n{name.lower()}: {value}", f"{name} is given 2 times")
            for name, value in (
                ("Idempotency-Key", "k"),
                ("X-Delay", "1s"),
                ("X-Not-Before", "1"),
                ("X-Fairness-Key", "me"),
                ("X-Callback-Url", "http://example.org/"),
            )
        ),
        ("X-Queue: other", "X-Queue is given 2 times"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_the_headers_name(
    gateway: ServedPlane, queue: Queue, header: str, told: str
) -> None:
    async with gateway.connect() as client:
        status, text = await refused(client, queue, header + "\r\n")
    assert status == 400
    assert told in text
    assert await queue.jobs() == []


async def test_what_names_no_function_is_answered_404(gateway: ServedPlane) -> None:
    async with gateway.connect() as client:
        await client.send(post(b"hi", "/async-function/nosuch"))
        answer = await client.answer("POST")
        assert answer.status == 404
        assert b"nosuch" in answer.body


@pytest.mark.parametrize(
    ("path", "header", "status"),
    [
        pytest.param("/async-function/nosuch", "", 404, id="no function"),
        pytest.param(PATH, "X-Delay: soon\r\n", 400, id="a header that cannot be read"),
    ],
)
async def test_the_body_of_what_is_refused_is_no_request(
    gateway: ServedPlane, path: str, header: str, status: int
) -> None:
    async with gateway.connect() as client:
        await client.send(post(b"GET /function/echo HTTP/1.1\r\nHost: x\r\n\r\n", path, header))
        answer = await client.answer("POST")
        assert (answer.status, answer["Connection"]) == (status, "close")
        assert await client.rest() == b""
    assert gateway.target.writes == []


async def test_without_a_broker_the_remedy_is_told_and_the_preference_passed_over() -> None:
    async with data_plane() as plane:
        plane.publish()
        async with plane.connect() as client:
            await client.send(post(b"hi", PATH))
            answer = await client.answer("POST")
            assert answer.status == 501
            assert b"nats_url" in answer.body


async def test_a_broker_that_is_away_is_503_and_comes_back(server: NatsServer) -> None:
    away = BrokerSettings(nats_url=("nats://127.0.0.1:1",))
    async with data_plane(broker=away) as plane:
        plane.publish()
        async with plane.connect() as client:
            await client.send(post(b"hi", PATH))
            answer = await client.answer("POST")
            assert (answer.status, answer["Retry-After"]) == (503, "1")


async def test_a_fault_of_ours_is_answered(gateway: ServedPlane, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    async def faulty() -> NatsJobStore:
        raise ZeroDivisionError

    monkeypatch.setattr(gateway.plane.stores, "open", faulty)
    async with gateway.connect() as client:
        assert (await refused(client, queue, ""))[0] == 500
        assert (await refused(client, queue, "", b"x" * 500_000))[0] == 500


async def test_connections_are_used_on_for_call_after_call(gateway: ServedPlane, queue: Queue) -> None:
    async with gateway.connect() as client:
        requests = b"".join(post(b"%d" % number, PATH, queue.header) for number in range(20))
        await client.send(requests)
        ids = [(await client.answer("POST"))["X-Call-Id"] for _ in range(20)]
    assert len(set(ids)) == 20
    assert [body for _, body in await queue.jobs()] == [b"%d" % number for number in range(20)]


async def stored_bodies(queue: Queue) -> int:
    return (await queue.broker.streams.state("OBJ_OF_BODIES")).messages


_REUSED = (
    "Idempotency-Key was used for another call of this function within the last 24 hours: another path, callback or "
    "body; take a new key\n"
)


@pytest.mark.parametrize("path", [PATH, "/function/echo"])
async def test_ten_megabytes_of_headers_are_refused_and_not_kept(gateway: ServedPlane, path: str) -> None:
    tracemalloc.start()
    try:
        answer = await asyncio.to_thread(_answer_to_headers, gateway.port, path, 10_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"\r\nConnection: close" in head
    assert body == b"the request's headers are too large\n"
    assert peak < 1_000_000


def _answer_to_headers(port: int, path: str, size: int) -> bytes:
    """All that comes until the connection is closed. In a thread, so that what is sent is in no loop's buffer."""
    line = b"X-Long: " + b"x" * 1000 + b"\r\n"
    lines, answer = line * 100, b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n".encode())
        for _ in range(size // len(lines)):
            client.sendall(lines)
        client.shutdown(socket.SHUT_WR)
        while piece := client.recv(65536):
            answer += piece
    return answer
