from __future__ import annotations

import asyncio

import pytest

from springtide.runtime.loop_lag import LOOK_EVERY_S, LoopLag
from springtide.runtime.virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.virtual_time


class Machine:
    """A monotonic clock beside the loop's: something that blocks the loop makes it run ahead."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._blocked_s = 0.0

    def now(self) -> float:
        return self._loop.time() + self._blocked_s

    def block(self, seconds: float) -> None:
        self._blocked_s += seconds


async def test_loop_that_keeps_up_is_never_late(loop: VirtualTimeLoop) -> None:
    lag = LoopLag((0.1, 1.0), now=Machine(loop).now)

    await lag.start()
    await asyncio.sleep(10 * LOOK_EVERY_S + 0.1)
    await lag.stop()

    assert lag.numbers() == [0.0, 10, 0, 0]


async def test_time_in_which_the_loop_was_blocked_is_counted_once_and_by_its_length(loop: VirtualTimeLoop) -> None:
    machine = Machine(loop)
    lag = LoopLag((0.1, 1.0), now=machine.now)

    await lag.start()
    for blocked_s in (0.25, 3.0, 0.0):
        machine.block(blocked_s)
        await asyncio.sleep(LOOK_EVERY_S)
    await asyncio.sleep(LOOK_EVERY_S / 2)
    await lag.stop()

    assert lag.numbers() == [3.25, 1, 1, 1]


async def test_stopped_it_looks_no_more_and_can_be_stopped_again(loop: VirtualTimeLoop) -> None:
    lag = LoopLag((0.1,), now=Machine(loop).now)

    await lag.start()
    await asyncio.sleep(LOOK_EVERY_S + 0.1)
    await lag.stop()
    await lag.stop()
    await asyncio.sleep(10)

    assert lag.numbers() == [0.0, 1, 0]
