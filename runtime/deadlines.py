"""A deadline on one wait, told as an error of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

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
