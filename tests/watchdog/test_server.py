"""The watchdog's HTTP server: what it takes, what it refuses, in which order and how it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from springtide.watchdog.calls import CallerLeftError, Receive, Scope, Send, SlowCallerError, reply
from tests.gateway.malformed import CORPUS, STATUS
from tests.provider.process.world import eventually
from tests.watchdog.served import TIMEOUTS, answers, body_of, echo, served

T = TypeVar("T")

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
IN_CHUNKS = b"transfer-encoding: chunked"


def post(body: bytes, more: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (more, len(body), body)


@pytest.mark.parametrize("name", CORPUS)
async def test_malformed_request_is_refused_once_and_ends_the_connection(name: str) -> None:
    async with served(echo) as here, here.caller() as caller:
        await caller.say(CORPUS[name])
        status, _ = await caller.answer()

        assert status == STATUS.get(name, 400)
        assert await caller.rest() == b""


async def test_malformed_request_behind_a_good_one_spoils_only_itself() -> None:
    async with served(echo) as here, here.caller() as caller:
        await caller.say(post(b"good") + CORPUS["both lengths"] + GET)

        assert await caller.answer() == (200, b"good")
        assert (await caller.answer())[0] == 400
        assert await caller.rest() == b""


async def test_pipelined_requests_are_answered_in_order_whoever_is_quicker() -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await body_of(receive)
        if scope["path"] == "/slow":
            await go.wait()
        await reply(send, 200, scope["path"].encode())

    async with served(app) as here, here.caller() as caller, here.caller() as other:
        await caller.say(b"".join(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % name for name in (b"slow", b"b", b"c")))
        await other.say(GET)
        await other.answer()
        go.set()

        assert [(await caller.answer())[1] for _ in range(3)] == [b"/slow", b"/b", b"/c"]


async def test_flood_of_pipelined_requests_is_not_read_while_the_first_is_answered() -> None:
    go = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await body_of(receive)
        await go.wait()
        await reply(send, 200, b"")

    async with served(app) as here, here.caller() as caller:
        flood = asyncio.create_task(caller.say(GET * 1_000_000))
        [connection] = await _when(lambda: list(here.server.connections))
        await _when(lambda: connection._paused)

        assert len(connection._buffer) < 1_000_000
        flood.cancel()
        go.set()


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        pytest.param(post(b"abc"), 200, b"abc", id="a length"),
        pytest.param(
            CHUNKED + b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n",
            200,
            b"abc",
            id="chunks with an extension and a trailer",
        ),
        pytest.param(GET, 200, b"", id="no body"),
        pytest.param(b"\r\n" + GET, 200, b"", id="an empty line before"),
        pytest.param(b"GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 200, b"", id="a whole address"),
        pytest.param(b"OPTIONS /?%zz HTTP/1.1\r\nHost: a\r\n\r\n", 200, b"", id="a query that is no text"),
        pytest.param(post(b"abc", b"Upgrade: h2c\r\nConnection: Upgrade\r\n"), 200, b"abc", id="an offer of HTTP/2"),
        pytest.param(post(b"abc", b"Upgrade: x\r\nConnection: Upgrade\r\n"), 200, b"abc", id="an offer with a body"),
    ],
)
async def test_request_is_taken(request_: bytes, status: int, body: bytes) -> None:
    async with served(echo) as here, here.caller() as caller:
        for _ in range(2):
            await caller.say(request_)

            assert await caller.answer() == (status, body)


async def test_oldest_version_gets_its_answer_and_the_end_of_the_connection() -> None:
    async with served(answers(200, [], b"abc")) as here, here.caller() as caller:
        await caller.say(b"GET / HTTP/1.0\r\n\r\n")
        head = await caller.head()

        assert b"transfer-encoding" not in head.lower()
        assert b"connection: close" in head.lower()
        assert await caller.rest() == b"abc"


@pytest.mark.parametrize(
    ("status", "headers", "pieces", "head_has", "body"),
    [
        pytest.param(200, [], [b"ab", b"c"], IN_CHUNKS, b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", id="chunks"),
        pytest.param(200, [(b"content-length", b"3")], [b"ab", b"c"], b"content-length: 3", b"abc", id="a length"),
        pytest.param(204, [(b"content-length", b"0")], [b"ab"], b"204 No Content", b"", id="no content"),
        pytest.param(304, [(b"content-length", b"7")], [], b"content-length: 7", b"", id="not modified"),
        pytest.param(200, [(b"transfer-encoding", b"gzip")], [b"a"], IN_CHUNKS, b"1\r\na\r\n0\r\n\r\n", id="framing"),
        pytest.param(200, [(b"date", b"then")], [], b"date: then", b"0\r\n\r\n", id="a date of its own"),
        pytest.param(299, [], [], b"HTTP/1.1 299 \r\n", b"0\r\n\r\n", id="a status without a name"),
    ],
)  # fmt: skip
async def test_answer_is_framed(
    status: int, headers: list[tuple[bytes, bytes]], pieces: list[bytes], head_has: bytes, body: bytes
) -> None:
    async with served(answers(status, headers, *pieces)) as here, here.caller() as caller:
        await caller.say(CLOSING)
        head = await caller.head()

        assert head_has in head
        assert head.lower().count(b"date:") == 1
        assert b"gzip" not in head
        assert await caller.rest() == body


async def test_answer_to_head_has_no_body_and_the_connection_goes_on() -> None:
    async with served(answers(200, [(b"content-length", b"3")], b"abc")) as here, here.caller() as caller:
        for _ in range(2):
            await caller.say(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")

            assert b"content-length: 3" in await caller.head()


UNSENDABLE = {
    "a line end in a value": (200, [(b"x-token", b"a\n")]),
    "a header in a value": (200, [(b"x-token", b"a\r\nx-other: b")]),
    "a carriage return in a value": (200, [(b"x-token", b"a\rb")]),
    "a NUL in a value": (200, [(b"x-token", b"a\0b")]),
    "a space in a name": (200, [(b"x token", b"a")]),
    "a colon in a name": (200, [(b"x:token", b"a")]),
    "a line end in a name": (200, [(b"x\r\ny", b"a")]),
    "an empty name": (200, [(b"", b"a")]),
    "a length that is no number": (200, [(b"content-length", b"three")]),
    "two lengths": (200, [(b"content-length", b"3"), (b"content-length", b"3")]),
    "a length that is too small": (200, [(b"content-length", b"2")]),
    "a length that is too large": (200, [(b"content-length", b"4")]),
    "status 0": (0, []),
    "status -1": (-1, []),
    "status 99": (99, []),
    "status 100": (100, []),
    "status 103": (103, []),
    "status 199": (199, []),
    "status 600": (600, []),
    "status 999": (999, []),
}


@pytest.mark.parametrize("name", UNSENDABLE)
async def test_answer_that_cannot_be_sent_is_answered_500_and_logged(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    status, headers = UNSENDABLE[name]
    calls = 0

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal calls
        calls += 1
        await body_of(receive)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"abc"})

    async with served(app) as here, here.caller() as caller:
        await caller.say(post(b"x"))
        head = await caller.head()
        await caller.rest()

        assert head.startswith(b"HTTP/1.1 500 ")
        assert b"x-openfaas-internal: of-watchdog\r\n" in head
        assert calls == 1
        assert "cannot send the answer" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("pieces", "said"),
    [pytest.param([], b"HTTP/1.1 500", id="before its answer"), pytest.param([b"a"], b"HTTP/1.1 200", id="within")],
)
async def test_failure_of_the_application_is_answered_or_breaks_the_answer_off(
    pieces: list[bytes], said: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for piece in pieces:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await seen.wait()
        raise KeyError("deep")

    async with served(app) as here, here.caller() as caller:
        await caller.say(GET)
        head = await caller.head()
        seen.set()
        rest = await caller.reader.read()

        assert head.startswith(said)
        assert not rest.endswith(b"0\r\n\r\n")
        assert "KeyError: 'deep'" in capfd.readouterr().err


async def test_permission_to_send_a_body_is_given_once_it_is_wanted() -> None:
    async with served(echo) as here, here.caller() as caller:
        await caller.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        interim = await caller.head()
        await caller.say(b"abc")

        assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await caller.answer() == (200, b"abc")


async def test_caller_who_is_answered_without_permission_is_not_waited_for() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await reply(send, 403, b"no")

    async with served(app) as here, here.caller() as caller:
        await caller.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")

        assert await caller.answer() == (403, b"no")
        assert await caller.rest() == b""


async def test_early_answer_is_whole_and_the_rest_of_the_body_no_request() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await reply(send, 200, b"early")

    async with served(app) as here, here.caller() as caller:
        await caller.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(GET))
        first = await caller.answer()
        await caller.say(GET)
        await caller.say(GET)

        assert first == (200, b"early")
        assert await caller.answer() == (200, b"early")
        caller.writer.write_eof()
        assert await caller.rest() == b""


async def test_early_answer_stands_when_the_rest_of_the_body_is_malformed() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await reply(send, 200, b"early")

    async with served(app) as here, here.caller() as caller:
        await caller.say(CHUNKED)
        first = await caller.answer()
        await caller.say(b"no chunk\r\n")

        assert first == (200, b"early")
        assert await caller.rest() == b""


async def test_answer_under_way_is_broken_off_when_the_body_is_malformed() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] == "http.request":
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async with served(app) as here, here.caller() as caller:
        await caller.say(CHUNKED + b"1\r\na\r\n")
        await caller.head()
        await caller.reader.readexactly(6)
        await caller.say(b"no chunk\r\n")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await caller.reader.readexactly(1)


async def test_body_is_read_no_faster_than_it_is_taken() -> None:
    take = asyncio.Event()
    connections = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await take.wait()
        await reply(send, 200, str(len(await body_of(receive))).encode())

    async with served(app) as here, here.caller() as caller:
        uploading = asyncio.create_task(caller.say(post(b"x" * 20_000_000)))
        connections = await _when(lambda: list(here.server.connections))
        await eventually(lambda: connections[0]._paused)
        assert connections[0]._exchange is not None
        waiting = connections[0]._exchange.unread
        take.set()

        assert waiting < 1_000_000
        assert await caller.answer() == (200, b"20000000")
        await uploading


async def test_answer_is_sent_no_faster_than_it_is_read_and_given_up() -> None:
    sent = 0
    gave_up = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
                sent += 100_000
        except CallerLeftError:
            gave_up.set()
            raise

    async with served(app, replace(TIMEOUTS, write_s=0.05)) as here, here.caller() as caller:
        caller.reader._transport.pause_reading()  # type: ignore[attr-defined]  # nothing is read from the socket
        await caller.say(GET)
        await gave_up.wait()

        assert sent < 50_000_000


async def test_slow_head_is_refused() -> None:
    async with served(echo, replace(TIMEOUTS, read_s=0.02)) as here, here.caller() as caller:
        await caller.say(GET[:-5])

        assert (await caller.answer())[0] == 408
        assert await caller.rest() == b""


async def test_slow_body_is_told_to_the_application() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await body_of(receive)
        except SlowCallerError as error:
            await reply(send, 408, str(error).encode())

    async with served(app, replace(TIMEOUTS, read_s=0.02)) as here, here.caller() as caller:
        await caller.say(post(b"abc")[:-1])
        status, text = await caller.answer()

        assert status == 408
        assert b"read_timeout (0.02 s)" in text


@pytest.mark.parametrize("body", [GET, post(b"abc")[:-1]], ids=["after its body", "within its body"])
async def test_caller_who_leaves_is_told_to_the_application(body: bytes) -> None:
    told = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with served(app) as here:
        async with here.caller() as caller:
            await caller.say(body)
        await told.wait()


async def test_idle_connection_is_closed_in_the_end() -> None:
    async with served(echo, replace(TIMEOUTS, keep_alive_s=0.02)) as here, here.caller() as caller:
        await caller.say(post(b"a"))
        await caller.answer()

        assert await caller.rest() == b""


async def test_stopping_ends_idle_connections_at_once_and_others_with_their_answer() -> None:
    go = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await body_of(receive)
        await go.wait()
        await reply(send, 200, b"last")

    async with served(app) as here, here.caller() as idle, here.caller() as busy:
        await busy.say(GET)
        await _when(lambda: any(connection._exchange for connection in here.server.connections))
        await _when(lambda: len(here.server.connections) == 2)
        here.server.stop_listening()
        ended = await idle.rest()
        go.set()

        assert ended == b""
        assert await busy.answer() == (200, b"last")
        assert await busy.rest() == b""
        await here.server.no_connections()


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_early_hints_go_to_those_who_know_them(version: bytes) -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        scope["extensions"]["springtide.interim"]["send"](103, [(b"link", b"</a.css>"), (b"connection", b"x")])
        await reply(send, 200, b"ok")

    async with served(app) as here, here.caller() as caller:
        await caller.say(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
        first = await caller.head()

        assert (first == b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n") is (version == b"1.1")


async def _when(true: Callable[[], T]) -> T:
    """What it says, once that is something."""
    await eventually(true)
    return true()
