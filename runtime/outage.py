"""How the log is told of a fault that lasts: at its start, at intervals that grow, and at its end, with its duration.

A loop that tries again every second would otherwise fill the log with one sentence, just when people read it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog

MIN_PAUSE_S, MAX_PAUSE_S = 10.0, 600.0
CALM_S = 60.0
"""What comes back sooner is the same outage, as far as intervals go: a fault that flaps is told no more often."""

log = structlog.get_logger()


class Outage:
    """One fault, which each attempt finds there or gone."""

    def __init__(self, what: str, **about: Any) -> None:
        """``what`` names the fault, ``about`` whose it is."""
        self._what, self._about = what, about
        self._since: float | None = None
        self._failures = 0
        self._told = False
        self._pause_s = MIN_PAUSE_S
        self._next_at = self._calm_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Outage {self._what}: {'over' if self._since is None else f'{self._failures} failures'}>"

    def failed(self, why: str, **more: Any) -> None:
        """It is there, once more."""
        now = _now()
        if self._since is None:
            self._since, self._failures, self._told = now, 0, False
            if now >= self._calm_at:
                self._pause_s, self._next_at = MIN_PAUSE_S, now
        self._failures += 1
        if now < self._next_at:
            return
        lasting = {"lasts_s": round(now - self._since, 1), "failures": self._failures} if self._failures > 1 else {}
        log.warning(self._what, **self._about, **more, why=why, **lasting)
        self._told = True
        self._next_at = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, MAX_PAUSE_S)

    def over(self) -> None:
        """An attempt worked."""
        if self._since is None:
            return
        now = _now()
        if self._told:
            lasted = {"lasted_s": round(now - self._since, 1), "failures": self._failures}
            log.info(f"over: {self._what}", **self._about, **lasted)
        self._since, self._calm_at = None, now + CALM_S


def _now() -> float:
    """The loop's clock, which tests may run ahead; the machine's where there is no loop."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
