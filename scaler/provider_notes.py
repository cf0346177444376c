"""Numbers that were learned of functions, told to the provider, which keeps them: each within a moment, never waited
for, and not again before the provider can have shown it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from springtide.runtime.errors import SpringtideError
from springtide.runtime.outage import Outage
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef

T = TypeVar("T", int, float)

MAX_AT_ONCE = 16
TOLD_S, FAILED_S = 5.0, 30.0
"""Before a function's number is told again: what the provider shows may be a moment old, and it may not take it."""


class ProviderNotes(Generic[T]):
    """``tell`` begins to tell one; ``aclose`` gives up what is being told."""

    def __init__(self, keep: Callable[[FunctionRef, T], Awaitable[None]], *, clock: Clock, outage: str) -> None:
        """``keep`` tells one within a deadline, and raises SpringtideError; ``outage`` is said once while it fails."""
        self._keep: Callable[[FunctionRef, T], Awaitable[None]] = keep
        self._clock = clock
        self._telling: dict[FunctionRef, asyncio.Task[None]] = {}
        self._again_at: dict[FunctionRef, float] = {}
        """Of functions that were told of a short time ago, so as few as those."""
        self._outage = Outage(outage)

    def __repr__(self) -> str:
        return f"<ProviderNotes {len(self._telling)} being told>"

    def tell(self, ref: FunctionRef, value: T) -> bool:
        """False: too many are being told; another time."""
        if len(self._telling) >= MAX_AT_ONCE:
            return False
        now = self._clock.now()
        self._again_at = {known: at for known, at in self._again_at.items() if at > now}
        if ref not in self._telling and ref not in self._again_at:
            self._telling[ref] = asyncio.create_task(self._tell(ref, value), name=f"learned of {ref}")
        return True

    async def aclose(self) -> None:
        tasks = list(self._telling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, ref: FunctionRef, value: T) -> None:
        pause_s = FAILED_S
        try:
            await self._keep(ref, value)
            pause_s = TOLD_S
            self._outage.over()
        except SpringtideError as error:
            self._outage.failed(str(error), function=str(ref))
        finally:
            self._again_at[ref] = self._clock.now() + pause_s
            del self._telling[ref]
