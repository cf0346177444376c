from __future__ import annotations

import asyncio

import pytest

from tests.gateway.harness import Client, Conversation, ServedPlane, answering, data_plane, get, replica, response

pytestmark = pytest.mark.uvloop


UPGRADE = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
AGREED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n"
)


async def parrot(conversation: Conversation) -> None:
    """Agrees, greets, and says everything again until the other side ends."""
    await conversation.head()
    await conversation.send(AGREED + b"hello ")
    while data := await conversation.reader.read(65536):
        await conversation.send(data)
    await conversation.send(b"bye")


async def open_tunnel(gateway: ServedPlane, caller: Client, early: bytes = b"") -> bytes:
    await caller.send(get("/function/echo/chat", UPGRADE) + early)
    return await caller.reader.readuntil(b"\r\n\r\n")


async def test_upgrade_is_tunnelled_both_ways() -> None:
    async with data_plane() as gateway, replica(parrot) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        head = await open_tunnel(gateway, caller, early=b"early ")

        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"\r\nConnection: Upgrade\r\n" in head
        assert b"\r\nUpgrade: websocket\r\n" in head
        assert b"\r\nSec-WebSocket-Accept: y\r\n" in head
        assert b"\r\nX-Call-Id: " in head
        received = server.received[0]
        assert received.values("connection") == ["Upgrade"]
        assert received.values("upgrade") == ["websocket"]
        assert await caller.reader.readexactly(12) == b"hello early "
        for number in range(100):
            await caller.send(b"%04d" % number)
            assert await caller.reader.readexactly(4) == b"%04d" % number


async def test_half_close_goes_through_a_tunnel() -> None:
    async with data_plane() as gateway, replica(parrot) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await open_tunnel(gateway, caller)

        caller.writer.write_eof()

        assert await caller.rest() == b"hello bye"
        await gateway.until(lambda: not gateway.route().metrics.in_flight)


async def test_tunnel_ends_when_the_caller_leaves() -> None:
    gone = asyncio.Event()

    async def listener(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(AGREED)
        await conversation.gone()
        gone.set()

    async with data_plane() as gateway, replica(listener) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await open_tunnel(gateway, caller)
        assert gateway.route().metrics.in_flight == 1

        caller.leave()

        await gone.wait()
        await gateway.until(lambda: not gateway.route().metrics.in_flight)
        assert gateway.route().metrics.seconds[101].count == 1


async def test_tunnel_ends_when_the_replica_dies() -> None:
    async def mortal(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(AGREED + b"ah")
        await conversation.reader.readexactly(1)
        conversation.reset()

    async with data_plane() as gateway, replica(mortal) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await open_tunnel(gateway, caller)

        await caller.send(b"x")

        assert await caller.rest() == b"ah"


async def test_tunnel_stops_a_sender_that_is_faster_than_its_reader() -> None:
    total = 64 * 1024 * 1024
    go_on = asyncio.Event()

    async def slow(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(AGREED)
        await go_on.wait()
        received = 0
        while received < total:
            received += len(await conversation.reader.read(1 << 20))
        await conversation.send(b"%d" % received)

    async with data_plane() as gateway, replica(slow) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await open_tunnel(gateway, caller)

        sending = asyncio.create_task(caller.send(b"x" * total))
        for _ in range(200):
            await asyncio.sleep(0.001)
        assert caller.writer.transport.get_write_buffer_size() > total / 2

        go_on.set()
        await sending
        assert await caller.reader.readexactly(8) == b"%d" % total


async def test_silent_tunnel_is_closed_after_its_time() -> None:
    async with data_plane(tunnel_idle_s=0.05) as gateway, replica(parrot) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await open_tunnel(gateway, caller)

        assert await caller.rest() == b"hello "
        await gateway.until(lambda: gateway.route().metrics.refused == {"tunnel_idle": 1})


async def test_function_that_does_not_upgrade_answers_as_usual() -> None:
    handler = answering(response(b"no"))
    async with data_plane() as gateway, replica(handler) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        first = await caller.get("/function/echo", UPGRADE)
        second = await caller.get()

        assert (first.body, second.body) == (b"no", b"no")
