"""How long one call waited for a replica, and what that time was spent on."""

from __future__ import annotations

from springtide.gateway.call_metrics import Histogram
from springtide.gateway.call_record import CallRecord
from springtide.gateway.route import Route

_ENVIRONMENT = b", environment;dur=%.2f"
"""Inside ``ready``: until the interpreter of the function's environment was there. Told where it had to be started."""
_SERVER_TIMING = b"\r\nServer-Timing: " + b", ".join(
    name + b";dur=%.2f" for name in (b"hold", b"decided", b"accepted", b"ready", b"first-byte")
)


class WaitTiming:
    """``cold``: at some time of it no replica was ready. A call that loses its replica may wait once more."""

    __slots__ = ("_accepted", "_counted", "_decided", "_record", "_released", "_route", "began", "cold")

    def __init__(self, route: Route, began: float, record: CallRecord | None = None) -> None:
        self._route = route
        self._record = record
        self.began = self._decided = self._accepted = self._released = began
        self.cold = False
        self._counted = False

    def __repr__(self) -> str:
        return f"<WaitTiming {'cold' if self.cold else 'warm'}>"

    def release(self, now: float) -> None:
        """A replica takes the call."""
        route = self._route
        self._released = now
        self._decided, self._accepted = self.wake_within(self.began, now)
        if self.cold and not self._counted:
            self._counted = True
            self._observe(route.metrics.cold_start, now - self.began, now)
        if self._record is not None:
            self._record.taken_from_queue(now, cold=self.cold, wake_within=self.wake_within)

    def wake_within(self, began: float, now: float) -> tuple[float, float]:
        """When the function's last wake was decided and when it was accepted, as far as that was in this time."""
        decided = min(max(self._route.decided_at, began), now)
        return decided, min(max(self._route.accepted_at, decided), now)

    def answer(self, now: float) -> bytes:
        """The answer begins: count the parts of a cold start, and tell them in a ``Server-Timing`` header."""
        parts = (
            self._decided - self.began,
            self._accepted - self._decided,
            self._released - self._accepted,
            now - self._released,
        )
        if self.cold:
            for histogram, seconds in zip(self._route.metrics.cold_parts, parts, strict=True):
                self._observe(histogram, seconds, now)
        told = _SERVER_TIMING % tuple(seconds * 1e3 for seconds in (self._released - self.began, *parts))
        environment_s = min(self._route.environment_s, parts[2])
        return told + _ENVIRONMENT % (environment_s * 1e3) if self.cold and environment_s > 0 else told

    def _observe(self, histogram: Histogram, seconds: float, now: float) -> None:
        histogram.observe(seconds)
        exemplar = self._record.exemplar(seconds, now) if self._record is not None else None
        if exemplar is not None:
            histogram.exemplify(exemplar)
