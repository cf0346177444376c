from __future__ import annotations

import asyncio

import pytest

from springtide.provider.kubernetes.operator.work_queue import WorkQueue


async def test_key_asked_for_often_is_taken_once_in_the_order_of_arrival() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a", "a"):
        queue.add(key)

    assert [await queue.take(), await queue.take()] == ["a", "b"]
    assert repr(queue) == "<WorkQueue 0 waiting, 2 busy, 0 paused>"


async def test_news_while_a_worker_is_at_it_brings_the_key_back_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.take()

    queue.add("a")
    assert repr(queue) == "<WorkQueue 0 waiting, 1 busy, 0 paused>"
    queue.done("a")

    assert await queue.take() == "a"
    queue.done("a")
    assert repr(queue) == "<WorkQueue 0 waiting, 0 busy, 0 paused>"


async def test_taker_waits_for_the_first_key() -> None:
    queue: WorkQueue[str] = WorkQueue()
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not taking.done()

    queue.add("a")

    assert await taking == "a"


@pytest.mark.virtual_time
async def test_pause_after_a_failure_doubles_up_to_its_bound() -> None:
    queue: WorkQueue[str] = WorkQueue(min_pause_s=1.0, max_pause_s=8.0)
    queue.add("a")
    pauses = []
    for _ in range(6):
        key = await queue.take()
        pauses.append(queue.retry(key))

    for pause_s, most_s in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert most_s / 2 <= pause_s <= most_s


@pytest.mark.virtual_time
async def test_key_comes_back_when_its_pause_ends() -> None:
    loop = asyncio.get_running_loop()
    queue: WorkQueue[str] = WorkQueue(min_pause_s=10.0)
    queue.add("a")
    started = loop.time()
    pause_s = queue.retry(await queue.take())

    await queue.take()

    assert abs(loop.time() - started - pause_s) < 1e-6


@pytest.mark.virtual_time
async def test_news_ends_a_pause_but_not_the_memory_of_failures() -> None:
    loop = asyncio.get_running_loop()
    queue: WorkQueue[str] = WorkQueue(min_pause_s=10.0)
    queue.add("a")
    queue.retry(await queue.take())
    before = loop.time()
    queue.add("a")
    await queue.take()
    waited_s = loop.time() - before
    queue.add("a")

    assert queue.retry("a") == 0.0  # There was news meanwhile.

    await queue.take()
    pause_s = queue.retry("a")

    assert waited_s == 0.0
    assert 20.0 <= pause_s <= 40.0


@pytest.mark.virtual_time
async def test_success_forgets_failures() -> None:
    queue: WorkQueue[str] = WorkQueue(min_pause_s=1.0)
    queue.add("a")
    for _ in range(3):
        queue.retry(await queue.take())
    await queue.take()
    queue.done("a")
    queue.add("a")
    assert queue.retry(await queue.take()) <= 1.0


async def test_closed_queue_has_no_timers_left() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.retry(await queue.take())

    queue.close()

    assert repr(queue) == "<WorkQueue 0 waiting, 0 busy, 0 paused>"
