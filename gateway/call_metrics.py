"""What is counted about calls: plain numbers on the path, turned into metric families only when scraped."""

from __future__ import annotations

from bisect import bisect_left
from http import HTTPStatus
from typing import NamedTuple

from springtide.scaler.core import catalogue
from springtide.wire.busy_periods import QUIET_S

_BUCKETS = catalogue.SECONDS.buckets
_COLD_BUCKETS = catalogue.COLD_START.buckets
_PART_BUCKETS = catalogue.COLD_START_PART.buckets

MAX_CODES = 20
"""Series of one function's statuses, besides the nine for hundreds."""

OWN_SERIES = frozenset({*map(int, HTTPStatus), 499})
"""Statuses that mean something; 499 is the caller's leaving."""

_SUMS = ("started", "in_flight", "held")
"""Attributes of CallMetrics that are one number and add up."""

Numbers = dict[str, dict[str, list[float]]]
"""CallMetrics as JSON can carry them: by attribute, then by what it is divided by (empty where it is not)."""


class Exemplar(NamedTuple):
    """One observation of a bucket whose call was traced: seconds, when (of the epoch), and its trace."""

    value: float
    at: float
    trace_id: int


class Histogram:
    """A histogram's buckets, each counted on its own (the exposition adds them up).

    Each bucket remembers the last observation that has a trace, as OpenMetrics allows it to.
    """

    __slots__ = ("_bounds", "_exemplars", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._exemplars: dict[int, Exemplar] | None = None  # nearly always; thousands of functions have many of these
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def exemplify(self, exemplar: Exemplar) -> None:
        """Remember what has just been observed, unless its bucket knows a later one."""
        if self._exemplars is None:
            self._exemplars = {}
        bucket = bisect_left(self._bounds, exemplar.value)
        known = self._exemplars.get(bucket)
        if known is None or known.at <= exemplar.at:
            self._exemplars[bucket] = exemplar

    def add(self, numbers: list[float]) -> None:
        """Count in another histogram of the same bounds, as ``as_numbers`` gives it."""
        counts_end = 1 + len(self.counts)
        self.sum += numbers[0]
        self.counts = [ours + int(theirs) for ours, theirs in zip(self.counts, numbers[1:counts_end], strict=True)]
        for at in range(counts_end, len(numbers), len(Exemplar._fields)):
            value, when, trace_id = numbers[at : at + len(Exemplar._fields)]
            self.exemplify(Exemplar(value, when, int(trace_id)))

    def as_numbers(self) -> list[float]:
        """Sum, the count of each bucket, and the exemplars one behind the other."""
        numbers = [self.sum, *self.counts]
        for exemplar in (self._exemplars or {}).values():
            numbers += exemplar
        return numbers

    @property
    def count(self) -> int:
        return sum(self.counts)

    def cumulative(self) -> list[tuple[str, float, Exemplar | None]]:
        """Bucket bounds as text, the number at or below each, and the bucket's exemplar; the last bound is ``+Inf``."""
        exemplars = self._exemplars or {}
        rows, total = [], 0
        for bucket, (bound, count) in enumerate(zip((*self._bounds, float("inf")), self.counts, strict=True)):
            total += count
            rows.append(("+Inf" if bound == float("inf") else str(bound), float(total), exemplars.get(bucket)))
        return rows


class CallMetrics:
    """The counters of one function.

    Its statuses have a series each while they are standard ones and not too many; the rest is counted by its hundreds,
    so that a function that answers nonsense, or every status there is, does not fill Prometheus.
    """

    __slots__ = (
        "busy_since",
        "cold_parts",
        "cold_start",
        "held",
        "in_flight",
        "last_active",
        "refused",
        "seconds",
        "started",
        "webhooks",
    )

    def __init__(self, *, last_active: float) -> None:
        self.started = 0
        self.in_flight = 0
        self.held = 0
        self.last_active = last_active
        self.busy_since = 0.0
        """When the first call began after which there was no pause; 0 before the first one of all."""
        self.seconds: dict[int, Histogram] = {}
        self.cold_start = Histogram(_COLD_BUCKETS)
        self.cold_parts = tuple(Histogram(_PART_BUCKETS) for _ in catalogue.COLD_START_PARTS)
        """In the order of ``catalogue.COLD_START_PARTS``."""
        self.refused: dict[str, int] = {}
        self.webhooks: dict[str, int] = {}
        """Deliveries to its webhook, by what became of them."""

    def __repr__(self) -> str:
        return f"<CallMetrics started={self.started} in_flight={self.in_flight} held={self.held}>"

    @property
    def answered(self) -> int:
        return sum(histogram.count for histogram in self.seconds.values())

    def begin(self, wall: float) -> None:
        if not self.in_flight and (wall - self.last_active >= QUIET_S or not self.busy_since):
            self.busy_since = wall
        self.started += 1
        self.in_flight += 1
        self.last_active = wall

    def end(self, status: int, seconds: float, wall: float) -> None:
        self.in_flight -= 1
        self.last_active = wall
        histogram = self.seconds.get(status) or self._seconds_of(status)
        histogram.observe(seconds)

    def exemplify(self, status: int, exemplar: Exemplar) -> None:
        """``exemplar`` is a call that has just ended with this status."""
        self._seconds_of(status).exemplify(exemplar)

    def refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def deliver(self, outcome: str) -> None:
        self.webhooks[outcome] = self.webhooks.get(outcome, 0) + 1

    # Several processes' numbers as one.

    def as_numbers(self) -> Numbers:
        """Everything counted, to be added up elsewhere."""
        return {
            **{name: {"": [getattr(self, name)]} for name in _SUMS},
            "last_active": {"": [self.last_active]},
            "busy_since": {"": [self.busy_since]},
            "seconds": {str(status): histogram.as_numbers() for status, histogram in self.seconds.items()},
            "cold_start": {"": self.cold_start.as_numbers()},
            "cold_parts": {
                part: histogram.as_numbers()
                for part, histogram in zip(catalogue.COLD_START_PARTS, self.cold_parts, strict=True)
            },
            "refused": {reason: [count] for reason, count in self.refused.items()},
            "webhooks": {outcome: [count] for outcome, count in self.webhooks.items()},
        }

    def add(self, numbers: Numbers) -> None:
        """Count in what another process counted of the same function."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + int(numbers[name][""][0]))
        self.last_active = max(self.last_active, numbers["last_active"][""][0])
        self.busy_since = max(self.busy_since, numbers["busy_since"][""][0])
        for status, histogram in numbers["seconds"].items():
            self._seconds_of(int(status)).add(histogram)
        self.cold_start.add(numbers["cold_start"][""])
        for part, histogram in numbers["cold_parts"].items():
            self.cold_parts[catalogue.COLD_START_PARTS.index(part)].add(histogram)
        for reason, counted in numbers["refused"].items():
            self.refused[reason] = self.refused.get(reason, 0) + int(counted[0])
        for outcome, counted in numbers["webhooks"].items():
            self.webhooks[outcome] = self.webhooks.get(outcome, 0) + int(counted[0])

    def _seconds_of(self, status: int) -> Histogram:
        key = status
        if status not in self.seconds and (status not in OWN_SERIES or len(self.seconds) >= MAX_CODES):
            key = status // 100 or status
        histogram = self.seconds.get(key)
        if histogram is None:
            histogram = self.seconds[key] = Histogram(_BUCKETS)
        return histogram


def code(status: int) -> str:
    """The label ``code`` of a key of ``CallMetrics.seconds``: ``404``, or ``4xx`` for those counted together."""
    return str(status) if status > 9 else f"{status}xx"
