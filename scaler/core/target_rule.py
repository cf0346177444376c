"""OpenFaaS's documented autoscaler: a load divided by the part of its target that is aimed for, on its own windows.

It decides where a function's labels ask for it (``com.openfaas.scale.target-proportion``, ``down.window``, or
``com.springtide.scale.policy: target``). It has no panic window and no hysteresis but the window for the way down.
Durations are seconds, instants seconds since the epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.vocabulary import Instant

RATE_WINDOW_S = 30.0
"""Of ``rps``: completed calls a second, rounded up."""
IN_FLIGHT_WINDOW_S, IN_FLIGHT_EVERY_S = 45.0, 5.0
"""Of ``capacity``: the largest number in flight, looked at so often."""
JITTER_S = 0.5
"""Looks come a second apart, more or less; one that is early by less than this is the one that is due."""
ROUNDING = 1e-9
"""What a quotient of decimal fractions may be above a whole number without meaning it."""


@dataclass(frozen=True, slots=True)
class TargetHistory:
    """Counters and numbers in flight of the windows, and what was wanted within the one for the way down."""

    completed: tuple[tuple[float, float], ...] = ()
    in_flight: tuple[tuple[float, float], ...] = ()
    recommended: tuple[tuple[float, int], ...] = ()

    def with_sample(self, sample: LoadSample) -> TargetHistory:
        """One that is not newer than the last changes nothing."""
        if self.completed and sample.at <= self.completed[-1][0]:
            return self
        total = sample.completed
        if self.completed and total < self.completed[-1][1]:
            # The counter began anew: what is known of the rate begins anew with it.
            return replace(self, completed=((sample.at, total),))
        since = [seen for seen in self.completed if seen[0] > sample.at - RATE_WINDOW_S]
        before = self.completed[len(self.completed) - len(since) - 1 : len(self.completed) - len(since)]
        flying = self.in_flight
        if not flying or sample.at > flying[-1][0] + IN_FLIGHT_EVERY_S - JITTER_S:
            kept = (seen for seen in flying if seen[0] > sample.at - IN_FLIGHT_WINDOW_S)
            flying = (*kept, (sample.at, sample.in_flight))
        return replace(self, completed=(*before, *since, (sample.at, total)), in_flight=flying)

    @property
    def completed_per_second(self) -> float:
        """Over the window, or what there is of it; 0 with one sample."""
        if len(self.completed) < 2:
            return 0.0
        (since, then), (at, now) = self.completed[0], self.completed[-1]
        return float(math.ceil((now - then) / (at - since) - ROUNDING))

    @property
    def most_in_flight(self) -> float:
        return max((count for _, count in self.in_flight), default=0.0)


def desired(load: float, *, target: float, proportion: float) -> int:
    """ceil(load / (target × proportion)), before any limits; ``target`` and ``proportion`` are above 0."""
    return math.ceil(load / (target * proportion) - ROUNDING)


def windowed(history: TargetHistory, wanted: int, window_s: float, now: Instant) -> tuple[int, TargetHistory]:
    """The largest number that was recommended within the window, ``wanted`` included; 0 seconds for no window."""
    kept = ((at, count) for at, count in history.recommended if count > wanted and 0 <= now - at <= window_s)
    recommended = (*kept, (now, wanted))
    return max(count for _, count in recommended), replace(history, recommended=recommended)
