"""How late a process's event loop is: the time that callers of every kind wait because something else runs."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence

LOOK_EVERY_S = 0.5
"""Two looks a second cost nothing that can be measured, and see a loop that is stuck for longer than that."""


class LoopLag:
    """A Service that counts, by size, how late its timer came: a histogram with ``bounds`` as upper bounds."""

    name = "loop-lag"

    def __init__(self, bounds: Sequence[float], *, now: Callable[[], float] = time.monotonic) -> None:
        self._bounds = tuple(bounds)
        self._now = now
        self._sum = 0.0
        self._counts = [0] * (len(self._bounds) + 1)
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<LoopLag {sum(self._counts)} looks, {self._sum:.3f} s late altogether>"

    def numbers(self) -> list[float]:
        """The sum of all lags, then how many fell into each bucket; the last one has no bound."""
        return [self._sum, *self._counts]

    async def start(self) -> None:
        self._plan(asyncio.get_running_loop())

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def wait(self) -> None:
        await asyncio.Event().wait()

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = self._now() + LOOK_EVERY_S
        self._timer = loop.call_later(LOOK_EVERY_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        late_s = max(0.0, self._now() - self._due)  # uvloop's timers may come a millisecond early
        self._sum += late_s
        self._counts[bisect_left(self._bounds, late_s)] += 1
        self._plan(loop)
