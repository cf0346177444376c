"""Deliveries whose function was called with them at once, so that one that comes again is not run again.

What the queue takes needs none of this: it knows its keys for a day, over restarts and for all gateways.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass

from springtide.gateway.call_record import CallRecord
from springtide.scaler.core.ports import Clock

MAX_SEEN = 10_000
KEPT_S = 86_400.0
TRIED_AGAIN = frozenset((408, 425, 429, 499))
"""After these and every 5xx senders try again, and are to be heard: the delivery was not done."""


class Before(enum.Enum):
    NEVER = "never"
    RUNS = "runs"
    DONE = "done"


class Seen:
    """Of this process, and until it ends: other workers and other gateways have their own."""

    def __init__(self, clock: Clock, *, max_seen: int = MAX_SEEN) -> None:
        self._clock, self._max = clock, max_seen
        self._known: OrderedDict[str, tuple[Before, float]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Seen {len(self._known)} deliveries>"

    def begin(self, key: str) -> Before:
        """What is known of it; it runs from now on, unless it was seen before."""
        now = self._clock.now()
        before, at = self._known.get(key, (Before.NEVER, now))
        if before is not Before.NEVER and now - at < KEPT_S:
            return before
        self._known[key] = Before.RUNS, now
        self._known.move_to_end(key)
        if len(self._known) > self._max:
            self._known.popitem(last=False)
        return Before.NEVER

    def end(self, key: str, status: int) -> None:
        if status >= 500 or status in TRIED_AGAIN or not status:
            self._known.pop(key, None)
        elif key in self._known:
            self._known[key] = Before.DONE, self._clock.now()


@dataclass(frozen=True, slots=True)
class SeenCall:
    """An ``AccessLog`` of one call: its end is noted."""

    seen: Seen
    key: str

    def finished(self, record: CallRecord, status: int, now: float) -> None:  # noqa: ARG002 - the Protocol's
        self.seen.end(self.key, status)
