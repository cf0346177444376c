"""Callers who leave: nothing of theirs stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

import pytest

from tests.gateway.harness import Client, Conversation, data_plane, echo, get, post, replica, response

pytestmark = pytest.mark.uvloop


async def test_caller_who_leaves_takes_the_call_along() -> None:
    gone = asyncio.Event()

    async def long_call(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.gone()
        gone.set()

    async with data_plane() as gateway, replica(long_call) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.send(get())
        await server.heads.acquire()
        metrics = gateway.route().metrics
        assert (metrics.in_flight, gateway.route().ready[0].in_flight) == (1, 1)

        caller.leave()

        await gone.wait()
        assert (metrics.in_flight, gateway.route().ready[0].in_flight) == (0, 0)
        assert metrics.seconds[499].count == 1


async def test_caller_who_closes_politely_has_left_as_well() -> None:
    gone = asyncio.Event()

    async def long_call(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.gone()
        gone.set()

    async with data_plane() as gateway, replica(long_call) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.send(get())
        await server.heads.acquire()

        caller.writer.close()

        await gone.wait()
        assert gateway.route().metrics.in_flight == 0


async def test_caller_who_only_stops_sending_is_answered() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1)
        await caller.send(post(b"all there is"))
        await gateway.until(lambda: gateway.route().metrics.held == 1)

        caller.writer.write_eof()
        await caller.reader.readuntil(b"HTTP/1.1 100 Continue\r\n\r\n")
        gateway.publish("echo", [server])

        answer = await caller.answer()
        assert (answer.status, answer.body) == (200, b"all there is")
        assert await caller.rest() == b""


async def test_all_requests_of_a_caller_who_then_stops_sending_are_answered() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1)
        await caller.send(b"".join(post(b"%d" % number) for number in range(5)))
        caller.writer.write_eof()
        await gateway.until(lambda: gateway.route().metrics.held == 1)
        gateway.publish("echo", [server])

        assert [(await caller.answer()).body for _ in range(5)] == [b"%d" % number for number in range(5)]
        assert await caller.rest() == b""


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"GET /function/ec", id="in a head"),
        pytest.param(post(b"a body")[:-1], id="in a body"),
    ],
)
async def test_caller_who_stops_sending_in_the_middle_of_its_next_request_is_answered_once(rest: bytes) -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1)
        await caller.send(post(b"whole") + rest)
        caller.writer.write_eof()
        await gateway.until(lambda: gateway.route().metrics.held == 1)
        gateway.publish("echo", [server])

        assert (await caller.answer()).body == b"whole"
        assert await caller.rest() == b""
        await gateway.until(lambda: gateway.route().metrics.in_flight == 0)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(post(b"half")[:-1], id="in the middle of its body"),
        pytest.param(b"GET /function/echo HTTP/1.0\r\n\r\n", id="and cannot be sent an interim response"),
    ],
)
async def test_caller_who_stops_sending_has_left(request_: bytes) -> None:
    async with data_plane() as gateway, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1)
        await caller.send(request_)
        await gateway.until(lambda: gateway.route().metrics.held == 1)

        caller.writer.write_eof()

        await gateway.until(lambda: gateway.route().metrics.held == 0)
        assert await caller.rest() == b""


LARGE = 90_000
"""A body that a held call's connection is no longer read for, and that the kernel takes all the same."""


def reset(caller: Client) -> None:
    """Leave as a process that is killed with answers unread: the kernel resets the connection."""
    raw = caller.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    caller.writer.transport.abort()


@pytest.mark.parametrize(
    "leave",
    [pytest.param(reset, id="with a reset"), pytest.param(lambda caller: caller.writer.close(), id="politely")],
)
async def test_held_caller_whose_body_is_not_read_is_forgotten_when_it_leaves(leave: Callable[[Client], None]) -> None:
    async with data_plane(replay_bytes=1000) as gateway, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1)
        head = post(b"x" * LARGE)[:-LARGE]
        await caller.send(head + b"x" * 2000)
        await gateway.until(lambda: gateway.route().metrics.held == 1)
        await caller.send(b"x" * (LARGE - 2000))

        leave(caller)

        await gateway.until(lambda: gateway.route().metrics.held == 0)
        assert gateway.route().metrics.seconds[499].count == 1
        assert gateway.plane.admission.kept_bytes == 0


async def test_held_caller_whose_body_is_not_read_and_who_stops_sending_is_answered() -> None:
    async with data_plane(replay_bytes=1000) as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1)
        await caller.send(post(b"x" * LARGE))
        await gateway.until(lambda: gateway.route().metrics.held == 1)

        caller.writer.write_eof()
        await caller.reader.readuntil(b"HTTP/1.1 100 Continue\r\n\r\n")
        gateway.publish("echo", [server])

        answer = await caller.answer()
        assert (answer.status, len(answer.body)) == (200, LARGE)


async def test_caller_who_leaves_while_the_replica_does_not_read_its_body_takes_the_call_along() -> None:
    go_on, gone = asyncio.Event(), asyncio.Event()

    async def reads_late(conversation: Conversation) -> None:
        await conversation.head()
        conversation.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go_on.wait()
        conversation.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await conversation.gone()
        gone.set()

    async with data_plane() as gateway, replica(reads_late) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.send(b"POST /function/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        await server.heads.acquire()
        caller.writer.transport.set_write_buffer_limits(high=0)
        sending = asyncio.create_task(caller.send(b"x" * 100_000_000))
        (connection,) = gateway.plane.draining.open
        await gateway.until(lambda: connection.paused)

        reset(caller)

        await gateway.until(lambda: gateway.route().metrics.in_flight == 0)
        go_on.set()
        await gone.wait()
        await asyncio.gather(sending, return_exceptions=True)


async def test_connections_that_came_and_went_are_not_watched() -> None:
    async with data_plane(replay_bytes=1000) as gateway, replica(echo) as server:
        for _ in range(20):
            gateway.publish("echo", [], desired=1)
            async with gateway.connect() as caller:
                await caller.send(post(b"x" * LARGE))
                await gateway.until(lambda: gateway.route().metrics.held == 1)
                gateway.publish("echo", [server])
                assert (await caller.answer()).status == 200
        await gateway.until(lambda: not gateway.plane.draining.open)

        assert repr(gateway.plane.disconnects) == "<DisconnectWatcher of 0 connections>"


async def test_caller_who_leaves_in_the_middle_of_an_answer_stops_the_replica() -> None:
    gone = asyncio.Event()

    async def endless(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                await conversation.send(b"1\r\na\r\n")
                await asyncio.sleep(0)
        gone.set()

    async with data_plane() as gateway, replica(endless) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.send(get())
        await caller.reader.readuntil(b"1\r\na\r\n")

        caller.leave()

        await gone.wait()
        assert gateway.route().metrics.seconds[200].count == 1


async def test_caller_who_leaves_the_waiting_room_is_forgotten() -> None:
    async with data_plane() as gateway, replica(echo) as server:
        gateway.publish("echo", [], desired=0)
        async with gateway.connect() as stays, gateway.connect() as leaves:
            await leaves.send(post(b"leaves"))
            await gateway.until(lambda: gateway.route().metrics.held == 1)
            await stays.send(post(b"stays"))
            await gateway.until(lambda: gateway.route().metrics.held == 2)

            leaves.leave()
            await gateway.until(lambda: gateway.route().metrics.held == 1)
            gateway.publish("echo", [server])

            assert (await stays.answer()).body == b"stays"
            assert [received.body for received in server.received] == [b"stays"]
            assert gateway.plane.admission.kept_bytes == 0


async def test_caller_who_leaves_while_its_connection_is_made_is_forgotten() -> None:
    async with data_plane() as gateway, replica(echo) as server:
        gateway.publish("echo", [server])
        for _ in range(50):
            async with gateway.connect() as caller:
                await caller.send(get())
                caller.leave()
        await gateway.until(lambda: not gateway.route().metrics.in_flight)

        assert gateway.route().ready[0].in_flight == 0
        async with gateway.connect() as caller:
            assert (await caller.get()).status == 200


async def test_place_of_a_caller_who_left_goes_to_the_next_in_line() -> None:
    async def first_hangs(conversation: Conversation) -> None:
        request = await conversation.request()
        if request.body == b"hang":
            await conversation.gone()
        await conversation.send(response(request.body))

    async with data_plane() as gateway, replica(first_hangs, max_inflight=1) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as hangs, gateway.connect() as waits:
            await hangs.send(post(b"hang"))
            await server.heads.acquire()
            await waits.send(post(b"next"))
            await gateway.until(lambda: gateway.route().metrics.held == 1)

            hangs.leave()

            assert (await waits.answer()).body == b"next"


async def test_nonsense_behind_the_last_request_of_a_caller_who_stops_sending_is_refused_and_all_is_closed() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [], desired=1)
        await caller.send(post(b"whole") + b"nonsense\r\n\r\n")
        caller.writer.write_eof()
        await gateway.until(lambda: gateway.route().metrics.held == 1)
        gateway.publish("echo", [server])

        assert (await caller.answer()).body == b"whole"
        assert (await caller.answer()).status == 400
        assert await caller.rest() == b""
        assert len(gateway.plane.timeouts.linger) == 0
        await gateway.until(lambda: not gateway.plane.draining.open)
