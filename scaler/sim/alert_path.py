"""The alert path in virtual time: scrapes, the suite's two scaling rules, Alertmanager's groups, the production steps.

The rules are those that ``rules.alerts`` writes for Prometheus, over the same windows and with the same memory of what
fires; the intervals and thresholds are handed in. What is simplified: no scrape is lost, and a rate is the growth
between the first and the last scrape of its window (Prometheus extrapolates to the window's ends and comes to the
same while scrapes are on time).
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import dataclass

from springtide.scaler.core import deliveries
from springtide.scaler.core.deliveries import LoadView
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.core.steps import AlertEvent, AlertId, AlertStatus, StepContext, StepHistory
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Scale
from springtide.scaler.sim.engine import Stretch, asked

REF = FunctionRef("", "simulated")
RATE, PILING_UP = "rate", "piling up"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTiming:
    """The alert path's intervals in seconds, and the loads at which its two alerts begin and end.

    ``deliver_every_s`` passes between deliveries of an alert that keeps firing; ``calls_in_flight`` is for each replica
    of the function's minimum.
    """

    scrape_s: float
    evaluation_s: float
    window_s: float
    group_interval_s: float
    deliver_every_s: float
    step_interval_s: float
    begins_calls_per_s: float
    ends_calls_per_s: float
    calls_in_flight: float


@dataclass(slots=True)
class _Group:
    """One alert of one function at Alertmanager."""

    id: AlertId
    flushed_at: float = -math.inf
    delivered_at: float = -math.inf


class AlertPath:
    """A Decider that asks ``scaler.core.deliveries`` whenever an alert would have been delivered."""

    def __init__(self, policy: ScalePolicy, timing: AlertTiming) -> None:
        self._policy, self._timing = policy, timing
        self.lead_s = timing.window_s + timing.scrape_s + 2
        limit = policy.concurrency_limit or timing.calls_in_flight
        self._carried = max(1, policy.min) * limit
        self._scrapes: deque[tuple[float, float, float, int]] = deque()
        self._evaluated = -1.0
        self._firing: set[str] = set()
        self._groups: dict[str, _Group] = {}
        self._history = StepHistory()
        self._numbers = itertools.count()

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        timing = self._timing
        # Both on beats of their own, so that a silence that was leapt over does not shift them.
        self._scrape(sample.at, sample.started, sample.in_flight, ready)
        while self._scrapes and self._scrapes[0][0] <= now - timing.window_s:
            self._scrapes.popleft()
        if now // timing.evaluation_s > self._evaluated:
            self._evaluated = now // timing.evaluation_s
            self._evaluate()
        return self._deliver(wanted, ready, Instant(now))

    def woken(self) -> int:
        return wake_replicas(self._policy)

    def at_rest(self, *, wanted: int, now: float) -> bool:  # noqa: ARG002
        calm = not self._firing and not self._groups and not self._history.descending
        return calm and len({scrape[1:3] for scrape in self._scrapes}) == 1

    def steady(self, stretch: Stretch, *, wanted: int) -> tuple[float, int] | None:
        return (stretch.end, wanted) if self._calm(stretch, wanted) else asked(self, stretch, wanted)

    def _calm(self, stretch: Stretch, wanted: int) -> bool:
        """Whether nothing fires and neither rule can begin to. If so, the stretch is remembered."""
        timing = self._timing
        calm = not self._firing and not self._groups and not self._history.descending
        if not calm or stretch.begin < timing.window_s:
            return False
        if max(stretch.most_at_once(), *(scrape[2] for scrape in self._scrapes), 0) > self._carried:
            return False
        span_s = timing.window_s - 2 * timing.scrape_s
        if self._most_within(stretch, timing.window_s) > timing.begins_calls_per_s * span_s:
            return False
        first = max(stretch.begin, stretch.end - timing.window_s - timing.scrape_s)
        for number in range(int(stretch.end - first) + 1):
            beat = first + number
            started, completed = stretch.at(beat)
            self._scrape(beat, started, started - completed, wanted)
        while self._scrapes and self._scrapes[0][0] <= stretch.end + 1 - timing.window_s:
            self._scrapes.popleft()
        self._evaluated = (stretch.end + 1) // timing.evaluation_s
        return True

    def _scrape(self, at: float, started: float, in_flight: float, ready: int) -> None:
        if not self._scrapes or at // self._timing.scrape_s > self._scrapes[-1][0] // self._timing.scrape_s:
            self._scrapes.append((at, started, in_flight, ready))

    def _most_within(self, stretch: Stretch, window_s: float) -> float:
        """Calls that begin between two samples at most so far apart, those before the stretch included."""
        seen = [(at, started) for at, started, _, _ in self._scrapes]
        seen += [(at, started) for at, started, _ in stretch.samples]
        most, first = 0.0, 0
        for at, started in seen:
            while seen[first + 1][0] < at - window_s if first + 1 < len(seen) else False:
                first += 1
            most = max(most, started - seen[first][1])
        return most

    def _evaluate(self) -> None:
        """Both rules in the order of their group; ``ALERTS`` is what fired at the evaluation before."""
        if len(self._scrapes) < 2:
            return
        before = frozenset(self._firing)
        (since, then, _, _), (at, started, _, _) = self._scrapes[0], self._scrapes[-1]
        rate = (started - then) / (at - since)
        threshold = self._timing.ends_calls_per_s if RATE in before else self._timing.begins_calls_per_s
        self._fires(RATE, fires=rate > threshold)
        flying = [in_flight for _, _, in_flight, _ in self._scrapes]
        awake = min(ready for _, _, _, ready in self._scrapes) > 0
        piles = min(flying) > self._carried and awake
        stays = PILING_UP in before and max(flying) > self._carried
        self._fires(PILING_UP, fires=(piles or stays) and RATE not in self._firing)

    def _fires(self, name: str, *, fires: bool) -> None:
        if not fires:
            self._firing.discard(name)
            return
        self._firing.add(name)
        if name not in self._groups:
            self._groups[name] = _Group(AlertId(name, str(next(self._numbers))))

    def _deliver(self, wanted: int, ready: int, now: Instant) -> int:
        """What Alertmanager flushes at this tick, or else the next step of a descent."""
        timing = self._timing
        for name, group in list(self._groups.items()):
            if now - group.flushed_at < timing.group_interval_s:
                continue
            group.flushed_at = now
            firing = name in self._firing
            if firing and now - group.delivered_at < timing.deliver_every_s:
                continue
            group.delivered_at = now
            status = AlertStatus.FIRING if firing else AlertStatus.RESOLVED
            if not firing:
                del self._groups[name]
            event = AlertEvent(REF, status, group.id, name)
            context = self._context(wanted, ready)
            outcome = deliveries.on_delivery(context, LoadView(), self._history, [event], now)
            self._history, wanted = outcome.if_written, _count(outcome.decision, wanted)
        if not self._history.descending:
            return wanted
        context = self._context(wanted, ready)
        if deliveries.next_step_in_s(self._history, context.interval_s, now) <= 0:
            outcome = deliveries.on_tick(context, LoadView(), self._history, now)
            self._history, wanted = outcome.if_written, _count(outcome.decision, wanted)
        return wanted

    def _context(self, wanted: int, ready: int) -> StepContext:
        return StepContext(REF, self._policy, (), Scale(wanted, ready, ""), self._timing.step_interval_s)


def _count(decision: Decision, wanted: int) -> int:
    return decision.after if decision.changes else wanted
