"""The connection to a server that is not there, and one that is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from springtide.runtime.errors import Unavailable
from springtide.wire.jobs.nats.connection import Connection
from springtide.wire.jobs.settings import BrokerSettings

pytestmark = pytest.mark.uvloop
"""As the processes do that lose their server; the other tests here are told of what is left open."""

CALLERS = 20


async def test_callers_that_wait_for_the_same_attempt_are_told_its_end_together() -> None:
    """Otherwise each would make one of its own after the other, and the last would wait for minutes."""
    begun = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = Connection(BrokerSettings(nats_url=(f"nats://127.0.0.1:{port}",)), name="test")
        with pytest.raises(Unavailable):
            await connection.client()
        one, begun = begun, 0

        ends = await asyncio.gather(*(connection.client() for _ in range(CALLERS)), return_exceptions=True)

        assert all(isinstance(end, Unavailable) and str(port) in str(end) for end in ends)
        assert 0 < begun < one * CALLERS / 4
        begun = 0
        with pytest.raises(Unavailable):
            await connection.client()
        assert begun > 0, "who comes later tries anew"


class Greeter:
    """A server that says who it is once it may, and nothing more."""

    def __init__(self) -> None:
        self.came, self.greets, self.gone = asyncio.Semaphore(0), asyncio.Event(), asyncio.Semaphore(0)
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.came.release()
        try:
            left = asyncio.ensure_future(reader.readuntil(b"PING\r\n"))
            await asyncio.wait({left, asyncio.ensure_future(self.greets.wait())}, return_when="FIRST_COMPLETED")
            writer.write(b'INFO {"max_payload": 1048576}\r\n')
            await left
            writer.write(b"PONG\r\n")
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.gone.release()
        writer.close()


@pytest.fixture
@asynccontextmanager
async def greeter() -> AsyncIterator[tuple[Greeter, Connection]]:
    greeter = Greeter()
    async with await asyncio.start_server(greeter.serve, "127.0.0.1", 0) as server:
        url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield greeter, Connection(BrokerSettings(nats_url=(url,)), name="test")


async def test_one_that_was_closed_is_not_made_again(greeter: tuple[Greeter, Connection]) -> None:
    server, connection = greeter
    server.greets.set()
    await connection.client()
    await connection.aclose()
    await server.gone.acquire()

    with pytest.raises(Unavailable, match="was closed"):
        await connection.client()
    assert server.connections == 1


async def test_one_that_is_closed_while_it_is_made_does_not_stay(greeter: tuple[Greeter, Connection]) -> None:
    server, connection = greeter
    callers = [asyncio.ensure_future(connection.client()) for _ in range(2)]
    await server.came.acquire()
    await connection.aclose()
    server.greets.set()

    for made in callers:
        with pytest.raises(Unavailable, match="was closed"):
            await made
    await server.gone.acquire()
    assert not connection.connected


async def test_whoever_is_cancelled_while_it_is_made_leaves_none(greeter: tuple[Greeter, Connection]) -> None:
    server, connection = greeter
    made = asyncio.ensure_future(connection.client())
    await server.came.acquire()
    made.cancel()

    with pytest.raises(asyncio.CancelledError):
        await made
    await server.gone.acquire()
    assert not connection.connected
