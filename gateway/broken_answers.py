"""Answers that were broken off after they had begun, told in the log: their callers see no status and no sentence."""

from __future__ import annotations

import structlog

from springtide.scaler.core.ports import Clock

LOG_PAUSE_S = 10.0
"""Between two lines of one function and reason: a replica that dies takes thousands of answers with it."""

MAX_REMEMBERED = 1000

log = structlog.get_logger(__name__)


class BrokenAnswers:
    """One line says how many more there were since the last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._quiet_until: dict[tuple[str, str], float] = {}
        self._untold: dict[tuple[str, str], int] = {}

    def __repr__(self) -> str:
        return f"<BrokenAnswers {len(self._quiet_until)} told of>"

    def note(self, function: str, reason: str, why: str) -> None:
        """An answer of ``function`` was broken off."""
        now, key = self._clock.now(), (function, reason)
        if now < self._quiet_until.get(key, 0.0):
            self._untold[key] = self._untold.get(key, 0) + 1
            return
        if len(self._quiet_until) >= MAX_REMEMBERED:
            self._quiet_until.clear()
            self._untold.clear()
        self._quiet_until[key] = now + LOG_PAUSE_S
        more = self._untold.pop(key, 0)
        log.warning("an answer was broken off", function=function, reason=reason, why=why, others_since=more)
