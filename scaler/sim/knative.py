"""Knative's pod autoscaler (KPA), for comparison, with the constants of its public ConfigMap ``config-autoscaler``.

It aims at a mean number of calls under way per pod, over a minute (*stable*), or over six seconds (*panic*) once those
ask for twice the pods that are ready; while it panics it takes nothing away. Written from its documentation and from
what it does; where the words leave room, as it does:

* A window has a bucket a second. One that is not full yet is averaged over what it has; a second without a measurement
  counts as 0, and a whole window without one begins it anew. Pods and activator measure, so a function that sleeps and
  is not called has no measurements.
* Panic ends more than a stable window after the last look that was over the threshold. Until then the count is the
  largest that either window asked for.
* Pods are rounded up; up and down are limited to ready pods times and through a rate, at least one pod either way.
* The first call of a function at zero is a measurement of 1 and is acted on at once. With room for one call a pod, of
  which 70 % are aimed at, that makes two pods.
* Zero comes after a stable window without a call and the grace period (``ZERO_AFTER_S``, for ``World.zero_after_s``).

What is measured is calls under way at an instant of each second, where a real queue proxy takes their mean over it.
"""

from __future__ import annotations

import math
from collections import deque

from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.follow import Bounds
from springtide.scaler.sim.engine import BEAT_S, Stretch, asked

STABLE_S = 60.0
"""stable-window"""
PANIC_S = 6.0
"""panic-window-percentage: 10 % of the stable window."""
PANIC_THRESHOLD = 2.0
"""panic-threshold-percentage: 200 %"""
UTILISATION = 0.7
"""container-concurrency-target-percentage: 70 %"""
MIN_TARGET = 0.01
DECIDE_S = 2.0
"""tick-interval"""
MAX_UP, MAX_DOWN = 1000.0, 2.0
"""max-scale-up-rate, max-scale-down-rate"""
ZERO_AFTER_S = STABLE_S + 30.0
"""scale-to-zero-grace-period: 30 s after the last measurement has left the window."""


class Window:
    """The mean of a measurement a second over the last ``length_s`` seconds, in buckets of a second."""

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._seen: deque[tuple[int, float]] = deque()
        self._first = 0

    def record(self, at: float, value: float) -> None:
        second = math.floor(at)
        if self._seen and second <= self._seen[-1][0]:
            return
        if not self._seen or second - self._seen[-1][0] >= self._length_s:
            self._seen.clear()
            self._first = second
        self._seen.append((second, value))
        while self._seen[0][0] <= second - self._length_s:
            self._seen.popleft()

    def mean(self, now: float) -> float:
        """0 where nothing was measured for as long as the window is."""
        if not self._seen:
            return 0.0
        last, second = self._seen[-1][0], math.floor(now)
        buckets = min(last - self._first + 1.0, self._length_s - (second - last))
        if buckets <= 0:
            return 0.0
        return sum(value for at, value in self._seen if at > second - self._length_s) / buckets


class Knative:
    """KPA: looks each second, decides every other."""

    lead_s = STABLE_S + 2.0

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._target = max(MIN_TARGET, bounds.slots * UTILISATION)
        self._stable, self._panic = Window(STABLE_S), Window(PANIC_S)
        self._panicking_since: float | None = None
        self._panic_pods = 0
        self._began_at: float | None = None
        self._decisions = -1
        self._looked_at, self._rested, self._had_pods = 0.0, False, True

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        self._measured(sample, now)
        self._looked_at, self._rested, self._had_pods = now, False, wanted > 0
        if self._began_at is None:
            self._began_at = now
        # On a beat of its own: a silence that was leapt over does not shift it.
        due = math.floor((now - self._began_at) / DECIDE_S)
        if due <= self._decisions:
            return wanted
        self._decisions = due
        pods = self._decided(max(1, ready), now)
        return max(self._bounds.min, min(max(pods, 1 if wanted else 0), self._bounds.max))

    def woken(self) -> int:
        return max(1, self._bounds.min, math.ceil(1.0 / self._target))

    def at_rest(self, *, wanted: int, now: float) -> bool:
        quiet = self._panicking_since is None and self._stable.mean(now) <= 0
        self._rested = quiet and wanted <= max(1, self._bounds.min)
        return self._rested

    def steady(self, stretch: Stretch, *, wanted: int) -> tuple[float, int] | None:
        return asked(self, stretch, wanted)

    def _measured(self, sample: LoadSample, now: float) -> None:
        at, in_flight = float(sample.at), sample.in_flight
        if self._rested and now - self._looked_at > BEAT_S:  # a silence was leapt over
            at, in_flight = now - BEAT_S, 0.0
        if self._had_pods or in_flight > 0:
            self._stable.record(at, in_flight)
            self._panic.record(at, in_flight)

    def _decided(self, ready: int, now: float) -> int:
        most, least = math.ceil(MAX_UP * ready), math.floor(ready / MAX_DOWN)
        asked = [math.ceil(window.mean(now) / self._target) for window in (self._stable, self._panic)]
        stable, panic = (min(max(pods, least), most) for pods in asked)
        if asked[1] / ready >= PANIC_THRESHOLD:
            self._panicking_since = now
        elif self._panicking_since is not None and now - self._panicking_since > STABLE_S:
            self._panicking_since, self._panic_pods = None, 0
        if self._panicking_since is None:
            return stable
        self._panic_pods = max(self._panic_pods, stable, panic)
        return self._panic_pods
