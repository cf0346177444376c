"""A feed of events that a system pushes unasked: some wait here, and beyond that the system is not listened to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from springtide.runtime.errors import SpringtideError
from springtide.triggers.source import Received

MAX_WAITING = 1000


class PushedEvents:
    """Implements ``source.Feed``. ``put`` by the library's listener, ``fail`` once when the connection is lost."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._waiting: deque[Received] = deque()
        self._max_waiting = max_waiting
        self._changed, self._room = asyncio.Event(), asyncio.Event()
        self._error: SpringtideError | None = None

    def __repr__(self) -> str:
        return f"<PushedEvents {len(self._waiting)} waiting>"

    async def put(self, received: Received) -> None:
        """Return when there is room for it."""
        while not self.offer(received):
            self._room.clear()
            await self._room.wait()

    def offer(self, received: Received) -> bool:
        """For a listener that cannot wait: False where there is no room for it."""
        if len(self._waiting) >= self._max_waiting:
            return False
        self.add(received)
        return True

    def add(self, received: Received) -> None:
        """For what the system itself bounds, or was given out before: there is always room."""
        self._waiting.append(received)
        self._changed.set()

    def fail(self, error: SpringtideError) -> None:
        """What waits is given out first; then ``take`` raises it."""
        self._error = self._error or error
        self._changed.set()

    async def take(self, limit: int) -> Sequence[Received]:
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._changed.clear()
            await self._changed.wait()
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        self._room.set()
        return taken
