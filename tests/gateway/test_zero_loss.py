"""Replicas come, go and die under load, and no caller notices."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.gateway.harness import Conversation, Replica, ServedPlane, data_plane, post, response

pytestmark = pytest.mark.uvloop


CALLERS = 20


async def busy_echo(conversation: Conversation) -> None:
    """Takes a moment, so that there are calls in flight at any time."""
    while True:
        request = await conversation.request()
        await asyncio.sleep(0.002)
        await conversation.send(response(request.body))


@contextlib.asynccontextmanager
async def load(gateway: ServedPlane) -> AsyncIterator[Counter[str]]:
    """Callers that call again and again; what they saw, by status or by the error."""
    seen: Counter[str] = Counter()
    over = False

    async def calls(number: int) -> None:
        count = 0
        while not over:
            async with gateway.connect() as caller:
                for _ in range(7):
                    body = b"%d-%d" % (number, count)
                    count += 1
                    await caller.send(post(body))
                    answer = await caller.answer()
                    right = answer.status == 200 and answer.body == body
                    seen["right" if right else f"{answer.status} {answer.body!r}"] += 1

    tasks = [asyncio.create_task(calls(number)) for number in range(CALLERS)]
    yield seen
    over = True
    await asyncio.gather(*tasks)


async def started() -> Replica:
    one = Replica(busy_echo)
    await one.start()
    return one


async def more(seen: Counter[str], calls: int = 30) -> None:
    """Return once so many more calls were answered."""
    until = seen.total() + calls
    while seen.total() < until:  # noqa: ASYNC110 - callers count, they do not signal
        await asyncio.sleep(0.001)


async def test_rolling_update_loses_no_call() -> None:
    async with data_plane() as gateway:
        replicas = [await started() for _ in range(3)]
        gateway.publish("echo", replicas)
        async with load(gateway) as seen:
            for _ in range(20):
                old = replicas.pop(0)
                replicas.append(await started())
                gateway.publish("echo", replicas)
                await more(seen)
                old.close()

        assert set(seen) == {"right"}
        assert gateway.route().metrics.in_flight == 0
        for one in replicas:
            one.close()


async def test_replicas_that_die_lose_no_call_that_they_had_not_begun_to_answer() -> None:
    async with data_plane() as gateway:
        replicas = [await started() for _ in range(3)]
        gateway.publish("echo", replicas)
        async with load(gateway) as seen:
            for _ in range(20):
                replicas.pop(0).close()
                await more(seen)
                replicas.append(await started())
                gateway.publish("echo", replicas)
                await more(seen)

        assert set(seen) == {"right"}
        for one in replicas:
            one.close()


async def test_only_replica_that_dies_and_comes_back_loses_no_call() -> None:
    async with data_plane() as gateway:
        only = await started()
        gateway.publish("echo", [only])
        async with load(gateway) as seen:
            for _ in range(10):
                only.close()
                await gateway.until(lambda: gateway.route().metrics.held > 0)
                only = await started()
                gateway.publish("echo", [only])
                await more(seen)

        assert set(seen) == {"right"}
        only.close()


async def test_sleeping_and_waking_under_load_loses_no_call() -> None:
    async with data_plane() as gateway:
        only = await started()
        gateway.publish("echo", [only])
        async with load(gateway) as seen:
            for round_ in range(1, 11):
                gateway.publish("echo", [], desired=0)
                old = only
                await gateway.until(lambda round_=round_: len(gateway.target.writes) == round_)  # type: ignore[misc]
                only = await started()
                gateway.publish("echo", [only])
                await more(seen)
                old.close()

        assert set(seen) == {"right"}
        only.close()
