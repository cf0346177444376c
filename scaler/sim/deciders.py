"""Deciders to compare: the production rule behind the adapter that any simulator can use, and Knative's.

Knative's rule is written from the constants and words of its public ConfigMap ``config-autoscaler``.
"""

from __future__ import annotations

import math
from collections import deque

from springtide.scaler.core import demand, follow
from springtide.scaler.core.demand import LoadHistory, LoadSample
from springtide.scaler.core.follow import Bounds, FollowHistory
from springtide.scaler.core.vocabulary import Instant


class Springtide:
    """The production rule and nothing else: samples and counts in, the wanted count out, once a second."""

    tick_s = 1.0

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._load, self._replicas = LoadHistory(), FollowHistory()

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        """``sample`` may be a moment old; ``now`` is seconds on the same clock."""
        at = Instant(now)
        self._load = self._load.with_sample(sample)
        history = follow.looked(self._replicas, wanted=wanted, ready=ready, now=at)
        _, need = demand.calls_under_way(self._load, self._bounds.slots, ready=ready, cold_start_s=history.cold_start_s)
        after, self._replicas, _ = follow.follow(self._bounds, history, need, may_shrink=True, now=at)
        return after

    def woken(self) -> int:
        return follow.wake_replicas(self._bounds, self._replicas)


class Knative:
    """KPA: the mean of a minute, or of six seconds when that is twice what the ready replicas are for."""

    tick_s = 1.0
    """It samples each second and decides every other."""
    DECIDE_S = 2.0
    STABLE_S, PANIC_S, PANIC_THRESHOLD = 60.0, 6.0, 2.0
    UTILISATION, MAX_UP, MAX_DOWN = 0.7, 1000.0, 2.0

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._target = max(0.01, bounds.slots * self.UTILISATION)
        self._seen: deque[tuple[float, float]] = deque()
        self._panicking_since: float | None = None
        self._panic_replicas = 0
        self._decided_at = -math.inf

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        if not self._seen or self._seen[-1][0] < sample.at:
            self._seen.append((sample.at, sample.in_flight))
        if now - self._decided_at < self.DECIDE_S:
            return wanted
        self._decided_at = now
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

    def _mean(self, now: float, window_s: float) -> float:
        seen = [in_flight for at, in_flight in self._seen if at > now - window_s]
        return sum(seen) / len(seen) if seen else 0.0
