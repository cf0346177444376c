"""A function in virtual time: callers, a queue, replicas that take a while to start, and somebody who decides.

A discrete-event simulation of one queue in front of replicas of ``slots`` calls each. It models what the gateway and
the provider do as far as policies can tell: calls wait while no replica has room, a sleeping function is woken by its
first caller, a replica that is taken away finishes its calls.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.vocabulary import Instant


class Decider(Protocol):
    """Who decides how many replicas there are."""

    tick_s: float

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        """At a tick, of a load that was so half a second ago."""

    def woken(self) -> int:
        """Replicas for a function at zero that is called."""


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


@dataclass(slots=True)
class Outcome:
    """What became of it. Waits in seconds, one a call; counts as (instant, wanted)."""

    waits: list[float] = field(default_factory=list)
    replica_s: float = 0.0
    busy_s: float = 0.0
    counts: list[tuple[float, int]] = field(default_factory=list)
    unserved: int = 0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

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


_ARRIVAL, _DONE, _READY, _SAMPLE, _TICK = range(5)
SAMPLE_AGE_S = 0.5


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
        self.outcome = Outcome()

    def run(self) -> Outcome:
        self._set(max(1, self._world.min) if self._world.zero_after_s is None else 0)
        for replica in self._replicas:
            self._became_ready(replica)
        self._next_arrival()
        self._at(0.0, _SAMPLE)
        self._at(self._decider.tick_s, _TICK)
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
        elif kind == _SAMPLE:
            taken = LoadSample(Instant(self._now), self._started, self._completed, self._in_flight, len(self._queue))
            self._at(self._now + SAMPLE_AGE_S, _TICK + 1, taken)
            self._at(self._now + 1.0, _SAMPLE)
        elif kind == _TICK:
            self._tick()
        else:
            assert isinstance(what, LoadSample)
            self._sample = what

    def _tick(self) -> None:
        self._at(self._now + self._decider.tick_s, _TICK)
        zero_after_s = self._world.zero_after_s
        silent_s = self._now - self._last_active
        if zero_after_s is not None and not self._in_flight and silent_s >= zero_after_s and self._wanted:
            self._set(0)
        ready = sum(replica.ready for replica in self._replicas)
        wanted = self._decider.wanted(self._sample, wanted=self._wanted, ready=ready, now=self._now)
        if self._wanted > 0:
            self._set(max(1, self._world.min, min(wanted, self._world.max)))

    def _arrived(self) -> None:
        self._started += 1
        self._in_flight += 1
        self._last_active = self._now
        self._queue.append(self._now)
        if self._wanted == 0:
            self._set(max(1, self._decider.woken()))
        self._dispatch()
        self._next_arrival()

    def _next_arrival(self) -> None:
        at = next(self._arrivals, None)
        if at is not None and at <= self._world.length_s:
            self._at(at, _ARRIVAL)

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
