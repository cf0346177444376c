from __future__ import annotations

import asyncio

import pytest

from springtide.gateway.deadlines import DeadlineQueue
from springtide.runtime.virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.virtual_time


async def test_items_expire_each_at_its_own_time(loop: VirtualTimeLoop) -> None:
    expired: list[tuple[str, float]] = []

    queue: DeadlineQueue[str] = DeadlineQueue(loop, 10, lambda item: expired.append((item, loop.time())))
    queue.start("a")
    await asyncio.sleep(3)
    queue.start("b")
    queue.start("stopped")
    await asyncio.sleep(3)
    queue.start("a")
    queue.stop("stopped")
    queue.stop("never started")
    await asyncio.sleep(100)
    assert len(queue) == 0

    assert expired == [("b", 13), ("a", 16)]


async def test_expiring_one_may_stop_and_start_others(loop: VirtualTimeLoop) -> None:
    expired: list[tuple[str, float]] = []

    def expire(item: str) -> None:
        expired.append((item, loop.time()))
        if item == "a":
            queue.stop("b")
            queue.start("c")
        if len(expired) == 2:
            queue.start("a")

    queue: DeadlineQueue[str] = DeadlineQueue(loop, 1, expire)
    for item in "abc":
        queue.start(item)
    await asyncio.sleep(2.5)
    queue.close()
    await asyncio.sleep(10)

    assert expired == [("a", 1), ("c", 2)]


async def test_zero_seconds_never_expire(loop: VirtualTimeLoop) -> None:

    queue: DeadlineQueue[str] = DeadlineQueue(loop, 0, lambda _: None)
    queue.start("a")
    assert len(queue) == 0


async def test_one_timer_serves_any_number(loop: VirtualTimeLoop) -> None:
    expired: list[int] = []

    queue: DeadlineQueue[int] = DeadlineQueue(loop, 1, expired.append)
    for item in range(10_000):
        queue.start(item)
    assert len(loop._scheduled) == 1  # type: ignore[attr-defined]
    await asyncio.sleep(2)

    assert expired == list(range(10_000))
