"""Callers who leave: nothing of theirs stays behind."""

from __future__ import annotations

import asyncio
import contextlib

from tests.gateway.harness import Conversation, data_plane, echo, get, post, replica, response, run


def test_caller_who_leaves_takes_the_call_along() -> None:
    async def scenario() -> None:
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

    run(scenario())


def test_caller_who_closes_politely_has_left_as_well() -> None:
    async def scenario() -> None:
        gone = asyncio.Event()

        async def long_call(conversation: Conversation) -> None:
            await conversation.head()
            await conversation.gone()
            gone.set()

        async with data_plane() as gateway, replica(long_call) as server, gateway.connect() as caller:
            gateway.publish("echo", [server])
            await caller.send(get())
            await server.heads.acquire()

            caller.writer.write_eof()

            await gone.wait()
            assert gateway.route().metrics.in_flight == 0

    run(scenario())


def test_caller_who_leaves_in_the_middle_of_an_answer_stops_the_replica() -> None:
    async def scenario() -> None:
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

    run(scenario())


def test_caller_who_leaves_the_waiting_room_is_forgotten() -> None:
    async def scenario() -> None:
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
                assert gateway.plane.hold.kept_bytes == 0

    run(scenario())


def test_caller_who_leaves_while_its_connection_is_made_is_forgotten() -> None:
    async def scenario() -> None:
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

    run(scenario())


def test_place_of_a_caller_who_left_goes_to_the_next_in_line() -> None:
    async def scenario() -> None:
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

    run(scenario())
