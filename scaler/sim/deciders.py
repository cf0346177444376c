"""Deciders to compare: the production rules behind the adapter that any simulator can use, and Knative's.

Knative's rule is written from the constants and words of its public ConfigMap ``config-autoscaler``.
"""

from __future__ import annotations

import math
from collections import deque

from springtide.scaler.core import demand, follow, target_rule
from springtide.scaler.core.demand import LoadHistory, LoadSample
from springtide.scaler.core.follow import Bounds, FollowHistory
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.core.target_rule import TargetHistory
from springtide.scaler.core.vocabulary import Instant
from springtide.scaler.sim import steady
from springtide.scaler.sim.engine import BEAT_S, Stretch


class Springtide:
    """The production rule and nothing else: samples and counts in, the wanted count out, once a second."""

    lead_s = 2.0

    def __init__(self, bounds: Bounds, *, calls_per_second: bool = False, learns_wakes: bool = True) -> None:
        """``bounds.slots`` are calls under way, or, with ``calls_per_second``, calls that begin each second."""
        self._bounds = bounds
        self._demand = demand.calls_per_second if calls_per_second else None
        self._learns_wakes = learns_wakes
        self._load, self._replicas = LoadHistory(), FollowHistory()

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        """``sample`` may be a moment old; ``now`` is seconds on the same clock."""
        at = Instant(now)
        self._load = self._load.with_sample(sample)
        history = follow.looked(self._replicas, wanted=wanted, ready=ready, now=at)
        slots, cold_start_s = self._bounds.slots, history.cold_start_s
        if self._demand is None:
            _, need = demand.calls_under_way(self._load, slots, ready=ready, cold_start_s=cold_start_s)
        else:
            _, need = self._demand(self._load, slots, cold_start_s=cold_start_s)
        step = follow.follow(self._bounds, history, need, may_shrink=True, now=at)
        self._replicas = follow.written(step.history, step.after, at)
        return step.after

    def woken(self) -> int:
        return follow.wake_replicas(self._bounds, self._replicas) if self._learns_wakes else self._bounds.min

    def at_rest(self, *, wanted: int, now: float) -> bool:
        """At its minimum it cannot shrink, and without arrivals in all that is remembered of them it does not grow."""
        waking = now - self._replicas.woken_at <= follow.WAKE_LOOK_S + BEAT_S
        forgotten = self._load.arrived(2 * demand.WINDOW_S) <= 0 and self._replicas.certain_before <= 0
        return wanted <= self._bounds.min and forgotten and not waking

    def steady(self, stretch: Stretch, *, wanted: int) -> bool:
        """At its minimum, where no sample can show a need of more than that. What it needed is then forgotten by a
        growth, which needs more, and by a shrink, which leaves the minimum at least."""
        seen = self._replicas
        if wanted > self._bounds.min or (seen.wanted, seen.ready) != (wanted, wanted):
            return False
        if stretch.begin + BEAT_S - seen.woken_at <= follow.WAKE_LOOK_S or math.ceil(seen.certain_before) > wanted:
            return False
        before = steady.begun(self._load, stretch)
        load, service_s = steady.remembered(before, stretch)
        under_way = stretch.most_at_once()

        def enough(rate: float) -> bool:
            mean, variance = rate, rate
            if self._demand is None:
                mean, variance = max(under_way, rate * service_s), under_way / 4 + rate * service_s
            return mean + demand.HEADROOM_SD * math.sqrt(variance) <= wanted * self._bounds.slots

        for bound in (steady.most_calls_per_second, steady.closer_most_calls_per_second):
            if enough(bound(before, stretch, seen.cold_start_s)):
                self._load = load
                return True
        return False


class TargetRule:
    """OpenFaaS's documented formula, asked once a second."""

    lead_s = max(target_rule.RATE_WINDOW_S, target_rule.IN_FLIGHT_WINDOW_S) + 2.0

    def __init__(self, policy: ScalePolicy) -> None:
        self._policy = policy
        self._history = TargetHistory()
        self._seen = 0.0

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:  # noqa: ARG002
        policy, history = self._policy, self._history.with_sample(sample)
        load = history.most_in_flight if policy.concurrency_limit else history.completed_per_second
        needed = target_rule.desired(load, target=policy.target, proportion=policy.target_proportion)
        after, self._history = target_rule.windowed(history, needed, policy.down_window_s or 0.0, Instant(now))
        if load:
            self._seen = now
        return after

    def woken(self) -> int:
        return wake_replicas(self._policy)

    def at_rest(self, *, wanted: int, now: float) -> bool:
        forgotten = now - self._seen > self.lead_s + (self._policy.down_window_s or 0.0)
        return forgotten and wanted <= max(1, self._policy.min)

    def steady(self, stretch: Stretch, *, wanted: int) -> bool:  # noqa: ARG002
        return False


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
