"""A function in virtual time: callers, a queue, replicas that take a while to start, and somebody who decides.

A discrete-event simulation of one queue in front of replicas of ``slots`` calls each. It models what the gateway and
the provider do as far as policies can tell: calls wait while no replica has room, a sleeping function is woken by its
first caller, a replica that is taken away finishes its calls, and the production idle rule takes it to zero.

Silence costs nothing: while no call is under way and the decider says that looking again changes nothing, nobody
looks until shortly before the next call.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from springtide.scaler.core import idle
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.idle import Activity, IdleHistory, IdleLimits
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant, Sample, Scale


class Decider(Protocol):
    """Who decides how many replicas there are."""

    tick_s: float
    lead_s: float
    """So long before a call that ends a silence it has to look again: what it remembers, or two ticks."""

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        """At a tick, of a load that was so half a second ago."""

    def woken(self) -> int:
        """Replicas for a function at zero that is called."""

    def at_rest(self, *, wanted: int, now: float) -> bool:
        """Whether, with no call under way, all ticks until the next call would change nothing. Asked after a tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What happens to a function. ``arrivals`` and ``service_s`` draw from the random source they are given."""

    name: str
    length_s: float
    arrivals: Callable[[random.Random], Iterator[float]]
    service_s: Callable[[random.Random], float]
    cold_start_s: Callable[[random.Random], float]
    slots: int = 1
    min: int = 1
    max: int = 1000
    zero_after_s: float | None = None
    """Silence after which it sleeps; None where it never does."""
    sweep_s: float = 1.0
    """The idle rule is asked so often."""


def percentiles(waits: array[float], calls: int, shares: Iterable[float]) -> list[float]:
    """Of the waits of all calls, where ``waits`` has those of the calls that did wait; 0 without a call."""
    ordered, none = sorted(waits), calls - len(waits)
    places = [min(calls - 1, int(share * calls)) - none for share in shares]
    return [ordered[place] if place >= 0 and ordered else 0.0 for place in places]


@dataclass(slots=True)
class Outcome:
    """What became of it. Counts as (instant, wanted).

    ``waits`` are seconds, of the calls that waited; ``calls`` counts those that were served, ``cold`` those of all that
    came when no replica was ready, ``arrived`` those of all in each of so many equal parts of the time.
    """

    waits: array[float] = field(default_factory=lambda: array("d"))
    calls: int = 0
    cold: int = 0
    arrived: list[int] = field(default_factory=lambda: [0] * PARTS)
    replica_s: float = 0.0
    busy_s: float = 0.0
    counts: list[tuple[float, int]] = field(default_factory=list)
    unserved: int = 0

    def percentile(self, share: float) -> float:
        return percentiles(self.waits, self.calls, (share,))[0]

    @property
    def largest(self) -> int:
        return max((count for _, count in self.counts), default=0)

    @property
    def actions(self) -> int:
        return max(0, len(self.counts) - 1)

    def flaps(self, within_s: float = 120.0) -> int:
        """Changes of direction less than ``within_s`` seconds after the change before."""
        found, pairs = 0, list(itertools.pairwise(self.counts))
        moves = [(after[0], after[1] > before[1]) for before, after in pairs]
        for (earlier, was_up), (later, is_up) in itertools.pairwise(moves):
            found += was_up != is_up and later - earlier <= within_s
        return found

    def regretted(self, within_s: float = 120.0) -> int:
        """Shrinks that were followed by a growth within ``within_s`` seconds, waking not included."""
        pairs = list(itertools.pairwise(self.counts))
        moves = [(after[0], after[1] > before[1], before[1]) for before, after in pairs]
        return sum(
            not was_up and is_up and count > 0 and later - earlier <= within_s
            for (earlier, was_up, _), (later, is_up, count) in itertools.pairwise(moves)
        )


_ARRIVAL, _DONE, _READY, _SAMPLE, _TICK, _TOLD, _SWEEP = range(7)
_FUNCTION = FunctionRef("", "simulated")
_LONG_AGO = Instant(-1e9)
SAMPLE_AGE_S = 0.5
_IDLE_LIMITS = IdleLimits(settle_s=0.0)
PARTS = 120
"""Of a life, for which ``Outcome.arrived`` has a number each."""


class _Replica:
    __slots__ = ("busy", "gone", "ready")

    def __init__(self) -> None:
        self.busy, self.ready, self.gone = 0, False, False


class _Run:
    """One function's life under one decider."""

    def __init__(self, world: World, decider: Decider, seed: int) -> None:
        self._world, self._decider = world, decider
        self._random = random.Random(f"{world.name} {seed} service")
        self._arrivals = world.arrivals(random.Random(f"{world.name} {seed} arrivals"))
        self._events: list[tuple[float, int, int, object]] = []
        self._number = 0
        self._queue: deque[float] = deque()
        self._replicas: list[_Replica] = []
        self._free: list[_Replica] = []
        self._started = self._completed = self._in_flight = 0
        self._last_active = 0.0
        self._wanted = 0
        self._now = 0.0
        self._existing = 0
        self._sample = LoadSample(Instant(0.0), 0, 0, 0, 0)
        self._next_at = math.inf
        self._watch, self._dozing = 0, False
        """Samples and ticks of an earlier watch than this are none any more."""
        self._idle = IdleHistory()
        self._sweeping = False
        self.outcome = Outcome()

    def run(self) -> Outcome:
        self._set(max(1, self._world.min) if self._world.zero_after_s is None else 0)
        for replica in self._replicas:
            self._became_ready(replica)
        self._next_arrival()
        self._at(0.0, _SAMPLE, 0)
        self._at(self._decider.tick_s, _TICK, 0)
        self._plan_sweep()
        end = self._world.length_s
        while self._events:
            at, _, kind, what = heapq.heappop(self._events)
            if at > end and not self._in_flight:
                break
            if at > end + 3600:
                break
            self.outcome.replica_s += self._existing * (min(at, end) - min(self._now, end))
            self._now = at
            self._happen(kind, what)
        self.outcome.replica_s += self._existing * max(0.0, end - self._now)
        self.outcome.unserved = len(self._queue)
        return self.outcome

    def _happen(self, kind: int, what: object) -> None:
        if kind == _ARRIVAL:
            self._arrived()
        elif kind == _DONE:
            assert isinstance(what, _Replica)
            self._done(what)
        elif kind == _READY:
            assert isinstance(what, _Replica)
            if not what.gone and not what.ready:
                self._became_ready(what)
        elif kind == _SWEEP:
            self._sweep()
        elif kind == _TOLD:
            assert isinstance(what, LoadSample)
            self._sample = what
        elif what == self._watch:
            self._look(kind)

    def _look(self, kind: int) -> None:
        self._dozing = False
        if kind == _TICK:
            self._tick()
            return
        taken = LoadSample(Instant(self._now), self._started, self._completed, self._in_flight, len(self._queue))
        self._at(self._now + SAMPLE_AGE_S, _TOLD, taken)
        self._at(self._now + 1.0, _SAMPLE, self._watch)

    def _tick(self) -> None:
        ready = sum(replica.ready for replica in self._replicas)
        wanted = self._decider.wanted(self._sample, wanted=self._wanted, ready=ready, now=self._now)
        if self._wanted > 0:
            self._set(max(1, self._world.min, min(wanted, self._world.max)))
        resting = not self._in_flight and ready == self._wanted and self._sample.completed == self._completed
        if resting and self._decider.at_rest(wanted=self._wanted, now=self._now):
            self._doze()
        else:
            self._at(self._now + self._decider.tick_s, _TICK, self._watch)

    def _doze(self) -> None:
        """Look again shortly before the next call, on the same beat."""
        tick_s = self._decider.tick_s
        resumed_at = self._now + tick_s
        if math.isfinite(self._next_at):
            resumed_at = max(resumed_at, math.floor((self._next_at - self._decider.lead_s) / tick_s) * tick_s)
            if resumed_at == self._now + tick_s:
                self._at(resumed_at, _TICK, self._watch)
                return
        self._dozing = True
        self._watch += 1
        if math.isfinite(self._next_at):
            self._at(resumed_at, _SAMPLE, self._watch)
            self._at(resumed_at, _TICK, self._watch)

    def _stir(self) -> None:
        """Another one changed the count: the decider looks at that when it would have."""
        if self._dozing:
            self._watch += 1
            tick_s = self._decider.tick_s
            next_at = (math.floor(self._now / tick_s) + 1) * tick_s
            self._at(next_at, _SAMPLE, self._watch)
            self._at(next_at, _TICK, self._watch)
        self._dozing = False

    def _sweep(self) -> None:
        """The idle rule, with measurements that are never missing."""
        self._sweeping = False
        now = Instant(self._now)
        function = Function(_FUNCTION, Scale(self._wanted, self._wanted, ""), created_at=_LONG_AGO)
        activity = Activity(Sample(self._in_flight, now), Sample(self._last_active, now))
        policy = ScalePolicy(zero=True, zero_duration_s=self._world.zero_after_s)
        decision, self._idle = idle.decide(function, policy, (), activity, self._idle, _IDLE_LIMITS, now)
        if decision.changes:
            self._set(decision.after)
        self._plan_sweep()

    def _plan_sweep(self) -> None:
        """The next sweep that can matter: those of a silence that is too short, and of a sleep, all come to a hold."""
        after_s = self._world.zero_after_s
        if after_s is None or self._sweeping or (self._wanted == 0 and self._idle.seen_asleep):
            return
        due = self._now + self._world.sweep_s / 2
        if self._wanted and not self._idle.seen_asleep:
            active = self._now if self._in_flight else max(self._last_active, self._idle.awake_since or 0.0)
            due = max(due, active + after_s)
        self._sweeping = True
        self._at(math.ceil(due / self._world.sweep_s - 1e-9) * self._world.sweep_s, _SWEEP)

    def _arrived(self) -> None:
        self._started += 1
        self._in_flight += 1
        self._last_active = self._now
        self._queue.append(self._now)
        outcome = self.outcome
        outcome.arrived[min(PARTS - 1, int(self._now / self._world.length_s * PARTS))] += 1
        outcome.cold += not any(replica.ready for replica in self._replicas)
        if self._wanted == 0:
            self._set(max(1, min(self._decider.woken(), self._world.max)))
            self._plan_sweep()
        self._dispatch()
        self._next_arrival()

    def _next_arrival(self) -> None:
        self._next_at = next(self._arrivals, math.inf)
        if self._next_at <= self._world.length_s:
            self._at(self._next_at, _ARRIVAL)
        else:
            self._next_at = math.inf

    def _dispatch(self) -> None:
        while self._queue and self._free:
            replica = self._free[-1]
            if replica.gone:
                self._free.pop()
                continue
            replica.busy += 1
            if replica.busy >= self._world.slots:
                self._free.pop()
            arrived = self._queue.popleft()
            self.outcome.calls += 1
            if self._now > arrived:
                self.outcome.waits.append(self._now - arrived)
            service_s = self._world.service_s(self._random)
            self.outcome.busy_s += service_s
            self._at(self._now + service_s, _DONE, replica)

    def _done(self, replica: _Replica) -> None:
        self._completed += 1
        self._in_flight -= 1
        self._last_active = self._now
        replica.busy -= 1
        if replica.gone:
            self._existing -= replica.busy == 0
            return
        if replica.busy == self._world.slots - 1:
            self._free.append(replica)
        self._dispatch()

    def _became_ready(self, replica: _Replica) -> None:
        replica.ready = True
        self._free.append(replica)
        self._dispatch()

    def _set(self, wanted: int) -> None:
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self._stir()
        self.outcome.counts.append((self._now, wanted))
        while len(self._replicas) < wanted:
            replica = _Replica()
            self._replicas.append(replica)
            self._existing += 1
            self._at(self._now + self._world.cold_start_s(self._random), _READY, replica)
        if len(self._replicas) > wanted:
            # Those that are not ready go first, then the idlest.
            self._replicas.sort(key=lambda replica: (replica.ready, replica.busy), reverse=True)
            for replica in self._replicas[wanted:]:
                replica.gone = True
                self._existing -= replica.busy == 0
            del self._replicas[wanted:]

    def _at(self, when: float, kind: int, what: object = None) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, kind, what))


def simulate(world: World, decider: Decider, seed: int) -> Outcome:
    """One life of a function; the same seed gives every decider the same callers."""
    return _Run(world, decider, seed).run()
