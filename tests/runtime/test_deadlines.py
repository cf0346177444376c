"""Deadlines hold for work that passes over being cancelled, too."""

from __future__ import annotations

import asyncio
import gc

import pytest

from springtide.runtime.deadlines import stubborn_within

pytestmark = pytest.mark.virtual_time


class Stubborn:
    """Work that takes the first ``deaf`` cancellations for somebody else's."""

    def __init__(self, deaf: int) -> None:
        self._deaf = deaf
        self.heard = 0
        self.running = False

    async def run(self) -> None:
        self.running = True
        try:
            while True:
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    self.heard += 1
                    if self.heard > self._deaf:
                        raise
        finally:
            self.running = False


@pytest.mark.parametrize("deaf", [0, 1, 5])
async def test_work_that_passes_over_cancellations_ends_all_the_same(deaf: int) -> None:
    work = Stubborn(deaf)

    with pytest.raises(TimeoutError):
        await stubborn_within(3, work.run())

    assert (work.heard, work.running) == (deaf + 1, False)


async def test_result_and_error_are_those_of_the_work() -> None:
    async def fail() -> None:
        raise ConnectionRefusedError

    assert await stubborn_within(3, asyncio.sleep(1, "done")) == "done"
    with pytest.raises(ConnectionRefusedError):
        await stubborn_within(3, fail())


async def test_whoever_waits_may_be_cancelled_and_the_work_with_it() -> None:
    work = Stubborn(2)
    waiting = asyncio.create_task(stubborn_within(30, work.run()))
    await asyncio.sleep(1)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not work.running


async def test_error_of_work_that_nobody_waits_for_any_more_is_not_logged_as_forgotten() -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            raise ConnectionRefusedError

    waiting = asyncio.create_task(stubborn_within(30, work()))
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    del waiting
    gc.collect()

    assert told == []
