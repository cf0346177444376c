"""A bound on requests per second that lets bursts through."""

from __future__ import annotations

import asyncio


class Pace:
    """A token bucket: ``turn`` returns at once while fewer than ``burst`` came lately, then ``per_s`` a second."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, float(burst)
        self._tokens = self._burst
        self._at: float | None = None

    def __repr__(self) -> str:
        return f"<Pace {self._tokens:.0f} of {self._burst:.0f}>"

    async def turn(self) -> None:
        """First come, first served: each waiter reserves its token before it waits."""
        now = asyncio.get_running_loop().time()
        passed_s = 0.0 if self._at is None else now - self._at
        self._at = now
        self._tokens = min(self._burst, self._tokens + passed_s * self._per_s) - 1
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._per_s)
