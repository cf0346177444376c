"""Work that is given up once an event is set."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def cut_short(work: Coroutine[Any, Any, T], by: asyncio.Event) -> asyncio.Task[T]:
    """The ended task of ``work``, which is cancelled once ``by`` is set, or when this is cancelled.

    Work that ended by itself has its result or its error, also when ``by`` was set meanwhile.
    """
    working, cutting = asyncio.create_task(work), asyncio.create_task(by.wait())
    try:
        await asyncio.wait((working, cutting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        cutting.cancel()
        if not working.done():
            working.cancel()
        await asyncio.wait((working, cutting))
    return working
