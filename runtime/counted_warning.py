"""A warning about what strangers do as often as they like: a line at once, then one a minute with how often it was."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

PAUSE_S = 60.0
"""Between two lines in the log."""

log = structlog.get_logger(__name__)


class CountedWarning:
    def __init__(self, event: str) -> None:
        self._event = event
        self._untold = 0
        self._quiet_until = 0.0

    def __repr__(self) -> str:
        return f"<CountedWarning {self._event!r}, {self._untold} untold>"

    def seen(self, **facts: str) -> None:
        """Once more. Those that follow a line within a minute are told together at its end, with the first one's facts.

        For the thread of a running event loop.
        """
        self._untold += 1
        loop = asyncio.get_running_loop()
        if loop.time() >= self._quiet_until:
            self._write(facts)
        elif self._untold == 1:
            loop.call_at(self._quiet_until, self._write, facts)

    def _write(self, facts: Mapping[str, str]) -> None:
        times, self._untold = self._untold, 0
        self._quiet_until = asyncio.get_running_loop().time() + PAUSE_S
        log.warning(self._event, times=times, **facts)
