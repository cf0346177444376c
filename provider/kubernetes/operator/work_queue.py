"""What is to be looked at: each key once, however often it is asked for, and by one worker at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

from springtide.runtime.backoff import Backoff

K = TypeVar("K", bound=Hashable)

MIN_PAUSE_S, MAX_PAUSE_S = 0.2, 60.0


class WorkQueue(Generic[K]):
    """Never longer than there are keys. Everything but ``take`` is synchronous."""

    def __init__(self, *, min_pause_s: float = MIN_PAUSE_S, max_pause_s: float = MAX_PAUSE_S) -> None:
        # With jitter, so that keys that failed together do not come back together.
        self._backoff = Backoff(min_pause_s, max_pause_s, jitter=0.5)
        self._waiting: dict[K, None] = {}
        self._busy: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._paused: dict[K, asyncio.TimerHandle] = {}
        self._filled = asyncio.Event()

    def __repr__(self) -> str:
        return f"<WorkQueue {len(self._waiting)} waiting, {len(self._busy)} busy, {len(self._paused)} paused>"

    def add(self, key: K) -> None:
        """There is news: look at it now, or once more when a worker is at it already. Ends a pause."""
        if key in self._busy:
            self._again.add(key)
            return
        self._unpause(key)
        self._waiting[key] = None
        self._filled.set()

    async def take(self) -> K:
        """The key that waited longest. The taker says ``done`` or ``retry``."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._busy.add(key)
        return key

    def done(self, key: K) -> None:
        self._failures.pop(key, None)
        self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def retry(self, key: K) -> float:
        """It did not work: again after a pause, which doubles each time; at once when there was news meanwhile."""
        failures = self._failures.get(key, 0) + 1
        self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self._failures[key] = failures
            self.add(key)
            return 0.0
        self._failures[key] = failures
        pause_s = self._backoff.delay_s(failures)
        self._paused[key] = asyncio.get_running_loop().call_later(pause_s, self.add, key)
        return pause_s

    def close(self) -> None:
        for key in list(self._paused):
            self._unpause(key)

    def _unpause(self, key: K) -> None:
        timer = self._paused.pop(key, None)
        if timer is not None:
            timer.cancel()
