from __future__ import annotations

import asyncio

import pytest

from springtide.runtime.virtual_time import EPOCH, VirtualTimeLoop, run

pytestmark = pytest.mark.virtual_time


async def test_a_day_passes_at_once_and_to_the_second(loop: VirtualTimeLoop) -> None:

    await asyncio.sleep(86_400)
    assert (loop.time(), loop.clock.now(), loop.clock.wall()) == (86_400, 86_400, EPOCH + 86_400)


async def test_tasks_wake_in_the_order_of_their_time(loop: VirtualTimeLoop) -> None:
    woken: list[tuple[float, str]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((loop.time(), name))

    await asyncio.gather(sleeper("late", 30), sleeper("early", 10), sleeper("between", 20))

    assert woken == [(10, "early"), (20, "between"), (30, "late")]


async def test_time_stands_still_while_tasks_work(loop: VirtualTimeLoop) -> None:

    for _ in range(1000):
        await asyncio.sleep(0)

    assert loop.clock.now() == 0


async def test_deadlines_expire_in_virtual_time(loop: VirtualTimeLoop) -> None:

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(1000), 7)

    assert loop.clock.now() == 7


def test_a_task_that_nothing_can_wake_is_an_error_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="this would hang for ever"):
        run(main(), VirtualTimeLoop())


async def test_years_pass_without_a_stop(loop: VirtualTimeLoop) -> None:

    await asyncio.sleep(2.0**28)
    for _ in range(100):
        await asyncio.sleep(0.1)
    assert loop.clock.now() == pytest.approx(2.0**28 + 10, abs=1e-3)
