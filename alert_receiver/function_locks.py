"""A lock for each function: tasks for one function run one after the other, different functions side by side."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from springtide.scaler.core.vocabulary import FunctionRef


@dataclass(slots=True)
class _Lock:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanted_by: int = 0


class FunctionLocks:
    """Keeps a lock only while a task holds it or waits for it, so that memory follows what is under way."""

    def __init__(self) -> None:
        self._locks: dict[FunctionRef, _Lock] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @contextlib.asynccontextmanager
    async def of(self, ref: FunctionRef) -> AsyncIterator[None]:
        entry = self._locks.setdefault(ref, _Lock())
        entry.wanted_by += 1
        try:
            async with entry.lock:
                yield
        finally:
            entry.wanted_by -= 1
            if not entry.wanted_by:
                del self._locks[ref]
