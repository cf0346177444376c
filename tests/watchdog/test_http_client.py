"""The watchdog as an HTTP client of the function's own server: what is an answer, and which connection serves again."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from springtide.watchdog.http_client import MAX_UNREAD_BYTES, Connection, Pool, UpstreamGoneError
from tests.fuzz.in_memory import Loop, Transport
from tests.watchdog.served import echo, served

OK = b"HTTP/1.1 200 OK\r\n"


async def opened(*data: bytes, to_head: bool = False) -> tuple[Connection, Transport]:
    connection = Connection()
    transport = Transport(cast("Loop", asyncio.get_running_loop()), connection)
    connection.expect(to_head=to_head)
    connection.sent = True
    for piece in data:
        transport.receive(piece)
    return connection, transport


def run(*data: bytes, to_head: bool = False, ends: bool = False) -> tuple[int, dict[bytes, bytes], bytes, bool]:
    """Status, headers and body of the answer, and whether its connection can be used again."""

    async def read() -> tuple[int, dict[bytes, bytes], bytes, bool]:
        connection, transport = await opened(*data, to_head=to_head)
        if ends:
            transport.end()
        head = await connection.answer()
        body = b"".join([piece async for piece in connection.body()])
        return head.status, dict(head.headers), body, connection.reusable

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(read())


LENGTH = b"content-length"


@pytest.mark.parametrize(
    ("data", "status", "headers", "body", "reusable"),
    [
        pytest.param(OK + b"Content-Length: 3\r\n\r\nabc", 200, {LENGTH: b"3"}, b"abc", True, id="a length"),
        pytest.param(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, {LENGTH: b"0"}, b"", True, id="no reason"),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 200, {LENGTH: b"1"}, b"a", False, id="version 1.0"
        ),
        pytest.param(
            OK + b"Content-Length: 1\r\nConnection: close\r\n\r\na",
            200,
            {LENGTH: b"1", b"connection": b"close"},
            b"a",
            False,
            id="a connection that closes",
        ),
        pytest.param(OK + b"Content-Length: 1\r\n\r\nab", 200, {LENGTH: b"1"}, b"a", False, id="more than announced"),
        pytest.param(b"HTTP/1.1 204 x\r\n\r\n", 204, {}, b"", True, id="no content"),
        pytest.param(b"HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", 304, {LENGTH: b"9"}, b"", True, id="not modified"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n1\r\na\r\n0\r\n\r\n",
            200,
            {b"transfer-encoding": b"chunked"},
            b"a",
            False,
            id="both lengths",
        ),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: b\r\n\r\n",
            200,
            {b"transfer-encoding": b"chunked"},
            b"a",
            True,
            id="a trailer, which is no header",
        ),
    ],
)
@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_answer_is_read(
    data: bytes, status: int, headers: dict[bytes, bytes], body: bytes, reusable: bool, cut: int
) -> None:
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]

    assert run(*pieces) == (status, headers, body, reusable)


def test_answer_to_head_has_no_body_and_its_connection_serves_again() -> None:
    assert run(OK + b"Content-Length: 3\r\n\r\n", to_head=True) == (200, {LENGTH: b"3"}, b"", True)


def test_body_without_a_length_ends_with_the_connection() -> None:
    assert run(OK + b"\r\nabc", ends=True) == (200, {}, b"abc", False)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(OK, id="half a head"),
        pytest.param(OK + b"Content-Length: 3\r\n\r\nab", id="less than announced"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", id="chunks without an end"),
        pytest.param(b"SSH-2.0-x\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/2 200 OK\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 099 x\r\n\r\n", id="a status below 100"),
        pytest.param(OK + b"a b: c\r\n\r\n", id="a name with a space"),
        pytest.param(OK + b"a: b\n\r\n\r\n", id="a bare line feed"),
        pytest.param(OK + b"a: b\r\n c\r\n\r\n", id="a folded line"),
        pytest.param(OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", id="two lengths"),
        pytest.param(OK + b"Content-Length: -1\r\n\r\na", id="a negative length"),
        pytest.param(OK + b"Transfer-Encoding: gzip\r\n\r\na", id="another coding"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", id="no chunk size"),
        pytest.param(OK + b"a: " + b"b" * 70_000 + b"\r\n\r\n", id="a head that is too large"),
        pytest.param(OK + b"a: " + b"b" * 70_000, id="a head that goes on for ever"),
        pytest.param(b"HTTP/1.1 102 x\r\n\r\n" * 101 + OK + b"Content-Length: 0\r\n\r\n", id="too many interim heads"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(UpstreamGoneError):
        run(data, ends=True)


async def _interim() -> list[tuple[int, list[tuple[bytes, bytes]]]]:
    told: list[tuple[int, list[tuple[bytes, bytes]]]] = []
    connection, transport = await opened()
    connection.interim = lambda status, headers: told.append((status, list(headers)))
    transport.receive(b"HTTP/1.1 103 x\r\nLink: a\r\n\r\nHTTP/1.1 102 x\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n")
    assert (await connection.answer()).status == 200
    return told


def test_heads_before_the_answer_are_told() -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(_interim()) == [(103, [(b"link", b"a")]), (102, [])]


async def _paused() -> tuple[bool, bool]:
    connection, transport = await opened(OK + b"\r\n" + b"x" * (MAX_UNREAD_BYTES + 1))
    before = transport.reading_paused
    await connection.answer()
    async for _ in connection.body():
        break
    return before, transport.reading_paused


def test_body_is_read_no_faster_than_it_is_taken() -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(_paused()) == (True, False)


async def test_connection_that_can_be_used_again_is() -> None:
    async with served(echo) as here:
        pool = Pool("127.0.0.1", here.port)
        used = []
        for number in range(3):
            connection = await pool.take()
            connection.expect(to_head=False)
            await connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d" % number)
            connection.sent = True
            await connection.answer()
            assert [piece async for piece in connection.body()] == [b"%d" % number]
            pool.give_back(connection)
            used.append(connection)
        pool.close()

        assert used == [used[0]] * 3


async def test_nobody_there_is_said_so(free_port: int) -> None:
    with pytest.raises(UpstreamGoneError, match="cannot connect"):
        await Pool("127.0.0.1", free_port).take()
