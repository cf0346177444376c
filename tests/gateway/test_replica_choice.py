from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.gateway.harness import Conversation, data_plane, echo, get, replica, response

pytestmark = pytest.mark.uvloop


async def test_calls_go_to_the_less_busy_replicas() -> None:
    go_on = asyncio.Event()

    async def busy(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await go_on.wait()
            await conversation.send(response())

    # On a machine that stalls, a replica that seems not to be reached would rest, and rightly get fewer.
    patient = data_plane(connect_timeout_s=60)
    async with patient as gateway, replica(busy) as a, replica(busy) as b, replica(busy) as c:
        gateway.publish("echo", [a, b, c])

        async def call() -> int:
            async with gateway.connect() as caller:
                return (await caller.get()).status

        tasks = [asyncio.create_task(call()) for _ in range(300)]
        await gateway.until(lambda: sum(len(one.received) for one in (a, b, c)) == 300)
        counts = [len(one.received) for one in (a, b, c)]

        # Chosen blindly, the spread of 300 over 3 would be about ±16; by the less busy of two it is a few.
        assert max(counts) - min(counts) <= 10
        go_on.set()
        await asyncio.gather(*tasks)


async def test_replica_is_never_given_more_than_its_limit_while_others_have_room() -> None:
    most: Counter[int] = Counter()
    now: Counter[int] = Counter()

    async def counting(conversation: Conversation) -> None:
        port = conversation.replica.port
        while True:
            await conversation.request()
            now[port] += 1
            most[port] = max(most[port], now[port])
            await asyncio.sleep(0.001)
            now[port] -= 1
            await conversation.send(response())

    async with (
        data_plane() as gateway,
        replica(counting, max_inflight=2) as small,
        replica(counting, max_inflight=6) as large,
    ):
        gateway.publish("echo", [small, large])

        async def calls() -> None:
            async with gateway.connect() as caller:
                for _ in range(20):
                    assert (await caller.get()).status == 200

        await asyncio.gather(*(calls() for _ in range(30)))

        assert most[small.port] == 2
        assert most[large.port] == 6
        assert len(small.received) + len(large.received) == 600


async def test_draining_replica_finishes_its_call_and_gets_nothing_new() -> None:
    go_on = asyncio.Event()

    async def slow(conversation: Conversation) -> None:
        await conversation.request()
        await go_on.wait()
        await conversation.send(response(b"old"))
        await conversation.gone()

    async with data_plane() as gateway, replica(slow) as old, replica(echo) as new:
        gateway.publish("echo", [old])
        async with gateway.connect() as early, gateway.connect() as late:
            await early.send(get())
            await old.heads.acquire()

            gateway.publish("echo", [new])

            assert (await late.get()).status == 200
            go_on.set()
            assert (await early.answer()).body == b"old"
            assert (len(old.received), len(new.received)) == (1, 1)


async def test_idle_connections_to_a_replica_that_leaves_the_table_are_closed() -> None:
    closed = asyncio.Event()

    async def watcher(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(response())
        await conversation.gone()
        closed.set()

    async with data_plane() as gateway, replica(watcher) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])
        await caller.get()

        gateway.publish("echo", [], desired=0)

        await closed.wait()


async def test_replica_stays_the_same_one_when_its_function_is_described_again() -> None:
    async with data_plane() as gateway, replica(echo) as server, gateway.connect() as caller:
        for number in range(5):
            gateway.publish("echo", [server], labels={"n": str(number)})
            gateway.snapshot()
            assert (await caller.get()).status == 200

        assert server.connections == 1


async def test_herd_shares_connections() -> None:
    async with data_plane() as gateway, replica(echo) as server:
        gateway.publish("echo", [], desired=1)
        clients = [gateway.connect() for _ in range(400)]
        callers = [await client.__aenter__() for client in clients]
        for caller in callers:
            await caller.send(get())
        await gateway.until(lambda: gateway.route().metrics.held == 400)

        gateway.publish("echo", [server])
        statuses = [(await caller.answer()).status for caller in callers]
        for client in clients:
            await client.__aexit__(None, None, None)

        assert statuses == [200] * 400
        # Connections that became free carry those who still wait, so fewer than one each is opened.
        assert server.connections < 400
