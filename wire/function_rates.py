"""Rates, errors and latency of one function, from counters that only ever grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from springtide.wire.gateway_metrics import FunctionCounters

RATE_OVER_S = 10.0
LATENCY_OVER_S = 30.0
"""Calls of this long ago still count for p95 and for the share of errors: a few calls a second are few."""


@dataclass(frozen=True, slots=True)
class FunctionRates:
    """What is known at one instant; None is not known, or nothing there to measure."""

    desired: float | None = None
    ready: float | None = None
    rate: float | None = None
    errors: float | None = None
    """Failed answers a second."""
    error_share: float | None = None
    p95_s: float | None = None
    in_flight: float | None = None
    held: float | None = None


@dataclass(frozen=True, slots=True)
class ColdStarts:
    """Cold calls between two looks, together: their mean times."""

    at: float
    calls: int
    mean_s: float
    parts_s: Mapping[str, float]


class RateWindow:
    """The last half minute of one function's counters."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, FunctionCounters]] = deque()

    def add(self, at: float, counters: FunctionCounters) -> tuple[FunctionRates, ColdStarts | None]:
        """What the new counters say, together with those before them."""
        if self._seen and _restarted(self._seen[-1][1], counters):
            self._seen.clear()
        before = self._seen[-1][1] if self._seen else None
        self._seen.append((at, counters))
        while len(self._seen) > 2 and self._seen[1][0] <= at - LATENCY_OVER_S:
            self._seen.popleft()
        return self._measures(at, counters), _cold(at, before, counters) if before else None

    def _measures(self, at: float, now: FunctionCounters) -> FunctionRates:
        rate = errors = share = p95 = None
        if len(self._seen) > 1:
            since, then = next(entry for entry in self._seen if entry[0] >= at - RATE_OVER_S or entry is self._seen[-2])
            seconds = at - since
            if seconds > 0:
                rate = (now.answered - then.answered) / seconds
                errors = (now.failed - then.failed) / seconds
            oldest = self._seen[0][1]
            answered = now.answered - oldest.answered
            if answered > 0:
                share = (now.failed - oldest.failed) / answered
                p95 = quantile(0.95, {le: n - oldest.buckets.get(le, 0.0) for le, n in now.buckets.items()})
        return FunctionRates(now.desired, now.ready, rate, errors, share, p95, now.in_flight, now.held)


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """As Prometheus estimates it: evenly spread within a bucket; at most the highest finite bound."""
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    rank, low, below = share * buckets[bounds[-1]], 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == float("inf"):
                return low
            inside = buckets[bound] - below
            return low + (bound - low) * ((rank - below) / inside if inside > 0 else 1.0)
        low, below = bound, buckets[bound]
    return low


def _restarted(before: FunctionCounters, now: FunctionCounters) -> bool:
    """A counter that shrinks is a gateway that started anew, or went away."""
    return now.cold_calls < before.cold_calls or any(now.codes.get(code, 0.0) < n for code, n in before.codes.items())


def _cold(at: float, before: FunctionCounters, now: FunctionCounters) -> ColdStarts | None:
    calls = now.cold_calls - before.cold_calls
    if calls < 1:
        return None
    parts = {part: max(0.0, s - before.cold_parts_s.get(part, 0.0)) / calls for part, s in now.cold_parts_s.items()}
    return ColdStarts(at, round(calls), (now.cold_s - before.cold_s) / calls, parts)
