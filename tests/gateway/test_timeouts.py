from __future__ import annotations

import asyncio
import socket

import pytest

from tests.gateway.harness import Conversation, Replica, answering, data_plane, echo, get, post, replica, response

pytestmark = pytest.mark.uvloop


async def silent(conversation: Conversation) -> None:
    await conversation.head()
    await conversation.gone()


async def test_function_that_says_nothing_is_504() -> None:
    async with data_plane(upstream_timeout_s=0.05) as gateway, replica(silent) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as caller:
            first = await caller.get()
            second = await caller.get()

        assert (first.status, second.status) == (504, 504)
        assert first["x-call-id"]
        assert gateway.route().metrics.refused == {"upstream_timeout": 2}
        assert gateway.route().ready[0].in_flight == 0


async def test_first_byte_has_a_time_of_its_own() -> None:
    async def late(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        await asyncio.sleep(0.2)
        await conversation.send(b"late")

    async with data_plane(first_byte_timeout_s=0.1) as gateway, gateway.connect() as caller:
        async with replica(late) as server:
            gateway.publish("echo", [server])
            assert (await caller.get()).body == b"late"
        async with replica(silent) as server:
            gateway.publish("echo", [server])
            assert (await caller.get()).status == 504


async def test_answer_that_never_ends_is_cut_off_visibly() -> None:
    async def endless(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await conversation.gone()

    async with data_plane(upstream_timeout_s=0.1) as gateway, replica(endless) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as caller:
            await caller.send(get())
            await caller.reader.readuntil(b"1\r\na\r\n")
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await caller.reader.readexactly(1)

        assert gateway.route().metrics.seconds[200].count == 1
        assert gateway.route().metrics.refused == {"stream_idle": 1}


async def test_slow_loris_is_cut_off() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        for byte in get("/function/echo", "X-Long: " + "a" * 10_000 + "\r\n"):
            writer.write(bytes([byte]))
            await asyncio.sleep(0.005)

    async with data_plane(head_timeout_s=0.1) as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        dripping = asyncio.create_task(drip(caller.writer))

        answer = await caller.answer()
        dripping.cancel()

        assert (answer.status, answer["connection"]) == (408, "close")
        assert server.connections == 0


async def test_connection_that_never_says_anything_is_closed_without_a_word() -> None:
    async with data_plane(head_timeout_s=0.05) as gateway, gateway.connect() as caller:
        assert await caller.rest() == b""


async def test_idle_connection_is_closed_after_its_time() -> None:
    async with data_plane(keep_alive_s=0.05) as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        assert (await caller.get()).status == 200

        assert await caller.rest() == b""


async def test_empty_lines_behind_a_request_do_not_keep_its_connection() -> None:
    async with data_plane(keep_alive_s=0.05) as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.send(get() + b"\r\n\r\n")

        assert (await caller.answer()).status == 200

        assert await caller.rest() == b""


async def test_half_a_head_on_a_kept_connection_gets_the_time_of_a_head_not_of_an_idle_connection() -> None:
    async with data_plane(keep_alive_s=0.05, head_timeout_s=0.3) as gateway, replica(echo) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as caller:
            await caller.get()
            await caller.send(get()[:20])
            assert (await caller.answer()).status == 408


async def test_body_that_stops_coming_is_408() -> None:
    gone = asyncio.Event()

    async def patient(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.gone()
        gone.set()

    async with data_plane(read_timeout_s=0.05) as gateway, replica(patient) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as caller:
            await caller.send(post(b"x" * 10)[:-5])

            answer = await caller.answer()

            assert (answer.status, answer["connection"]) == (408, "close")
            await gone.wait()


async def test_body_that_we_do_not_read_is_not_late() -> None:
    async def slow(conversation: Conversation) -> None:
        await conversation.head()
        for _ in range(20):
            await asyncio.sleep(0.1)
        await conversation.reader.readexactly(16 * 1024 * 1024)
        await conversation.send(response(b"all"))

    async with data_plane(read_timeout_s=0.5) as gateway, replica(slow) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as caller:
            sending = asyncio.create_task(caller.send(post(b"x" * 16 * 1024 * 1024)))
            assert (await caller.answer()).body == b"all"
            await sending


async def test_caller_that_stops_reading_is_cut_off() -> None:
    gone = asyncio.Event()

    async def flood(conversation: Conversation) -> None:
        await conversation.request()
        try:
            await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100_000_000)
        finally:
            gone.set()

    async with data_plane(write_timeout_s=0.1) as gateway, replica(flood) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as caller:
            await caller.send(get())
            await gone.wait()
            await gateway.until(lambda: not gateway.route().metrics.in_flight)


async def test_caller_that_never_reads_the_end_of_its_answers_is_cut_off() -> None:
    """Too little is left for the connection to count as full, and without a limit it would be kept for ever."""

    one = response(b"x" * 30_000)
    async with data_plane(keep_alive_s=0.3, write_timeout_s=0.1) as gateway, replica(answering(one)) as server:
        gateway.publish("echo", [server])
        with socket.create_connection(("127.0.0.1", gateway.port)) as caller:
            unsent, calls = 0, 0
            while not unsent:  # until the kernel takes no more
                caller.sendall(get())
                calls += 1
                await gateway.until(lambda calls=calls: gateway.route().metrics.answered == calls)  # type: ignore[misc]
                (connection,) = gateway.plane.draining.open
                unsent = connection.transport.get_write_buffer_size()

            assert not connection.full
            await gateway.until(lambda: not gateway.plane.draining.open)


async def test_idle_connection_to_a_replica_is_closed_after_its_time() -> None:
    closed = asyncio.Event()

    async def watcher(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(response())
        await conversation.gone()
        closed.set()

    async with data_plane(replica_idle_s=0.05) as gateway, replica(watcher) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as caller:
            await caller.get()
            await closed.wait()
            assert gateway.route().ready[0].idle == []


async def test_address_that_swallows_connections_is_not_waited_for_long() -> None:
    # A listener whose accept queue is full: the kernel drops what comes next, as if the host were gone.
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    stuck = Replica()
    stuck.port = listener.getsockname()[1]
    plug = socket.create_connection(("127.0.0.1", stuck.port))
    async with data_plane(connect_timeout_s=0.05, reroute_timeout_s=0.1) as gateway:
        gateway.publish("echo", [stuck])
        async with gateway.connect() as caller:
            answer = await caller.get()

        assert answer.status == 502
        assert b"no connection within connect_timeout (0.05 s) of the gateway" in answer.body
    plug.close()
    listener.close()
