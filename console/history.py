"""The last minutes of every function, in memory: so that charts work without Prometheus."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from springtide.wire.function_rates import FunctionRates

COLUMNS = ("desired", "ready", "rate", "errors", "p95_s", "in_flight")
SLOTS = 450
"""A quarter of an hour at a slot each two seconds; 11 kB a function."""


class History:
    """Evenly spaced slots, the newest last. A slot nobody filled holds no number: a gap is shown as a gap."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._columns = {name: array("f", [math.nan]) * slots for name in COLUMNS}
        self._newest: int | None = None
        self._filled = 0

    def put(self, slot: int, measures: FunctionRates) -> None:
        """``slot`` counts steps since the epoch. One that is filled already is written again."""
        self._advance(slot)
        for name, column in self._columns.items():
            value = getattr(measures, name)
            column[slot % self._slots] = math.nan if value is None else value

    def last(self, max_slots: int, until: int) -> dict[str, list[float | None]]:
        """At most ``max_slots`` slots up to ``until``, oldest first, none from before the first that was filled."""
        if self._newest is None:
            return {name: [] for name in COLUMNS}
        # What is older than the ring itself is gone, however long nothing new came.
        first = max(until - max_slots + 1, self._newest - self._filled + 1)
        slots = range(first, until + 1)
        return {name: [self._at(column, slot) for slot in slots] for name, column in self._columns.items()}

    def _at(self, column: Sequence[float], slot: int) -> float | None:
        assert self._newest is not None
        if slot > self._newest or slot <= self._newest - self._filled:
            return None
        value = column[slot % self._slots]
        return None if math.isnan(value) else value

    def _advance(self, slot: int) -> None:
        if self._newest is None:
            self._newest, self._filled = slot, 1
            return
        if slot - self._newest >= self._slots or slot < self._newest:
            # Longer away than the ring is long, or the clock was set back: begin again.
            for column in self._columns.values():
                column[:] = array("f", [math.nan]) * self._slots
            self._newest, self._filled = slot, 1
            return
        for skipped in range(self._newest + 1, slot + 1):
            for column in self._columns.values():
                column[skipped % self._slots] = math.nan
        self._filled = min(self._slots, self._filled + slot - self._newest)
        self._newest = slot
