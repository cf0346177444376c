"""Many functions, a few at a time, so that whoever brings ten thousand holds nobody else up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from springtide.runtime.keyed_locks import KeyedLocks
from springtide.scaler.core.vocabulary import FunctionRef

T = TypeVar("T")


class Turns:
    """At most ``slots`` functions are in hand at once, each by one task, and no batch of them has all the slots."""

    def __init__(self, slots: int) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._share = max(1, slots * 3 // 4)
        self._descents = asyncio.Semaphore(self._share)
        self._locks: KeyedLocks[FunctionRef] = KeyedLocks()

    def __len__(self) -> int:
        """Functions in hand."""
        return len(self._locks)

    async def batch(
        self, refs: Iterable[FunctionRef], work: Callable[[FunctionRef], Awaitable[None]], *, within_s: float
    ) -> list[FunctionRef]:
        """Work on each in turn; returns those that were not begun after so many seconds. What was begun is ended."""
        loop = asyncio.get_running_loop()
        waiting, until = deque(refs), loop.time() + within_s

        async def worker() -> None:
            while waiting and loop.time() < until:
                await self._in_turn(waiting.popleft(), work)

        await asyncio.gather(*(worker() for _ in range(min(self._share, len(waiting)))))
        return list(waiting)

    async def descent(self, ref: FunctionRef, work: Callable[[FunctionRef], Awaitable[T]]) -> T:
        """Work on one of all the functions that are on their way down, which are a batch together."""
        async with self._descents:
            return await self._in_turn(ref, work)

    async def _in_turn(self, ref: FunctionRef, work: Callable[[FunctionRef], Awaitable[T]]) -> T:
        # The lock first: who waits for a function that another one has in hand takes no slot meanwhile.
        async with self._locks.of(ref), self._slots:
            return await work(ref)
