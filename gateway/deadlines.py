"""Time-outs that cost a call next to nothing: one timer for all that share a length, not one timer each.

Everything in one queue waits equally long, so it expires in the order it was started in, and a dict in insertion
order is the whole data structure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class DeadlineQueue(Generic[T]):
    """Calls ``expire`` with each item that was not stopped within ``seconds`` of its start; 0 means never."""

    __slots__ = ("__weakref__", "_deadlines", "_expire", "_loop", "_seconds", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, expire: Callable[[T], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._expire = expire
        self._deadlines: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<DeadlineQueue {self._seconds:g} s, {len(self._deadlines)} running>"

    def __len__(self) -> int:
        return len(self._deadlines)

    @property
    def seconds(self) -> float:
        return self._seconds

    def start(self, item: T) -> None:
        """Start or restart the time of ``item``."""
        if not self._seconds:
            return
        deadlines = self._deadlines
        deadlines.pop(item, None)
        deadlines[item] = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._fire)

    def stop(self, item: T) -> None:
        self._deadlines.pop(item, None)

    def running(self, item: T) -> bool:
        return item in self._deadlines

    def close(self) -> None:
        self._deadlines.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        due = []
        for item, deadline in self._deadlines.items():
            if deadline > now:
                self._timer = self._loop.call_at(deadline, self._fire)
                break
            due.append(item)
        for item in due:
            # Expiring one may have stopped or restarted another.
            if self._deadlines.get(item, now + 1) <= now:
                del self._deadlines[item]
                self._expire(item)
