"""One at a time for each function, first come first served; functions do not wait for one another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from springtide.scaler.core.vocabulary import FunctionRef


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanted_by: int = 0


class Turns:
    """Holds a lock for as long as somebody has it or waits for it, so that it stays as small as what is going on."""

    def __init__(self) -> None:
        self._turns: dict[FunctionRef, _Turn] = {}

    def __len__(self) -> int:
        return len(self._turns)

    @contextlib.asynccontextmanager
    async def of(self, ref: FunctionRef) -> AsyncIterator[None]:
        turn = self._turns.setdefault(ref, _Turn())
        turn.wanted_by += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.wanted_by -= 1
            if not turn.wanted_by:
                del self._turns[ref]
