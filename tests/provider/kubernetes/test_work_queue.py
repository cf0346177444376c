from __future__ import annotations

import asyncio

from springtide.provider.kubernetes.operator.work_queue import WorkQueue
from springtide.runtime.virtual_time import VirtualTimeLoop, run


def test_key_asked_for_often_is_taken_once_in_the_order_of_arrival() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for key in ("a", "b", "a", "a"):
            queue.add(key)

        assert [await queue.take(), await queue.take()] == ["a", "b"]
        assert repr(queue) == "<WorkQueue 0 waiting, 2 busy, 0 paused>"

    asyncio.run(story())


def test_news_while_a_worker_is_at_it_brings_the_key_back_afterwards() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        await queue.take()

        queue.add("a")
        assert repr(queue) == "<WorkQueue 0 waiting, 1 busy, 0 paused>"
        queue.done("a")

        assert await queue.take() == "a"
        queue.done("a")
        assert repr(queue) == "<WorkQueue 0 waiting, 0 busy, 0 paused>"

    asyncio.run(story())


def test_taker_waits_for_the_first_key() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        taking = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        assert not taking.done()

        queue.add("a")

        assert await taking == "a"

    asyncio.run(story())


def test_pause_after_a_failure_doubles_up_to_its_bound() -> None:
    async def story() -> list[float]:
        queue: WorkQueue[str] = WorkQueue(min_pause_s=1.0, max_pause_s=8.0)
        queue.add("a")
        pauses = []
        for _ in range(6):
            key = await queue.take()
            pauses.append(queue.retry(key))
        return pauses

    pauses = run(story(), VirtualTimeLoop())

    for pause_s, most_s in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert most_s / 2 <= pause_s <= most_s


def test_key_comes_back_when_its_pause_ends() -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        queue: WorkQueue[str] = WorkQueue(min_pause_s=10.0)
        queue.add("a")
        started = loop.time()
        pause_s = queue.retry(await queue.take())

        await queue.take()

        return loop.time() - started - pause_s

    assert abs(run(story(), VirtualTimeLoop())) < 1e-6


def test_news_ends_a_pause_but_not_the_memory_of_failures() -> None:
    async def story() -> tuple[float, float]:
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
        return waited_s, queue.retry("a")

    waited_s, pause_s = run(story(), VirtualTimeLoop())

    assert waited_s == 0.0
    assert 20.0 <= pause_s <= 40.0


def test_success_forgets_failures() -> None:
    async def story() -> float:
        queue: WorkQueue[str] = WorkQueue(min_pause_s=1.0)
        queue.add("a")
        for _ in range(3):
            queue.retry(await queue.take())
        await queue.take()
        queue.done("a")
        queue.add("a")
        return queue.retry(await queue.take())

    assert run(story(), VirtualTimeLoop()) <= 1.0


def test_closed_queue_has_no_timers_left() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        queue.retry(await queue.take())

        queue.close()

        assert repr(queue) == "<WorkQueue 0 waiting, 0 busy, 0 paused>"

    asyncio.run(story())
