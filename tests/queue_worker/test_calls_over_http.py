"""Calls and callbacks over real connections: byte for byte, and nowhere else than they may go."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import socket
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx
import pytest

from springtide.queue_worker import callback_http
from springtide.queue_worker.callback_http import HttpTeller, checked_transport
from springtide.queue_worker.gateway_calls import GatewayCalls
from springtide.runtime.errors import BadInput, NotFound
from springtide.wire.gateway_connections import GatewayConnections
from springtide.wire.jobs.callback_address import USUAL_GATEWAY, CallbackRules, Pattern
from springtide.wire.jobs.job import Answer, CallbackJob, Headers, Job, StoredBody
from tests.free_ports import free_port
from tests.gateway.harness import Conversation, Handler, Replica, answering, echo, replica, response
from tests.queue_worker.values import Held, a_job


@dataclass(slots=True)
class Telling:
    callback: CallbackJob
    body: bytes = b"answer"
    attempt: int = 1

    async def extend(self) -> None: ...
    async def hand_back(self, delay_s: float) -> None: ...
    async def settle(self) -> None: ...


@asynccontextmanager
async def calls(to: Replica, *, max_result: int = 1000) -> AsyncIterator[GatewayCalls]:
    connections = GatewayConnections(httpx.URL(f"http://127.0.0.1:{to.port}"))
    yield GatewayCalls(connections, max_result=max_result, timeout_s=60.0)
    await connections.aclose()


async def called(handler: Handler, job: Job, *pieces: bytes, max_result: int = 1000) -> tuple[Answer, Replica]:
    async with replica(handler) as function, calls(function, max_result=max_result) as caller:
        return await caller.call(Held(job, list(pieces))), function


# Calls.


async def test_a_call_is_made_as_it_was_asked_for() -> None:
    job = replace(
        a_job(
            headers=(
                ("Content-Type", "a/b"),
                ("X-Latin", "\xe4\xff"),
                ("X-Two", "1"),
                ("X-Two", "2"),
                ("Cookie", "a=b"),
            )
        ),
        method="PATCH",
        path="/a%20b//../c;d",
        query="x=%2F&y&z=\xe4",
    )
    said, function = await called(echo, job, b"\x00\xff", b"rest")
    (got,) = function.received
    assert got.line == b"PATCH /function/echo.openfaas-fn/a%20b//../c;d?x=%2F&y&z=%E4 HTTP/1.1"
    assert got.body == b"\x00\xffrest"
    names = Counter(line.partition(b":")[0].lower() for line in got.head.split(b"\r\n")[1:] if line)
    theirs = ["content-type", "x-latin", "x-two", "x-two", "cookie"]
    ours = ["host", "content-length", "x-call-id", "x-springtide-job-id"]
    assert names == Counter(name.encode() for name in theirs + ours)
    assert got.values("X-Two") == ["1", "2"]
    assert b"X-Latin: \xe4\xff\r\n" in got.head
    assert (got.values("X-Call-Id"), got.values("X-Springtide-Job-Id")) == (["an-id"], ["an-id"])
    assert (said.status, said.body, said.truncated) == (200, b"\x00\xffrest", False)


async def test_the_callers_call_id_stays() -> None:
    _, function = await called(echo, a_job(headers=(("x-call-id", "theirs"),)))
    assert function.received[0].values("X-Call-Id") == ["theirs"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "POST", "HEAD", "OPTIONS"])
async def test_each_method_is_kept_with_an_empty_body(method: str) -> None:
    said, function = await called(answering(response()), replace(a_job(), method=method))
    assert function.received[0].line.startswith(method.encode() + b" ")
    assert function.received[0].values("Content-Length") == ["0"]
    assert said.status == 200


async def test_a_large_body_is_streamed_with_its_length() -> None:
    pieces = [bytes([n % 256]) * 100_000 for n in range(50)]
    job = replace(a_job(), stored_body=StoredBody("name", 5_000_000))
    digest = hashlib.sha256(b"".join(pieces)).digest()
    _, function = await called(answering(response()), job, *pieces)
    (got,) = function.received
    assert (got.values("Content-Length"), got.values("Transfer-Encoding")) == (["5000000"], [])
    assert hashlib.sha256(got.body).digest() == digest


async def test_cookies_of_one_function_do_not_come_to_the_next() -> None:
    handler = answering(response(headers="Set-Cookie: session=secret\r\n"))
    async with replica(handler) as function, calls(function) as caller:
        first = await caller.call(Held(a_job("one"), []))
        await caller.call(Held(a_job("other"), []))
    assert ("Set-Cookie", "session=secret") in first.headers
    assert [got.values("Cookie") for got in function.received] == [[], []]


async def test_an_answer_is_kept_as_it_came_up_to_a_length() -> None:
    raw = response(b"x" * 5000, status="418 I'm a teapot", headers="Content-Encoding: gzip\r\nX-A: \xe4\r\nX-A: 2\r\n")
    said, _ = await called(answering(raw), a_job())
    assert (said.status, said.body, said.truncated) == (418, b"x" * 1000, True)
    assert said.headers == (
        ("Content-Length", "5000"),
        ("Content-Encoding", "gzip"),
        ("X-A", "\xc3\xa4"),  # the harness wrote UTF-8
        ("X-A", "2"),
    )


async def test_an_answer_of_just_that_length_is_whole() -> None:
    said, _ = await called(answering(response(b"x" * 1000)), a_job())
    assert (len(said.body), said.truncated) == (1000, False)


async def test_a_redirect_is_an_answer() -> None:
    async with replica() as other:
        to = f"Location: http://127.0.0.1:{other.port}/\r\n"
        said, _ = await called(answering(response(status="302 Found", headers=to)), a_job())
    assert (said.status, other.connections) == (302, 0)


async def resets(conversation: Conversation) -> None:
    await conversation.request()
    conversation.reset()


async def breaks_off(conversation: Conversation) -> None:
    await conversation.request()
    await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")


async def talks_nonsense(conversation: Conversation) -> None:
    await conversation.request()
    await conversation.send(b"\x00\x01\x02 what\r\n\r\n")


async def test_what_is_denied_by_its_name_is_denied_by_its_address_and_by_any_other_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addresses = {"inside.svc": "127.0.0.1", "innocent.example": "127.0.0.1", "127.0.0.1": "127.0.0.1"}

    async def resolved(host: str, port: int | None, **_: object) -> list[tuple[object, ...]]:
        if host not in addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[host], port))]

    async with replica() as inside, replica(answering(response())) as caller:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
        rules = denied(f"inside.svc:{inside.port}", "gone.svc")
        for host in ("127.0.0.1", "innocent.example", "inside.svc"):
            with pytest.raises(BadInput, match="not to be called"):
                await told(f"http://{host}:{inside.port}/", rules)
        assert (await told(f"http://127.0.0.1:{caller.port}/", rules)).status == 200  # another port
    assert inside.connections == 0


@pytest.mark.parametrize("handler", [resets, breaks_off, talks_nonsense])
async def test_what_is_no_answer_counts_as_a_lost_connection(handler: Handler) -> None:
    said, _ = await called(handler, a_job(), b"body")
    assert said.status == 0


async def test_nobody_there_counts_as_a_lost_connection() -> None:
    connections = GatewayConnections(httpx.URL(f"http://127.0.0.1:{free_port()}"))
    assert (await GatewayCalls(connections, max_result=10, timeout_s=60.0).call(Held(a_job(), []))).status == 0


async def test_a_stored_body_that_is_gone_is_told() -> None:
    @dataclass(slots=True)
    class Gone(Held):
        async def body(self) -> AsyncGenerator[bytes]:
            raise NotFound("the stored body is gone")
            yield b""

    async with replica(echo) as function, calls(function) as caller:
        with pytest.raises(NotFound, match="gone"):
            await caller.call(Gone(a_job(), []))


async def test_a_call_that_is_cancelled_closes_its_connection() -> None:
    gone = asyncio.Event()

    async def hangs(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.gone()
        gone.set()

    async with replica(hangs) as function, calls(function) as caller:
        task = asyncio.create_task(caller.call(Held(a_job(), [])))
        await function.heads.acquire()
        task.cancel()
        await gone.wait()
        with contextlib.suppress(asyncio.CancelledError):
            await task


# Callbacks.


def a_callback(url: str, headers: Headers = (("Content-Type", "a/b"), ("X-Latin", "\xe4"))) -> Telling:
    return Telling(CallbackJob(job=a_job(callback=url), id="an-id", headers=headers, finished_at=1.0))


async def told(url: str, rules: CallbackRules, *, secret: bytes = b"", headers: Headers | None = None) -> Answer:
    async with checked_transport(rules) as transport:
        lease = a_callback(url) if headers is None else a_callback(url, headers)
        return await HttpTeller(transport, rules, secret=secret).tell(lease)


ANYWHERE = CallbackRules()


def denied(*patterns: str) -> CallbackRules:
    return CallbackRules(denied=tuple(map(Pattern.parse, patterns)))


async def test_a_callback_is_a_post_with_what_it_is_to_tell() -> None:
    async with replica(answering(response(b"thanks", status="202 Accepted"))) as caller:
        said = await told(f"http://127.0.0.1:{caller.port}/told?x=%2F", ANYWHERE)
    (got,) = caller.received
    assert (got.line, got.body) == (b"POST /told?x=%2F HTTP/1.1", b"answer")
    assert b"X-Latin: \xe4\r\n" in got.head
    names = {line.partition(b":")[0].lower() for line in got.head.split(b"\r\n")[1:] if line}
    assert names == {b"host", b"content-type", b"content-length", b"x-latin"}
    assert (said.status, said.body) == (202, b"thanks")


async def test_a_callback_is_signed_where_there_is_a_secret() -> None:
    async with replica(answering(response())) as caller:
        await told(f"http://127.0.0.1:{caller.port}/", ANYWHERE, secret=b"secret")
    (signature,) = caller.received[0].values("X-Springtide-Signature-256")
    assert signature == "sha256=" + hmac.new(b"secret", b"answer", hashlib.sha256).hexdigest()


async def test_a_redirect_of_a_callback_is_not_followed() -> None:
    async with replica() as other:
        to = f"Location: http://127.0.0.1:{other.port}/\r\n"
        async with replica(answering(response(status="307 Temporary Redirect", headers=to))) as caller:
            said = await told(f"http://127.0.0.1:{caller.port}/", denied(f"127.0.0.1:{other.port}"))
    assert (said.status, other.connections) == (307, 0)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "127.1", "[::ffff:7f00:1]"]
)
async def test_no_name_for_a_denied_address_is_a_way_there(host: str) -> None:
    async with replica() as inside:
        with pytest.raises(BadInput, match="X-Callback-Url"):
            await told(f"http://{host}:{inside.port}/", denied(f"127.0.0.1:{inside.port}"))
    assert inside.connections == 0


async def test_a_name_that_leads_to_a_forbidden_address_is_refused_by_the_address() -> None:
    """Here the machine's own; a name of somebody's in the DNS is no other case."""
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        name, address = "localhost", "127.0.0.1"
    async with replica() as inside:
        with pytest.raises(BadInput, match=f"{name} is"):
            await told(f"http://{name}:{inside.port}/", denied(f"{address}:{inside.port}", f"[::1]:{inside.port}"))
    assert inside.connections == 0


async def test_a_name_that_resolves_elsewhere_the_second_time_does_not_get_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The address that was checked is the one that is called."""
    answers = iter(["127.0.0.1", "10.0.0.1", "10.0.0.1"])

    async def resolved(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    async with replica(answering(response())) as caller:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
        said = await told(f"http://rebinding.example:{caller.port}/", denied("10.0.0.0/8"))
    assert said.status == 200
    assert next(answers) == "10.0.0.1"  # it was asked once


async def test_one_forbidden_address_among_several_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolved(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("10.0.0.1", "127.0.0.1")]

    async with replica() as inside:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
        with pytest.raises(BadInput, match=r"both\.example is 10"):
            await told(f"http://both.example:{inside.port}/", denied("10.0.0.0/8"))


async def test_the_gateways_usual_name_leads_to_the_gateway() -> None:
    """``http://gateway:8080`` is what functions' callbacks call everywhere, and means nothing on a single machine."""
    async with replica(answering(response())) as gateway, checked_transport(CallbackRules()) as transport:
        rules = CallbackRules(gateway=frozenset({USUAL_GATEWAY}))
        lease = a_callback("http://gateway:8080/function/told?x=1")
        teller = HttpTeller(transport, rules, secret=b"", gateway_url=f"http://127.0.0.1:{gateway.port}")
        assert (await teller.tell(lease)).status == 200
    (received,) = gateway.received
    assert received.line == b"POST /function/told?x=1 HTTP/1.1"


@pytest.mark.parametrize("handler", [resets, breaks_off, talks_nonsense])
async def test_what_is_no_answer_to_a_callback_is_none(handler: Handler) -> None:
    async with replica(handler) as caller:
        assert (await told(f"http://127.0.0.1:{caller.port}/", ANYWHERE)).status == 0


async def test_why_a_callback_has_no_answer_is_told() -> None:
    async with replica() as gone:
        port = gone.port
    said = await told(f"http://127.0.0.1:{port}/", ANYWHERE)
    assert (said.status, b"connect" in said.body.lower()) == (0, True)
    said = await told("http://nobody.invalid/", ANYWHERE)
    assert (said.status, b"nobody.invalid is not known" in said.body) == (0, True)


async def test_a_caller_that_hangs_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback_http, "TIMEOUT_S", 0.2)

    async def hangs(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.gone()

    async with replica(hangs) as caller:
        said = await told(f"http://127.0.0.1:{caller.port}/", ANYWHERE)
    assert (said.status, said.body) == (0, b"nothing came within 0.2 s")


async def test_a_caller_that_answers_without_end_is_not_read_without_end() -> None:
    async def endless(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await conversation.send(b"x" * 65536)

    async with replica(endless) as caller:
        said = await told(f"http://127.0.0.1:{caller.port}/", ANYWHERE)
    assert (said.status, len(said.body)) == (200, callback_http.MAX_READ)


async def test_headers_that_cannot_be_sent_are_no_end_of_the_worker() -> None:
    async with replica(answering(response())) as caller:
        said = await told(f"http://127.0.0.1:{caller.port}/", ANYWHERE, headers=(("X-Bad", "a\r\nInjected: yes"),))
    assert said.status == 0
    assert not any(got.values("Injected") for got in caller.received)
