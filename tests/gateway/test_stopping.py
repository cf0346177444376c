"""A data plane that stops: what is under way is answered, and nothing is cut that could be."""

from __future__ import annotations

import asyncio

import pytest

from tests.gateway.harness import Conversation, data_plane, echo, get, replica, response

pytestmark = pytest.mark.uvloop


GRACE_S = 15.0


async def test_request_on_its_way_over_a_kept_connection_is_answered_and_told_to_close() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        first = await caller.get()
        assert "connection" not in first.headers

        stopping = asyncio.create_task(gateway.plane.draining.drain(GRACE_S))
        await gateway.until(lambda: gateway.plane.draining.stopping)
        last = await caller.get()

        assert (last.status, last["connection"]) == (200, "close")
        assert await caller.rest() == b""
        await stopping


async def test_kept_connection_that_carries_nothing_is_closed() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.get()

        await gateway.plane.draining.drain(GRACE_S)

        assert await caller.rest() == b""


async def test_connections_that_carry_nothing_stay_open_when_another_takes_over_until_they_have_carried_a_call() -> (
    None
):
    async with (
        data_plane() as gateway,
        replica(echo) as server,
        gateway.connect() as used,
        gateway.connect() as unused,
    ):
        gateway.publish("echo", [server])
        await used.get()

        leaving = asyncio.create_task(gateway.plane.draining.leave(GRACE_S))
        await gateway.until(lambda: gateway.plane.draining.stopping)
        for caller in (used, unused):
            assert not leaving.done()
            last = await caller.get()
            assert (last.status, last["connection"]) == (200, "close")
            assert await caller.rest() == b""

        await leaving


async def test_connection_that_carries_nothing_to_the_end_is_no_longer_waited_for_when_another_takes_over() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.get()

        await gateway.plane.draining.leave(0.01)
        await gateway.plane.draining.drain(GRACE_S)

        assert await caller.rest() == b""


async def test_held_call_and_call_under_way_are_answered_and_told_to_close() -> None:
    go_on = asyncio.Event()

    async def slow(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await go_on.wait()
            await conversation.send(response())

    async with data_plane() as gateway, replica(slow, max_inflight=1) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as one, gateway.connect() as two:
            await one.send(get())
            await server.heads.acquire()
            await two.send(get())
            await gateway.until(lambda: gateway.route().metrics.held == 1)

            stopping = asyncio.create_task(gateway.plane.draining.drain(GRACE_S))
            await gateway.until(lambda: gateway.plane.draining.stopping)
            go_on.set()

            for caller in (one, two):
                answer = await caller.answer()
                assert (answer.status, answer["connection"]) == (200, "close")
            await stopping


async def test_call_that_is_held_to_the_end_is_told_to_come_again() -> None:
    async with data_plane() as gateway, gateway.connect() as caller, gateway.connect() as sender:
        gateway.publish("echo", [], desired=1)
        await caller.send(get())
        await sender.send(b"POST /function/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhal")
        await gateway.until(lambda: gateway.route().metrics.held == 2)

        await gateway.plane.draining.drain(0.3)

        for one in (caller, sender):
            answer = await one.answer()
            assert (answer.status, answer["retry-after"], answer["connection"]) == (503, "1", "close")
        assert gateway.route().metrics.held == 0
