"""An answer that many look at: asked for when somebody does, once for all who do, and kept for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from springtide.scaler.core.ports import Clock

T = TypeVar("T")


class FreshAnswer(Generic[T]):
    """Who comes while it is asked for waits for that answer. What ``ask`` raises is raised, and not kept."""

    def __init__(self, ask: Callable[[], Awaitable[T]], fresh_for_s: float, clock: Clock) -> None:
        self._ask = ask
        self._fresh_for_s = fresh_for_s
        self._clock = clock
        self._asking = asyncio.Lock()
        self._last: tuple[float, T] | None = None

    def __repr__(self) -> str:
        return f"<FreshAnswer {self._last}>"

    async def get(self) -> T:
        async with self._asking:
            if self._last is None or self._clock.now() - self._last[0] >= self._fresh_for_s:
                answer = await self._ask()
                self._last = (self._clock.now(), answer)
            return self._last[1]
