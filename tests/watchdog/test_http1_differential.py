"""Random messages in random fragments: the watchdog reads what h11 reads, however the bytes are cut."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass
from typing import cast

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.watchdog.calls import Receive, Scope, Send, reply
from springtide.watchdog.connection import HttpConnection
from springtide.watchdog.http_client import Connection, UpstreamGoneError
from springtide.watchdog.server import HttpServer
from tests.fuzz.in_memory import Loop, Transport
from tests.gateway.malformed import CORPUS
from tests.gateway.test_differential import Message, cuts, requests, responses
from tests.watchdog.served import TIMEOUTS, body_of

LONGER_THAN_ANY_TIMEOUT_S = 1000.0
FRAMING = {b"content-length", b"transfer-encoding"}

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Seen:
    start: tuple[bytes, ...]
    headers: Fields
    body: bytes


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    found, number = [], 0
    while data:
        size = sizes[number % len(sizes)]
        found.append(data[:size])
        data, number = data[size:], number + 1
    return found


def served(data: list[bytes]) -> tuple[list[Seen], list[int]]:
    """The requests that a server calls its application for, and the statuses of its answers."""
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await body_of(receive)
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        start = scope["method"].encode(), scope["raw_path"] + query
        seen.append(Seen(start, end_to_end(scope["headers"]), body))
        await reply(send, 200, b"")

    async def conversation() -> bytes:
        with socket.socket() as unused:
            server = HttpServer(app, unused, TIMEOUTS)
        transport = Transport(cast("Loop", asyncio.get_running_loop()), HttpConnection(server))
        for piece in data:
            transport.receive(piece)
            await asyncio.sleep(0)
        await asyncio.sleep(LONGER_THAN_ANY_TIMEOUT_S)
        return bytes(transport.written)

    with asyncio.Runner(loop_factory=Loop) as runner:
        written = runner.run(conversation())
        assert cast("Loop", runner.get_loop()).errors == []
    return seen, [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]+) ", written)]


def fetched(data: list[bytes]) -> Seen | str:
    """The answer as the client reads it, or that there is none."""

    async def conversation() -> Seen | str:
        connection = Connection()
        transport = Transport(cast("Loop", asyncio.get_running_loop()), connection)
        for piece in data:
            transport.receive(piece)
        transport.end()
        try:
            head = await connection.answer()
            body = b"".join([part async for part in connection.body()])
        except UpstreamGoneError:
            return "no answer"
        return Seen((str(head.status).encode(),), end_to_end(head.headers), body)

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(conversation())


def end_to_end(headers: list[tuple[bytes, bytes]] | h11._headers.Headers) -> Fields:
    return tuple((name, value) for name, value in headers if name not in FRAMING)


def as_h11_reads(data: bytes, role: type[h11.CLIENT] | type[h11.SERVER]) -> list[Seen] | None:
    """Every message in the data; None where there is anything else."""
    found = []
    while data:
        connection = h11.Connection(role, max_incomplete_event_size=1 << 20)
        if role is h11.CLIENT:
            connection.send(h11.Request(method="POST", target="/", headers=[("Host", "x")]))
            connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        try:
            head = connection.next_event()
            if not isinstance(head, (h11.Request, h11.Response)):
                return None
            body = b""
            while isinstance(event := connection.next_event(), h11.Data):
                body += bytes(event.data)
        except h11.RemoteProtocolError:
            return None
        if not isinstance(event, h11.EndOfMessage):
            return None
        start = (head.method, head.target) if isinstance(head, h11.Request) else (str(head.status_code).encode(),)
        found.append(Seen(start, end_to_end(head.headers), body))
        data = connection.trailing_data[0]
    return found


@given(messages=st.lists(requests, min_size=1, max_size=4), sizes=cuts)
@settings(max_examples=100)
def test_server_reads_what_h11_reads(messages: list[Message], sizes: list[int]) -> None:
    data = b"".join(message.encoded() for message in messages)

    seen, statuses = served(pieces(data, sizes))

    assert seen == as_h11_reads(data, h11.SERVER)
    assert statuses == [200] * len(messages)


@given(message=responses, sizes=cuts)
@settings(max_examples=100)
def test_client_reads_what_h11_reads(message: Message, sizes: list[int]) -> None:
    data = message.encoded()

    assert [fetched(pieces(data, sizes))] == as_h11_reads(data, h11.CLIENT)


@st.composite
def damaged(draw: st.DrawFn, messages: st.SearchStrategy[Message]) -> bytes:
    """A message with some bytes changed, left out or put in."""
    data = bytearray(draw(messages).encoded())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(0, min(len(data) - 1, 400))))
        data[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b"\n", b"\r", b" ", b":", b"0", b"\0", b"x"])
        )
    return bytes(data)


@given(data=damaged(requests) | st.sampled_from(sorted(CORPUS.values())), sizes=cuts)
@settings(max_examples=120)
def test_server_reads_the_same_however_the_bytes_are_cut(data: bytes, sizes: list[int]) -> None:
    whole, cut = served([data]), served(pieces(data, sizes))

    assert cut[0] == whole[0]
    assert [status == 200 for status in cut[1]] == [status == 200 for status in whole[1]]


@given(data=damaged(responses), sizes=cuts)
@settings(max_examples=120)
def test_client_reads_the_same_however_the_bytes_are_cut(data: bytes, sizes: list[int]) -> None:
    assert fetched(pieces(data, sizes)) == fetched([data])


@given(data=damaged(requests))
@settings(max_examples=120)
def test_server_reads_nothing_otherwise_than_h11(data: bytes) -> None:
    """It may refuse more; what both take is the same to both."""
    seen, statuses = served([data])
    theirs = as_h11_reads(data, h11.SERVER)

    assert theirs is None or set(statuses) - {200} or seen == theirs
