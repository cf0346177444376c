from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from springtide.runtime.line_stream import LineStream

pytestmark = pytest.mark.virtual_time


class Peer:
    """The server's side of an ASGI call: keeps what is sent and when, and leaves when told."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.complete = False
        self.headers: dict[bytes, bytes] = {}
        self.left = asyncio.Event()

    async def receive(self) -> MutableMapping[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.headers = dict(message["headers"])
        elif message["more_body"]:
            self.sent.append((asyncio.get_running_loop().time(), message["body"]))
        else:
            self.complete = True


class Source:
    """Items at given times; knows whether it was closed."""

    def __init__(self, *times: float, ends: bool = True) -> None:
        self.closed = False
        self._times = times
        self._ends = ends

    async def items(self) -> AsyncIterator[float]:
        try:
            for at in self._times:
                await asyncio.sleep(at - asyncio.get_running_loop().time())
                yield at
            if not self._ends:
                await asyncio.Event().wait()
        finally:
            self.closed = True


def encode(item: float) -> bytes:
    return f"{item:g}\n".encode()


async def test_items_are_sent_as_they_come_and_the_end_is_the_end() -> None:
    peer, source = Peer(), Source(1, 2, 5)

    await LineStream(source.items(), encode, stopping=asyncio.Event())({}, peer.receive, peer.send)

    assert peer.sent == [(1, b"1\n"), (2, b"2\n"), (5, b"5\n")]
    assert peer.headers[b"content-type"] == b"application/x-ndjson"
    assert b"content-length" not in peer.headers
    assert peer.complete
    assert source.closed


async def test_idle_lines_fill_silence_and_lose_no_item() -> None:
    peer, source = Peer(), Source(3, 14)
    stream = LineStream(source.items(), encode, stopping=asyncio.Event(), idle_s=5, idle_line=b"-\n")

    await stream({}, peer.receive, peer.send)

    assert peer.sent == [(3, b"3\n"), (8, b"-\n"), (13, b"-\n"), (14, b"14\n")]


async def test_items_without_a_line_are_left_out() -> None:
    peer, source = Peer(), Source(1, 2, 3)

    stream = LineStream(source.items(), lambda item: b"" if item == 2 else encode(item), stopping=asyncio.Event())
    await stream({}, peer.receive, peer.send)

    assert [line for _, line in peer.sent] == [b"1\n", b"3\n"]


@pytest.mark.parametrize("cause", ["the client leaves", "the service stops"])
async def test_stream_ends_and_closes_its_source_when(cause: str) -> None:
    peer, source, stopping = Peer(), Source(1, ends=False), asyncio.Event()
    end = peer.left if cause == "the client leaves" else stopping
    asyncio.get_running_loop().call_later(7, end.set)

    await LineStream(source.items(), encode, stopping=stopping)({}, peer.receive, peer.send)

    assert asyncio.get_running_loop().time() == 7
    assert source.closed


async def test_source_that_never_pauses_is_closed_when_the_client_leaves() -> None:
    closed = []

    async def endless() -> AsyncIterator[float]:
        try:
            while True:
                yield 1.0
        finally:
            closed.append(True)

    peer = Peer()
    asyncio.get_running_loop().call_soon(peer.left.set)

    await LineStream(endless(), encode, stopping=asyncio.Event())({}, peer.receive, peer.send)

    assert closed == [True]


async def test_failing_source_breaks_the_stream_instead_of_ending_it() -> None:
    async def failing() -> AsyncIterator[float]:
        yield 1.0
        raise ConnectionError("gone")

    peer = Peer()

    with pytest.raises(ConnectionError):
        await LineStream(failing(), encode, stopping=asyncio.Event())({}, peer.receive, peer.send)

    assert peer.sent == [(0, b"1\n")]
    assert not peer.complete


async def test_cancelled_stream_closes_its_source() -> None:
    peer, source = Peer(), Source(1, ends=False)
    stream = LineStream(source.items(), encode, stopping=asyncio.Event())
    task = asyncio.ensure_future(stream({}, peer.receive, peer.send))
    await asyncio.sleep(2)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert source.closed
    assert not peer.complete
