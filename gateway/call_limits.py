"""Which limit ends a call of a function: the function's own where it has one, else the gateway's. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.gateway.time_limit import TimeLimit, shown_s
from springtide.scaler.core.call_timeout import EXEC_TIMEOUT, TIMEOUT, WRITE_TIMEOUT, CallTimeout

WATCHDOG_FIRST_S = 2.0
"""The watchdog ends a call at exec_timeout itself, and knows more of it: the gateway waits this much longer."""

_OWN = "the function"
_REMEDIES = {
    TIMEOUT: f"set its annotation {TIMEOUT}",
    EXEC_TIMEOUT: "set exec_timeout in its environment",
    WRITE_TIMEOUT: "set exec_timeout in its environment",
}


@dataclass(frozen=True, slots=True)
class CallBounds:
    """``default_s``: for a function that says nothing. ``max_s``: the most that one is given. 0 is no limit of either.

    An operator whose default is longer than ``max_s`` means the default.
    """

    default_s: float
    max_s: float

    def of(self, own: CallTimeout | None) -> TimeLimit:
        """The limit that holds for a function which says ``own`` of itself."""
        default = TimeLimit(
            "upstream_timeout",
            self.default_s,
            remedy="set upstream_timeout, or exec_timeout in the function's environment",
        )
        # How long an answer may be written says when it comes at the latest, not that it comes by then.
        if own is None or (own.source == WRITE_TIMEOUT and (not self.default_s or own.seconds <= self.default_s)):
            return default
        if self._beyond(own):
            longer = f"{own.source} ({shown_s(own.seconds)})" if own.seconds else f"{own.source} without a limit"
            return self.most._replace(remedy=f"{longer} of the function is more than that; set max_call_duration")
        return TimeLimit(own.source, own.seconds, _OWN, _REMEDIES.get(own.source, ""))

    def warning(self, own: CallTimeout | None) -> str:
        """Why a function will not be waited for as long as it asks; empty when it will."""
        if own is None or not own.seconds or not self._beyond(own):
            return ""
        return (
            f"{own.source} ({shown_s(own.seconds)}) is longer than any call may take: {self.most} ends it; "
            f"set max_call_duration={own.seconds:.0f}s there, or a shorter {own.source}"
        )

    def idle_s(self, answer_s: float) -> float:
        """How long an answer may be silent that was given ``answer_s`` to begin; no limit of either is none here."""
        return max(self.default_s, answer_s) if self.default_s and answer_s else 0.0

    @property
    def most(self) -> TimeLimit:
        """What bounds any call; 0 seconds where nothing does."""
        if self.default_s > self.max_s > 0:
            return TimeLimit("upstream_timeout", self.default_s)
        return TimeLimit("max_call_duration", self.max_s if self.default_s else 0.0)

    def _beyond(self, own: CallTimeout) -> bool:
        return bool(self.most.seconds) and not 0 < own.seconds <= self.most.seconds


def patience_s(limit: TimeLimit) -> float:
    """How long the gateway waits before it ends a call by ``limit`` itself."""
    return limit.seconds + WATCHDOG_FIRST_S if limit.name == EXEC_TIMEOUT else limit.seconds
