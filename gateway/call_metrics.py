"""What is counted about calls: plain numbers on the path, turned into metric families only when scraped."""

from __future__ import annotations

from bisect import bisect_left

from scaler.core import catalogue

_BUCKETS = catalogue.SECONDS.buckets
_COLD_BUCKETS = catalogue.COLD_START.buckets


class Histogram:
    """A histogram's buckets, each counted on its own (the exposition adds them up)."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self.counts)

    def cumulative(self) -> list[tuple[str, float]]:
        """Bucket bounds as text and the number at or below each, the last ``+Inf``."""
        rows, total = [], 0
        for bound, count in zip((*self._bounds, float("inf")), self.counts, strict=True):
            total += count
            rows.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
        return rows


class CallMetrics:
    """The counters of one function. A status is at most three digits, so a function has at most 900 of them."""

    __slots__ = ("cold_start", "held", "in_flight", "last_active", "refused", "seconds", "started")

    def __init__(self, *, last_active: float) -> None:
        self.started = 0
        self.in_flight = 0
        self.held = 0
        self.last_active = last_active
        self.seconds: dict[int, Histogram] = {}
        self.cold_start = Histogram(_COLD_BUCKETS)
        self.refused: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<CallMetrics started={self.started} in_flight={self.in_flight} held={self.held}>"

    @property
    def answered(self) -> int:
        return sum(histogram.count for histogram in self.seconds.values())

    def begin(self, wall: float) -> None:
        self.started += 1
        self.in_flight += 1
        self.last_active = wall

    def end(self, status: int, seconds: float, wall: float) -> None:
        self.in_flight -= 1
        self.last_active = wall
        histogram = self.seconds.get(status)
        if histogram is None:
            histogram = self.seconds[status] = Histogram(_BUCKETS)
        histogram.observe(seconds)

    def refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1
