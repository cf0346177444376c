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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from springtide.scaler.core import deliveries
from springtide.scaler.core.deliveries import LoadView
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.core.steps import AlertEvent, AlertId, AlertStatus, StepContext, StepHistory
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Scale
from springtide.scaler.sim.engine import BEAT_S, Stretch

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

    lead_s = 2.0

    def __init__(self, policy: ScalePolicy, timing: AlertTiming) -> None:
        self._policy, self._timing = policy, timing
        limit = policy.concurrency_limit or timing.calls_in_flight
        self._carried = max(1, policy.min) * limit
        self._most_in_window = timing.begins_calls_per_s * (timing.window_s - 2 * timing.scrape_s)
        """Calls that begin within a window and cannot make the rate's alert fire."""
        self._scrapes: deque[tuple[float, float, float, int]] = deque()
        self._scraped = self._evaluated = -1.0
        """Numbers of the last interval with a scrape, and of the last with an evaluation."""
        self._firing: set[str] = set()
        self._groups: dict[str, _Group] = {}
        self._due = math.inf
        """Nothing is delivered and no step is due before."""
        self._history = StepHistory()
        self._numbers = itertools.count()
        self._rested, self._looked_at, self._ready, self._started = False, 0.0, 0, 0.0

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        at: float = sample.at
        if self._rested and now - self._looked_at > BEAT_S:  # a silence was leapt over, through which it was scraped
            since, at = max(at, now - BEAT_S - self._remembered_s), now - BEAT_S
            for number in range(int(at - since)):
                self._scrape(since + number, sample.started, sample.in_flight, self._ready)
        self._rested, self._looked_at, self._ready, self._started = False, now, ready, sample.started
        return self._look(at, sample.started, sample.in_flight, ready=ready, wanted=wanted)

    def woken(self) -> int:
        return wake_replicas(self._policy)

    def at_rest(self, *, wanted: int, now: float) -> bool:  # noqa: ARG002
        self._rested = self._nothing_fires() and self._silence_stays_calm(now)
        return self._rested

    def steady(self, stretch: Stretch, *, wanted: int) -> tuple[float, int] | None:
        if self._calm(stretch, wanted):
            return stretch.end, wanted
        beats = list(stretch.beats())
        turns = iter(range(len(beats))) if self._may_pile_up(stretch) else self._turns(beats)
        done = 0
        for turn in itertools.chain(turns, (len(beats),)):
            delivered = self._only_delivers(beats, done, turn, wanted)
            if delivered is None and turn < len(beats):
                beat, started, completed = beats[turn]
                delivered = beat, self._look(beat, started, started - completed, ready=wanted, wanted=wanted)
            if delivered is not None and delivered[1] != wanted:
                return delivered
            done = turn + 1
        return stretch.end, wanted

    def _may_pile_up(self, stretch: Stretch) -> bool:
        return max(stretch.most_at_once(), *(scrape[2] for scrape in self._scrapes), 0) > self._carried

    def _turns(self, beats: Sequence[tuple[float, int, int]]) -> Iterator[int]:
        """Places of the beats whose evaluations change what fires, where no calls pile up.

        Whoever takes one has looked at the beats up to that one when he takes the next.
        """
        timing, scraped, evaluated, first = self._timing, self._scraped, self._evaluated, 0
        times, counts = [scrape[0] for scrape in self._scrapes], [scrape[1] for scrape in self._scrapes]
        for place, (at, started, _) in enumerate(beats):
            number = at // timing.scrape_s
            if number > scraped:
                scraped = number
                times.append(at)
                counts.append(started)
            evaluation = (at + BEAT_S) // timing.evaluation_s
            if evaluation <= evaluated:
                continue
            evaluated, forgotten = evaluation, at + BEAT_S - timing.window_s
            while first < len(times) and times[first] <= forgotten:
                first += 1
            if len(times) - first < 2:
                continue
            fires = self._rate_fires((counts[-1] - counts[first]) / (times[-1] - times[first]))
            if fires is not (RATE in self._firing) or PILING_UP in self._firing:
                yield place

    def _only_delivers(
        self, beats: Sequence[tuple[float, int, int]], first: int, end: int, wanted: int
    ) -> tuple[float, int] | None:
        """Between these places, where the same fires all the time. The beat at which the count changes, and to what."""
        place = first
        while True:
            place = max(place, math.ceil(min(max(self._due - BEAT_S - beats[0][0], 0.0), float(end))))
            if place >= end:
                self._scrape_all(beats[first:end], wanted)
                return None
            after = self._deliver(wanted, wanted, Instant(beats[place][0] + BEAT_S))
            if after != wanted:
                self._scrape_all(beats[first : place + 1], wanted)
                return beats[place][0], after
            place += 1

    def _scrape_all(self, beats: Sequence[tuple[float, int, int]], ready: int) -> None:
        """As far as it is remembered. Nothing comes of the evaluations."""
        if not beats:
            return
        for at, started, completed in beats[-1 - math.ceil(self._remembered_s) :]:
            self._scrape(at, started, started - completed, ready)
        now = beats[-1][0] + BEAT_S
        self._forget(now)
        self._evaluated = max(self._evaluated, now // self._timing.evaluation_s)

    @property
    def _remembered_s(self) -> float:
        return self._timing.window_s + self._timing.scrape_s

    def _nothing_fires(self) -> bool:
        return not self._firing and not self._groups and not self._history.descending

    def _silence_stays_calm(self, now: float) -> bool:
        """Whether what was scraped lately is too little for either rule; early on, whether it is nothing at all."""
        scrapes = self._scrapes
        if not scrapes or max(scrape[2] for scrape in scrapes) > self._carried:
            return False
        most = self._most_in_window if now >= self._timing.window_s + BEAT_S else 0.0
        return self._started - scrapes[0][1] <= most

    def _calm(self, stretch: Stretch, wanted: int) -> bool:
        """Whether nothing fires and neither rule can begin to. If so, the stretch is remembered."""
        timing = self._timing
        if not self._nothing_fires() or stretch.begin < timing.window_s:
            return False
        if self._may_pile_up(stretch) or not self._few_within(stretch, timing.window_s):
            return False
        first = max(stretch.begin, stretch.end - self._remembered_s)
        beats = [first + number for number in range(int(stretch.end - first) + 1)]
        self._scrape_all([(beat, *stretch.at(beat)) for beat in beats], wanted)
        return True

    def _few_within(self, stretch: Stretch, window_s: float) -> bool:
        """Whether between any two samples at most so far apart, also before the stretch, too few calls begin."""
        most = self._most_in_window
        seen = [(at, started) for at, started, _, _ in self._scrapes]
        seen += [(at, started) for at, started, _ in stretch.samples]
        if seen[-1][1] - seen[0][1] <= most:
            return True
        first = 0
        for at, started in seen:
            while seen[first + 1][0] < at - window_s if first + 1 < len(seen) else False:
                first += 1
            if started - seen[first][1] > most:
                return False
        return True

    def _look(self, at: float, started: float, in_flight: float, *, ready: int, wanted: int) -> int:
        """One beat after ``at``. Scrapes and evaluations are on beats of their own, whatever was leapt over."""
        now, timing = at + BEAT_S, self._timing
        self._scrape(at, started, in_flight, ready)
        self._forget(now)
        evaluation = now // timing.evaluation_s
        if evaluation > self._evaluated:
            self._evaluated = evaluation
            self._evaluate()
        return wanted if now < self._due else self._deliver(wanted, ready, Instant(now))

    def _scrape(self, at: float, started: float, in_flight: float, ready: int) -> None:
        number = at // self._timing.scrape_s
        if number > self._scraped:
            self._scraped = number
            self._scrapes.append((at, started, in_flight, ready))

    def _forget(self, now: float) -> None:
        scrapes, forgotten = self._scrapes, now - self._timing.window_s
        while scrapes and scrapes[0][0] <= forgotten:
            scrapes.popleft()

    def _rate_fires(self, rate: float) -> bool:
        timing = self._timing
        return rate > (timing.ends_calls_per_s if RATE in self._firing else timing.begins_calls_per_s)

    def _evaluate(self) -> None:
        """Both rules in the order of their group; ``ALERTS`` is what fired at the evaluation before."""
        scrapes = self._scrapes
        if len(scrapes) < 2:
            return
        fired, piled = RATE in self._firing, PILING_UP in self._firing
        (since, then, _, _), (at, started, _, _) = scrapes[0], scrapes[-1]
        fires = self._rate_fires((started - then) / (at - since))
        piles = not fires and self._piles_up(piled=piled)
        if fires is not fired:
            self._fires(RATE, fires=fires)
        if piles is not piled:
            self._fires(PILING_UP, fires=piles)

    def _piles_up(self, *, piled: bool) -> bool:
        flying = [in_flight for _, _, in_flight, _ in self._scrapes]
        if max(flying) <= self._carried:
            return False
        return piled or (min(flying) > self._carried and min(ready for _, _, _, ready in self._scrapes) > 0)

    def _fires(self, name: str, *, fires: bool) -> None:
        if not fires:
            self._firing.discard(name)
            return
        self._firing.add(name)
        if name not in self._groups:
            self._groups[name] = _Group(AlertId(name, str(next(self._numbers))))
            self._due = -math.inf

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
        if self._history.descending:
            context = self._context(wanted, ready)
            if deliveries.next_step_in_s(self._history, context.interval_s, now) <= 0:
                outcome = deliveries.on_tick(context, LoadView(), self._history, now)
                self._history, wanted = outcome.if_written, _count(outcome.decision, wanted)
        self._due = self._next_due(now)
        return wanted

    def _next_due(self, now: Instant) -> float:
        """No later than something is due, to the beat."""
        flushes = [group.flushed_at + self._timing.group_interval_s for group in self._groups.values()]
        if self._history.descending:
            interval_s = self._context(0, 0).interval_s
            flushes.append(now + deliveries.next_step_in_s(self._history, interval_s, now))
        return math.floor(min(flushes)) if flushes else math.inf

    def _context(self, wanted: int, ready: int) -> StepContext:
        return StepContext(REF, self._policy, (), Scale(wanted, ready, ""), self._timing.step_interval_s)


def _count(decision: Decision, wanted: int) -> int:
    return decision.after if decision.changes else wanted
