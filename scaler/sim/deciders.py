"""Deciders to compare with: nobody, and Knative's rule.

Knative's rule is written from the constants and words of its public ConfigMap ``config-autoscaler``.
"""

from __future__ import annotations

import math
from collections import deque

from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.follow import Bounds
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.sim.engine import Stretch


class Unchanged:
    """Nobody: as many as were woken."""

    lead_s = 2.0

    def __init__(self, policy: ScalePolicy) -> None:
        self._policy = policy

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:  # noqa: ARG002
        return wanted

    def woken(self) -> int:
        return wake_replicas(self._policy)

    def at_rest(self, *, wanted: int, now: float) -> bool:  # noqa: ARG002
        return True

    def steady(self, stretch: Stretch, *, wanted: int) -> bool:  # noqa: ARG002
        return True


class Knative:
    """KPA: the mean of a minute, or of six seconds when that is twice what the ready replicas are for."""

    lead_s = 62.0
    DECIDE_S = 2.0
    STABLE_S, PANIC_S, PANIC_THRESHOLD = 60.0, 6.0, 2.0
    UTILISATION, MAX_UP, MAX_DOWN = 0.7, 1000.0, 2.0

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._target = max(0.01, bounds.slots * self.UTILISATION)
        self._seen: deque[tuple[float, float]] = deque()
        self._panicking_since: float | None = None
        self._panic_replicas = 0
        self._began_at: float | None = None
        self._decisions = -1

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        if not self._seen or self._seen[-1][0] < sample.at:
            self._seen.append((sample.at, sample.in_flight))
        if self._began_at is None:
            self._began_at = now
        # On a beat of its own: a silence that was leapt over does not shift it.
        due = math.floor((now - self._began_at) / self.DECIDE_S)
        if due <= self._decisions:
            return wanted
        self._decisions = due
        while self._seen and self._seen[0][0] <= now - self.STABLE_S:
            self._seen.popleft()
        up = math.ceil(self.MAX_UP * max(1, ready))
        down = math.floor(ready / self.MAX_DOWN)
        stable = max(min(math.ceil(self._mean(now, self.STABLE_S) / self._target), up), down)
        panic = max(min(math.ceil(self._mean(now, self.PANIC_S) / self._target), up), down)
        over = panic / max(1, ready) >= self.PANIC_THRESHOLD
        if over:
            self._panicking_since = now
        elif self._panicking_since is not None and now - self._panicking_since >= self.STABLE_S:
            self._panicking_since, self._panic_replicas = None, 0
        if self._panicking_since is not None:
            self._panic_replicas = max(self._panic_replicas, panic, ready)
            return max(self._bounds.min, min(self._panic_replicas, self._bounds.max))
        return max(self._bounds.min, min(max(stable, 1 if wanted else 0), self._bounds.max))

    def woken(self) -> int:
        return max(1, self._bounds.min)

    def at_rest(self, *, wanted: int, now: float) -> bool:
        quiet = self._panicking_since is None and self._mean(now, self.STABLE_S) <= 0
        return quiet and wanted <= max(1, self._bounds.min)

    def steady(self, stretch: Stretch, *, wanted: int) -> bool:  # noqa: ARG002
        return False

    def _mean(self, now: float, window_s: float) -> float:
        seen = [in_flight for at, in_flight in self._seen if at > now - window_s]
        return sum(seen) / len(seen) if seen else 0.0
