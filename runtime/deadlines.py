"""A deadline on one wait, told as an error of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from springtide.runtime.errors import Unavailable

T = TypeVar("T")


async def within(deadline_s: float, what: str, awaitable: Awaitable[T]) -> T:
    """The result of ``awaitable``; raises Unavailable naming ``what`` when it takes longer."""
    try:
        async with asyncio.timeout(deadline_s) as timer:
            return await awaitable
    except TimeoutError as error:
        if not timer.expired():
            raise
        raise Unavailable(f"{what}: no answer within {deadline_s:g} s") from error


CANCEL_AGAIN_S = 0.2


async def stubborn_within(deadline_s: float, work: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.timeout``, of ``work`` that may pass over being cancelled: it is cancelled until it has ended.

    Raises TimeoutError. A library may take a cancellation for that of a task of its own which it waits for, and
    Python's ``asyncio.wait_for`` loses one that comes together with its result (until 3.12, gh-86296); ``timeout``
    cancels once, and would then wait for ever.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=deadline_s)
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_AGAIN_S)
        if not task.cancelled():
            task.exception()  # seen, though nobody asks for it where we are cancelled ourselves
    if task.cancelled():
        raise TimeoutError
    return task.result()
