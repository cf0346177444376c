"""A target of capacity: the most calls one replica is given at once, and what happens to those beyond it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from springtide.gateway.resend import MAX_REFUSALS
from springtide.wire.endpoint_stream import Changed, Endpoint, FunctionEndpoints
from tests.gateway.harness import (
    Conversation,
    ServedPlane,
    answering,
    data_plane,
    echo,
    get,
    post,
    ref,
    replica,
    response,
)

pytestmark = pytest.mark.uvloop


Handler = Callable[[Conversation], Awaitable[None]]


def capacity(target: float, type_: str = "capacity") -> dict[str, str]:
    return {"com.openfaas.scale.type": type_, "com.openfaas.scale.target": f"{target:g}"}


def answering_after(go_on: asyncio.Event) -> Handler:
    async def handler(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await go_on.wait()
            await conversation.send(response())

    return handler


async def never(conversation: Conversation) -> None:
    await conversation.head()
    await conversation.gone()


async def call(gateway: ServedPlane, body: bytes = b"") -> int:
    async with gateway.connect() as caller:
        await caller.send(post(body))
        return (await caller.answer()).status


async def test_burst_at_the_most_replicas_loses_no_call_and_overruns_no_replica() -> None:
    go_on = asyncio.Event()
    most: Counter[int] = Counter()
    now: Counter[int] = Counter()

    async def counting(conversation: Conversation) -> None:
        port = conversation.replica.port
        while True:
            await conversation.request()
            now[port] += 1
            most[port] = max(most[port], now[port])
            await go_on.wait()
            now[port] -= 1
            await conversation.send(response())

    async with data_plane() as gateway, replica(counting) as one, replica(counting) as two:
        gateway.publish("echo", [one, two], labels=capacity(3))

        tasks = [asyncio.create_task(call(gateway)) for _ in range(200)]
        await gateway.until(lambda: gateway.route().metrics.held == 194)
        await gateway.until(lambda: now[one.port] == now[two.port] == 3)
        go_on.set()

        assert await asyncio.gather(*tasks) == [200] * 200
        assert most[one.port] == most[two.port] == 3
        assert gateway.route().metrics.refused == {}


async def test_calls_beyond_the_target_go_in_as_others_end_first_come_first_served() -> None:
    let_go = asyncio.Semaphore(0)

    async def one_by_one(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            await let_go.acquire()
            await conversation.send(response())

    async with data_plane() as gateway, replica(one_by_one) as server:
        gateway.publish("echo", [server], labels=capacity(1))
        tasks = []
        for number in range(10):
            tasks.append(asyncio.create_task(call(gateway, b"%d" % number)))
            await gateway.until(lambda number=number: gateway.route().metrics.in_flight == number + 1)  # type: ignore[misc]
        assert gateway.route().metrics.held == 9

        for number in range(10):
            await gateway.until(lambda number=number: len(server.received) == number + 1)  # type: ignore[misc]
            let_go.release()
        await asyncio.gather(*tasks)

        assert [received.body for received in server.received] == [b"%d" % number for number in range(10)]


@pytest.mark.parametrize(
    ("max_inflight", "labels", "taken"),
    [
        pytest.param(0, capacity(3), 3, id="the target alone"),
        pytest.param(5, capacity(3), 3, id="the target below the replica's own limit"),
        pytest.param(2, capacity(3), 2, id="the replica's own limit below the target"),
        pytest.param(0, capacity(2.9), 2, id="a target that is no whole number"),
        pytest.param(0, capacity(3, "rps"), 8, id="a target of calls per second limits nothing"),
        pytest.param(4, capacity(3, "rps"), 4, id="a target of calls per second beside an own limit"),
    ],
)
async def test_replica_is_given_as_many_calls_as(max_inflight: int, labels: dict[str, str], taken: int) -> None:
    go_on = asyncio.Event()
    async with data_plane() as gateway, replica(answering_after(go_on), max_inflight=max_inflight) as server:
        gateway.publish("echo", [server], labels=labels)
        tasks = [asyncio.create_task(call(gateway)) for _ in range(8)]
        await gateway.until(lambda: gateway.route().metrics.in_flight == 8)
        await gateway.until(lambda: len(server.received) == taken)

        assert gateway.route().metrics.held == 8 - taken
        go_on.set()
        assert await asyncio.gather(*tasks) == [200] * 8


async def test_changed_target_holds_for_replicas_that_run_and_callers_who_wait() -> None:
    go_on = asyncio.Event()
    async with data_plane() as gateway, replica(answering_after(go_on)) as server:
        gateway.publish("echo", [server], labels=capacity(2))
        tasks = [asyncio.create_task(call(gateway)) for _ in range(6)]
        await gateway.until(lambda: gateway.route().metrics.held == 4)

        gateway.publish("echo", [server], labels=capacity(5))
        await gateway.until(lambda: len(server.received) == 5)
        gateway.publish("echo", [server], labels=capacity(1))

        assert gateway.route().metrics.held == 1
        go_on.set()
        assert await asyncio.gather(*tasks) == [200] * 6


async def test_label_that_goes_away_takes_the_limit_along() -> None:
    go_on = asyncio.Event()
    async with data_plane() as gateway, replica(answering_after(go_on)) as server:
        gateway.publish("echo", [server], labels=capacity(1))
        tasks = [asyncio.create_task(call(gateway)) for _ in range(6)]
        await gateway.until(lambda: gateway.route().metrics.held == 5)

        gateway.publish("echo", [server])

        await gateway.until(lambda: len(server.received) == 6)
        go_on.set()
        assert await asyncio.gather(*tasks) == [200] * 6


async def test_provider_that_passes_calls_on_itself_is_not_limited_as_one_replica() -> None:
    async with data_plane() as gateway:
        proxy = Endpoint("provider", "127.0.0.1", 1, prefix="/function/echo.openfaas-fn")
        gateway.plane.table.apply(Changed(FunctionEndpoints(ref("echo"), 5, "1", (proxy,), labels=capacity(1))))

        assert gateway.route().ready[0].limit == 0


# Refusals.


async def test_queue_in_front_of_busy_replicas_is_bounded() -> None:
    async with data_plane(max_held_per_function=1) as gateway, replica(never) as server:
        gateway.publish("echo", [server], labels=capacity(1))
        async with gateway.connect() as one, gateway.connect() as two, gateway.connect() as three:
            await one.send(get())
            await server.heads.acquire()
            await two.send(get())
            await gateway.until(lambda: gateway.route().metrics.held == 1)

            refused = await three.get()

            assert (refused.status, refused["retry-after"]) == (429, "1")
            assert refused["x-openfaas-internal"] == "gateway"
            assert b"all replicas of echo.openfaas-fn are busy" in refused.body
            assert gateway.route().metrics.refused == {"at_capacity": 1}
            assert len(server.received) == 1


async def test_call_that_waited_in_vain_for_a_busy_replica_is_429() -> None:
    async with data_plane(hold_timeout_s=0.05) as gateway, replica(never, max_inflight=1) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as one, gateway.connect() as two:
            await one.send(get())
            await server.heads.acquire()

            refused = await two.get()

            assert (refused.status, refused["retry-after"]) == (429, "1")
            assert gateway.route().metrics.refused == {"at_capacity": 1}
            assert gateway.route().metrics.held == 0


async def test_calls_held_at_capacity_are_woken_for_when_the_function_goes_to_sleep_under_them() -> None:
    async with data_plane() as gateway, replica(never) as old, replica(echo) as new:
        gateway.publish("echo", [old], labels=capacity(1))
        async with gateway.connect() as one, gateway.connect() as two:
            await one.send(get())
            await old.heads.acquire()
            await two.send(get())
            await gateway.until(lambda: gateway.route().metrics.held == 1)

            gateway.publish("echo", [], desired=0, labels=capacity(1))
            await gateway.target.written.wait()
            gateway.publish("echo", [new], labels=capacity(1))

            assert (await two.answer()).status == 200


# Replicas that are given calls by others as well.


FULL = response(b"full", status="429 Too Many Requests", headers="X-OpenFaaS-Internal: faas-middleware\r\n")


async def test_call_that_a_full_replica_refused_unseen_is_sent_again() -> None:
    refusals = [FULL] * 2

    async def full_at_first(conversation: Conversation) -> None:
        while True:
            request = await conversation.request()
            await conversation.send(refusals.pop() if refusals else response(request.body))

    async with data_plane() as gateway, replica(full_at_first, max_inflight=1) as server:
        gateway.publish("echo", [server])
        async with gateway.connect() as caller:
            await caller.send(post(b"patient"))
            answer = await caller.answer()

        assert (answer.status, answer.body) == (200, b"patient")
        assert [received.body for received in server.received] == [b"patient"] * 3


async def test_call_that_a_full_replica_refused_goes_to_one_with_room() -> None:
    async with data_plane() as gateway, replica(answering(FULL)) as full, replica(echo) as free:
        gateway.publish("echo", [full, free])

        assert await asyncio.gather(*(call(gateway) for _ in range(50))) == [200] * 50

        assert len(free.received) == 50


async def test_call_that_many_full_replicas_refused_goes_to_the_one_with_room() -> None:
    go_on = asyncio.Event()

    async def busy_with_the_first(conversation: Conversation) -> None:
        request = await conversation.request()
        if request.body == b"first":
            await go_on.wait()
        await conversation.send(response(request.body))

    async with contextlib.AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(data_plane())
        free = await stack.enter_async_context(replica(busy_with_the_first))
        full = [await stack.enter_async_context(replica(answering(FULL))) for _ in range(2 * MAX_REFUSALS)]
        gateway.publish("echo", [free])
        first = asyncio.create_task(call(gateway, b"first"))
        await free.heads.acquire()
        gateway.publish("echo", [*full, free])  # of which it is the busiest

        assert await call(gateway, b"second") == 200
        assert sum(len(one.received) for one in full) > MAX_REFUSALS
        go_on.set()
        assert await first == 200


async def test_replica_that_stays_full_has_the_last_word() -> None:
    async with data_plane() as gateway, replica(answering(FULL)) as server:
        gateway.publish("echo", [server])

        assert await call(gateway) == 429

        assert len(server.received) == 1 + MAX_REFUSALS


async def test_functions_own_429_is_passed_on_as_it_is() -> None:
    own = answering(response(b"slower, please", status="429 Too Many Requests"))
    async with data_plane() as gateway, replica(own) as server, gateway.connect() as caller:
        gateway.publish("echo", [server])

        answer = await caller.get()

        assert (answer.status, answer.body, len(server.received)) == (429, b"slower, please", 1)


async def test_call_held_at_a_full_replica_that_once_refused_one_waits_for_an_end_and_not_for_the_clock() -> None:
    go_on = asyncio.Event()

    async def full_for_the_second(conversation: Conversation) -> None:
        while True:
            await conversation.request()
            if len(conversation.replica.received) == 2:
                await conversation.send(FULL)
            else:
                await go_on.wait()
                await conversation.send(response())

    async with data_plane() as gateway, replica(full_for_the_second, max_inflight=2) as server:
        gateway.publish("echo", [server])
        calls = []
        for heads in (1, 2):  # the second is refused, and sent again
            calls.append(asyncio.create_task(call(gateway)))
            for _ in range(heads):
                await server.heads.acquire()
        calls.append(asyncio.create_task(call(gateway)))
        await gateway.until(lambda: gateway.route().metrics.held == 1)

        assert gateway.route().next_retry() is None
        go_on.set()
        assert await asyncio.gather(*calls) == [200] * 3
