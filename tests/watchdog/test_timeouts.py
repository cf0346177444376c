"""A bound of time around awaits, as ``asyncio.timeout`` of newer Pythons has it."""

from __future__ import annotations

import asyncio

import pytest

from springtide.watchdog.timeouts import timeout, timeout_at

pytestmark = pytest.mark.virtual_time


async def test_block_that_takes_too_long_is_ended_at_its_time() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):
        async with timeout(2.0):
            await asyncio.sleep(100.0)

    assert loop.time() - began == 2.0


async def test_block_in_time_is_not_ended_later() -> None:
    async with timeout(2.0) as limit:
        await asyncio.sleep(1.0)
    await asyncio.sleep(5.0)

    assert not limit.expired()


async def test_no_bound_is_none() -> None:
    async with timeout(None):
        await asyncio.sleep(1e6)


async def test_time_that_is_over_already_ends_the_first_wait() -> None:
    with pytest.raises(TimeoutError):
        async with timeout_at(asyncio.get_running_loop().time() - 1.0):
            await asyncio.sleep(0.5)


async def test_bound_can_be_prolonged_as_long_as_something_happens() -> None:
    async def busy_and_then_silent() -> None:
        async with timeout(2.0) as limit:
            for _ in range(10):
                await asyncio.sleep(1.5)
                limit.prolong(2.0)
            await asyncio.sleep(100.0)

    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        await busy_and_then_silent()

    assert asyncio.get_running_loop().time() - began == 10 * 1.5 + 2.0


async def test_error_of_the_block_is_its_own() -> None:
    with pytest.raises(KeyError):
        async with timeout(2.0):
            raise KeyError


async def test_cancellation_from_outside_is_no_timeout() -> None:
    async def bounded() -> None:
        async with timeout(100.0):
            await asyncio.sleep(1000.0)

    task = asyncio.create_task(bounded())
    await asyncio.sleep(1.0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_outer_bound_that_is_over_first_wins() -> None:
    with pytest.raises(TimeoutError):
        async with timeout(1.0) as outer, timeout(2.0) as inner:
            await asyncio.sleep(100.0)

    assert (outer.expired(), inner.expired()) == (True, False)
