"""A function in virtual time: callers, a queue, replicas that take a while to start, and somebody who decides.

A discrete-event simulation of one queue in front of replicas of ``slots`` calls each. It models what the gateway and
the provider do as far as policies can tell: calls wait while no replica has room, a sleeping function is woken by its
first caller, a replica that is taken away finishes its calls, and the production idle rule takes it to zero. The
decider looks at each whole second (a *beat*) at the sample that was taken at the beat before.

Nothing that can be foreseen costs anything: a silence is leapt over where the decider says that looking again changes
nothing, and so is a *stretch* in which calls come and go but nobody waits, where it says that none of the samples in it
would move it. ``tests/scaler/sim/test_engine.py`` holds that neither changes what happens.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from operator import add, ge, sub
from typing import Protocol

from springtide.scaler.core import idle
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.idle import Activity, IdleHistory, IdleLimits
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant, Sample, Scale


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is to come while nobody waits and all replicas are ready: samples of the beats ``begin`` to ``end``.

    ``samples`` has the one of ``begin`` and those that differ from the one before, or see a call under way.
    """

    begin: float
    end: float
    samples: list[tuple[float, int, int]]
    """Instant, calls begun, calls ended."""

    def until(self, end: float) -> Stretch:
        """What is to come up to a beat within it."""
        return Stretch(self.begin, end, self.samples[: bisect_right(self.samples, (end, math.inf, math.inf))])

    def most_at_once(self) -> int:
        return max([started - completed for _, started, completed in self.samples])

    def beats(self) -> Iterator[tuple[float, int, int]]:
        """The samples of all beats."""
        for before, (at, _, _) in itertools.pairwise([*self.samples, (self.end + BEAT_S, 0, 0)]):
            yield before
            for number in range(1, int(at - before[0])):
                yield (before[0] + number, *before[1:])

    def at(self, beat: float) -> tuple[int, int]:
        """Calls begun and ended at a beat within it."""
        _, started, completed = self.samples[bisect_right(self.samples, (beat, math.inf, math.inf)) - 1]
        return started, completed


class Decider(Protocol):
    """Who decides how many replicas there are."""

    lead_s: float
    """So long before a call that ends a silence it has to look again: what it remembers, or two beats."""

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:
        """At a beat, of the load at the beat before."""

    def woken(self) -> int:
        """Replicas for a function at zero that is called."""

    def at_rest(self, *, wanted: int, now: float) -> bool:
        """Whether, with no call under way, all beats until the next call would change nothing. Asked after a beat."""

    def steady(self, stretch: Stretch, *, wanted: int) -> tuple[float, int] | None:
        """Up to which beat it remembers these samples as if it had been asked, and what it wants at the last of them.

        At all those before it wants what there is. None where it has to be asked at the first.
        """


def asked(decider: Decider, stretch: Stretch, wanted: int) -> tuple[float, int]:
    """A decider's ``steady`` that asks it at each beat, which costs less than living through them."""
    for beat, started, completed in stretch.beats():
        sample = LoadSample(Instant(beat), started, completed, started - completed, 0)
        after = decider.wanted(sample, wanted=wanted, ready=wanted, now=beat + BEAT_S)
        if after != wanted:
            return beat, after
    return stretch.end, wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What happens to a function. ``arrivals`` and ``service_s`` draw from the random source they are given."""

    name: str
    length_s: float
    arrivals: Callable[[random.Random], Iterator[float]]
    service_s: Callable[[random.Random], float]
    cold_start_s: Callable[[random.Random], float]
    later: tuple[float, Callable[[random.Random], float]] | None = None
    """From an instant on calls take other times; None where they never do."""
    slots: int = 1
    min: int = 1
    max: int = 1000
    zero_after_s: float | None = None
    """Silence after which it sleeps; None where it never does."""
    awake: bool = False
    """Whether one that may sleep begins awake."""
    sweep_s: float = 1.0
    """The idle rule is asked so often."""
    first_sweep_s: float = 0.0
    looks: Sequence[float] | None = None
    """When the decider looked, of a run in which that is known: at what was so right then, as a real loop does."""


def percentiles(waits: array[float], calls: int, shares: Iterable[float]) -> list[float]:
    """Of the waits of all calls, where ``waits`` has those of the calls that did wait; 0 without a call."""
    ordered, none = sorted(waits), calls - len(waits)
    places = [min(calls - 1, int(share * calls)) - none for share in shares]
    return [ordered[place] if place >= 0 and ordered else 0.0 for place in places]


@dataclass(slots=True)
class Outcome:
    """What became of it. Counts as (instant, wanted).

    ``waits`` are seconds, of the calls that waited; ``calls`` counts those that were served, ``cold`` those of all that
    came when no replica was ready, ``arrived`` those of all in each of so many equal parts of the time. ``wakes`` are
    starts from zero.
    """

    waits: array[float] = field(default_factory=lambda: array("d"))
    calls: int = 0
    cold: int = 0
    wakes: int = 0
    arrived: list[int] = field(default_factory=lambda: [0] * PARTS)
    replica_s: float = 0.0
    """Those that finish their calls after they were taken away included."""
    wanted_s: float = 0.0
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


_FUNCTION = FunctionRef("", "simulated")
_LONG_AGO = Instant(-1e9)
_IDLE_LIMITS = IdleLimits(settle_s=0.0)
PARTS = 120
"""Of a life, for which ``Outcome.arrived`` has a number each."""
BEAT_S = 1.0
MIN_STRETCH, MAX_STRETCH, MAX_STRETCH_CALLS = 4.0, 4096.0, 4096
MAX_PATIENCE_S = 32.0
"""Without a try to leap, where the tries before were in vain."""
MIN_BULK = 4
"""Calls between two beats that are worth being counted together."""
AFTER_END_S = 3600.0
"""Waiting calls are served for so long after the end."""


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """When each call comes and how long it takes, in seconds: the same under every decider."""

    at: array[float]
    service_s: array[float]


@dataclass(frozen=True, slots=True)
class _Plan:
    """When calls end if none of them waits, and how many have come and ended by which beat; no decider changes that.

    Beats that are left out are like the one before, and see no call under way.
    """

    ends: array[float]
    beats: Sequence[int]
    come: array[int]
    ended: array[int]


MIN_CALLS_A_BEAT = 0.5
"""Of a life with as many it is not worth to look for beats that can be left out."""


@lru_cache(maxsize=1)
def _plan(calls: Calls, length: int) -> _Plan:
    """Made once for all deciders that the same calls are tried with."""
    ends = array("d", map(add, calls.at, calls.service_s))
    often = len(calls.at) >= MIN_CALLS_A_BEAT * length
    beats = range(length) if often else array("L", _active(calls.at, ends, length))
    return _Plan(ends, beats, _by_beat(calls.at, beats), _by_beat(ends, beats))


def _active(at: Iterable[float], ends: Iterable[float], length: int) -> Iterator[int]:
    """The beats before ``length`` at which a call has come or ended since the one before, or is under way."""
    first = 0
    for come, end in zip(at, ends, strict=True):
        until = min(length, math.ceil(end) + 1)
        yield from range(max(first, math.ceil(come)), until)
        first = max(first, until)


def _by_beat(instants: Iterable[float], beats: Iterable[int]) -> array[int]:
    """How many of these are past at each beat."""
    between = Counter(map(math.ceil, instants))
    return array("L", itertools.accumulate(map(between.get, beats, itertools.repeat(0))))


def arrivals_of(world: World, seed: int) -> array[float]:
    arrivals = world.arrivals(random.Random(f"{world.name} {seed} arrivals"))
    return array("d", itertools.takewhile(partial(ge, world.length_s), arrivals))


def calls_of(world: World, seed: int) -> Calls:
    at = arrivals_of(world, seed)
    source = random.Random(f"{world.name} {seed} service")
    changes_at, changed_s = world.later or (math.inf, world.service_s)
    before = bisect_left(at, changes_at)
    lengths_s = array("d", map(world.service_s, itertools.repeat(source, before)))
    lengths_s.extend(map(changed_s, itertools.repeat(source, len(at) - before)))
    return Calls(at, lengths_s)


class _Replica:
    __slots__ = ("busy", "gone", "ready")

    def __init__(self) -> None:
        self.busy, self.ready, self.gone = 0, False, False


class _Run:
    """One function's life under one decider. Calls are served in the order they come, so counts tell who waits."""

    def __init__(self, world: World, decider: Decider, calls: Calls, seed: int) -> None:
        self._world, self._decider = world, decider
        self._at, self._service_s = calls.at, calls.service_s
        self._plan = _plan(calls, math.ceil(world.length_s) + 1)
        self._random = random.Random(f"{world.name} {seed} starts")
        self._ending: list[tuple[float, int, _Replica]] = []
        """Calls under way: when they end, which, and where."""
        self._starting: list[tuple[float, int, _Replica]] = []
        self._replicas: list[_Replica] = []
        self._free: list[_Replica] = []
        self._started = self._served = self._completed = 0
        self._last_active = 0.0
        self._wanted = self._ready = self._begun = 0
        self._now = 0.0
        self._existing, self._existing_since = 0, 0.0
        self._sample = LoadSample(Instant(0.0), 0, 0, 0, 0)
        self._beat, self._dozing = 0.0, False
        self._looks = None if world.looks is None else iter([at for at in world.looks if at > 0])
        self._sweep_at = math.inf
        self._idle, self._sleeps = IdleHistory(), ScalePolicy(zero=True, zero_duration_s=world.zero_after_s)
        self._stretch_s, self._patience_s, self._leap_at = 64.0, 1.0, 0.0
        self.outcome = Outcome()

    def run(self) -> Outcome:
        begins_awake = self._world.awake or self._world.zero_after_s is None
        self._set(max(1, self._world.min) if begins_awake else 0)
        for _, _, replica in self._starting:
            self._became_ready(replica)
        self._starting.clear()
        self._plan_sweep()
        self._look_back()
        while self._step():
            pass
        return self._finished()

    def _look_back(self) -> None:
        """The looks before the begin, at which there was no call yet."""
        for at in self._world.looks or ():
            if at <= 0:
                sample = LoadSample(Instant(at), 0, 0, 0, 0)
                self._decider.wanted(sample, wanted=self._wanted, ready=self._ready, now=at)

    def _step(self) -> bool:
        """The next thing that happens. Of several at once: calls come, calls end, replicas start, then others look."""
        arrival = self._next_at()
        ending = self._ending[0][0] if self._ending else math.inf
        starting = self._starting[0][0] if self._starting else math.inf
        now = min(arrival, ending, starting, self._sweep_at, self._beat)
        end = self._world.length_s
        if now > end and (self._started == self._completed or now > end + AFTER_END_S):
            return False
        self._now = now
        if arrival == now:
            self._arrived()
        elif ending == now:
            self._done(heapq.heappop(self._ending)[2])
            self._dispatch()
        elif starting == now:
            replica = heapq.heappop(self._starting)[2]
            if not replica.gone:
                self._became_ready(replica)
        elif self._sweep_at == now:
            self._sweep()
        else:
            self._look()
        return True

    def _finished(self) -> Outcome:
        outcome, end = self.outcome, self._world.length_s
        self._now = max(self._now, end)
        self._exist(0)
        outcome.calls, outcome.unserved = self._served, self._started - self._served
        steps = [(min(since, end), count) for since, count in [*outcome.counts, (end, 0)]]
        outcome.wanted_s = sum(count * (until - since) for (since, count), (until, _) in itertools.pairwise(steps))
        outcome.busy_s = sum(itertools.islice(self._service_s, self._served))
        edges = [bisect_left(self._at, part * end / PARTS) for part in range(PARTS)]
        outcome.arrived = [until - since for since, until in itertools.pairwise([*edges, len(self._at)])]
        return outcome

    # Those who look: the decider at each beat, the idle rule at its sweeps.

    def _look(self) -> None:
        now, self._dozing = self._now, False
        before = self._sample
        self._sample = self._taken()
        if self._looks is not None:  # they are lived through one by one
            self._beat = next(self._looks, math.inf)
            if now:
                self._decide(self._sample)
            return
        self._beat = now + BEAT_S
        if not now:
            return
        self._decide(before)
        resting = self._started == before.completed == self._completed and self._ready == self._wanted
        # Where calls come often a leap gets over several silences at once.
        rare = self._next_at() > min(now + self._stretch_s, self._sweep_at)
        if resting and rare and self._dozes():
            return
        if not self._leap() and not (resting and not rare and self._dozes()):
            self._bulk(now + BEAT_S)

    def _decide(self, sample: LoadSample) -> None:
        wanted = self._decider.wanted(sample, wanted=self._wanted, ready=self._ready, now=self._now)
        if self._wanted > 0:
            self._set(max(1, self._world.min, min(wanted, self._world.max)))

    def _taken(self) -> LoadSample:
        in_flight, waiting = self._started - self._completed, self._started - self._served
        return LoadSample(Instant(self._now), self._started, self._completed, in_flight, waiting)

    def _next_at(self) -> float:
        """When the next call comes."""
        return self._at[self._started] if self._started < len(self._at) else math.inf

    def _dozes(self) -> bool:
        """Look again shortly before the next call, if the decider would look on until then."""
        if not self._decider.at_rest(wanted=self._wanted, now=self._now):
            return False
        next_at, resumed_at = self._next_at(), math.inf
        if math.isfinite(next_at):
            resumed_at = max(self._beat, math.floor(next_at - self._decider.lead_s))
        self._dozing = resumed_at > self._beat
        self._beat = resumed_at
        return True

    def _stir(self) -> None:
        """Another one changed the count: the decider looks at that when it would have."""
        if self._dozing:
            self._beat = float(math.ceil(self._now))
        self._dozing = False

    def _sweep(self) -> None:
        """The idle rule, with measurements that are never missing."""
        self._sweep_at = math.inf
        now = Instant(self._now)
        function = Function(_FUNCTION, Scale(self._wanted, self._wanted, ""), created_at=_LONG_AGO)
        activity = Activity(Sample(self._started - self._completed, now), Sample(self._last_active, now))
        decision, self._idle = idle.decide(function, self._sleeps, (), activity, self._idle, _IDLE_LIMITS, now)
        if decision.changes:
            self._set(decision.after)
        self._plan_sweep()

    def _plan_sweep(self) -> None:
        """The next sweep that can matter: those of a silence that is too short, and of a sleep, all come to a hold."""
        after_s = self._world.zero_after_s
        planned = math.isfinite(self._sweep_at)
        if after_s is None or planned or (self._wanted == 0 and self._idle.seen_asleep):
            return
        first_s, every_s = self._world.first_sweep_s, self._world.sweep_s
        number = math.floor((self._now - first_s) / every_s + 1e-9) + 1
        if self._wanted and not self._idle.seen_asleep:
            under_way = self._started > self._completed
            active = self._now if under_way else max(self._last_active, self._idle.awake_since or 0.0)
            number = max(number, self._first_sweep_after(active))
        self._sweep_at = number * every_s + first_s

    def _first_sweep_after(self, active: float) -> int:
        """The number of the first that may take it to zero, for all that is known of its calls at that instant."""
        assert self._world.zero_after_s is not None
        silent_at = active + self._world.zero_after_s - self._world.first_sweep_s
        return math.ceil(silent_at / self._world.sweep_s - 1e-9)

    def _put_off_sweep(self, until: float) -> None:
        """Leave out sweeps that come to a hold, because calls come shortly before them."""
        while self._sweep_at < until and self._wanted and not self._idle.seen_asleep:
            come = bisect_right(self._at, self._sweep_at, self._started)
            if come == self._started:
                return
            later = self._first_sweep_after(self._at[come - 1]) * self._world.sweep_s + self._world.first_sweep_s
            if later <= self._sweep_at:
                return
            self._sweep_at = later

    # Calls, one by one.

    def _arrived(self) -> None:
        self._started += 1
        self._last_active = self._now
        self.outcome.cold += not self._ready
        if self._wanted == 0:
            self.outcome.wakes += 1
            self._set(max(1, min(self._decider.woken(), self._world.max)))
            self._plan_sweep()
        self._dispatch()

    def _dispatch(self) -> None:
        while self._served < self._started and (replica := self._top()) is not None:
            replica.busy += 1
            if replica.busy >= self._world.slots:
                self._free.pop()
            arrived = self._at[self._served]
            if self._now > arrived:
                self.outcome.waits.append(self._now - arrived)
            heapq.heappush(self._ending, (self._now + self._service_s[self._served], self._served, replica))
            self._served += 1

    def _top(self) -> _Replica | None:
        """The one that takes the next call: that which had room last."""
        while self._free and self._free[-1].gone:
            self._free.pop()
        return self._free[-1] if self._free else None

    def _done(self, replica: _Replica) -> None:
        self._completed += 1
        self._last_active = self._now
        replica.busy -= 1
        if replica.gone:
            if replica.busy == 0:
                self._exist(self._existing - 1)
        elif replica.busy == self._world.slots - 1:
            self._free.append(replica)

    # Calls, many at once: while nobody waits and no replica is full, all that come go to the one on top.

    def _roomy(self) -> bool:
        under_way = self._started - self._completed
        return self._ready > 0 and self._served == self._started and under_way < self._world.slots

    def _bulk(self, until: float) -> None:
        """The calls until the next beat, where they are many and have room."""
        if (self._starting and self._starting[0][0] <= until) or self._sweep_at < until or not self._roomy():
            return
        end = bisect_right(self._at, until, self._started)
        if MIN_BULK <= end - self._started < self._world.slots - (self._started - self._completed):
            self._pass(until, end)

    def _pass(self, until: float, last: int) -> None:
        """Let calls come up to that number, none of which waits, and those end that are due."""
        ending, top, first = self._ending, self._top(), self._started
        while ending and ending[0][0] <= until:
            self._now, _, replica = heapq.heappop(ending)
            self._done(replica)
        if last == first:
            return
        assert top is not None
        self._started = self._served = last
        staying = self._staying(first, last, until)
        for number in staying:
            heapq.heappush(ending, (self._plan.ends[number], number, top))
        top.busy += len(staying)
        self._completed += last - first - len(staying)
        # Whoever stays will be the last that was active, and until then it does not matter who was.
        self._last_active = max(self._last_active, self._at[last - 1])
        if not staying:
            self._last_active = max(self._last_active, *self._plan.ends[first:last])

    def _staying(self, first: int, last: int, until: float) -> list[int]:
        """Which of these calls end later: mostly the last ones, and no more than by then have come and not ended."""
        plan, found = self._plan, list[int]()
        beat = bisect_right(plan.beats, until) - 1
        most = last - (plan.ended[beat] if beat >= 0 else 0)
        for number in range(last - 1, first - 1, -1):
            if len(found) >= most:
                break
            if plan.ends[number] > until:
                found.append(number)
        return found

    def _leap(self) -> bool:
        """Over a stretch in which nobody waits, if the decider would look on."""
        now, wanted = self._now, self._wanted
        if now < self._leap_at or not wanted or self._ready != wanted or self._starting or not self._roomy():
            return False
        self._put_off_sweep(now + self._stretch_s)
        before = min(now + self._stretch_s + BEAT_S, self._sweep_at, math.floor(self._world.length_s) + BEAT_S)
        last = self._started + MAX_STRETCH_CALLS
        if last < len(self._at):
            before = min(before, self._at[last])
        until = math.ceil(before) - BEAT_S
        if until - now < MIN_STRETCH:
            return False
        stretch = self._foreseen(until)
        steady = None if stretch is None else self._decider.steady(stretch, wanted=wanted)
        if steady is not None:
            end, after = steady
            self._stretch_s = min(MAX_STRETCH, 2 * max(MIN_STRETCH, end - now))
            self._patience_s = 1.0
            until = end + BEAT_S
            self._pass(until, bisect_right(self._at, until, self._started))
            self._now = until
            self._sample = self._taken()
            self._beat = until + BEAT_S
            self._set(max(1, self._world.min, min(after, self._world.max)))
            return True
        if self._stretch_s == MIN_STRETCH:  # it will not be steady for a while: foreseeing costs, too
            self._leap_at = now + self._patience_s
            self._patience_s = min(MAX_PATIENCE_S, self._patience_s * 2)
        self._stretch_s = max(MIN_STRETCH, self._stretch_s / 4)
        return False

    def _foreseen(self, until: float) -> Stretch | None:
        """None where somebody might have to wait."""
        end, plan = bisect_right(self._at, until, self._started), self._plan
        if all(at == plan.ends[number] for at, number, _ in self._ending):
            return self._planned(int(self._now), int(until), end)
        return self._one_by_one(until, end)

    def _planned(self, now: int, until: int, end: int) -> Stretch | None:
        """Nobody who is here has waited, so all calls come and end as planned."""
        plan = self._plan
        beats = slice(bisect_right(plan.beats, now), bisect_left(plan.beats, until))
        come, ended = [self._started, *plan.come[beats]], [self._completed, *plan.ended[beats]]
        if max(map(sub, [*come[1:], end], ended)) >= self._world.slots:
            return None
        samples = list(zip(map(float, [now, *plan.beats[beats]]), come, ended, strict=True))
        return Stretch(self._now, until - BEAT_S, samples)

    def _one_by_one(self, until: float, end: int) -> Stretch | None:
        coming = slice(self._started, end)
        now, came, ends = self._now, self._at[coming], self._plan.ends[coming]
        ended = sorted([*ends, *(end for end, _, _ in self._ending)])
        spans = [(now, end) for end, _, _ in self._ending]
        spans += zip(came, ends, strict=True)
        active: set[int] = set()
        for begin, end_s in spans:
            active.update(range(max(int(now) + 1, math.ceil(begin)), min(int(until), math.ceil(end_s) + 1)))
        started, completed, slots = self._started, self._completed, self._world.slots
        samples = [(now, started, completed)]
        before, since, gone = completed, 0, 0
        for beat in sorted(active):
            since, gone = bisect_right(came, beat, since), bisect_right(ended, beat, gone)
            if started + since - before >= slots:
                return None
            before = completed + gone
            samples.append((float(beat), started + since, before))
        if end - before >= slots:
            return None
        return Stretch(now, until - BEAT_S, samples)

    # Replicas.

    def _became_ready(self, replica: _Replica) -> None:
        replica.ready = True
        self._ready += 1
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
            self._exist(self._existing + 1)
            self._begun += 1
            ready_at = self._now + self._world.cold_start_s(self._random)
            heapq.heappush(self._starting, (ready_at, self._begun, replica))
        if len(self._replicas) > wanted:
            # Those that are not ready go first, then the idlest.
            self._replicas.sort(key=lambda replica: (replica.ready, replica.busy), reverse=True)
            for replica in self._replicas[wanted:]:
                replica.gone = True
                self._ready -= replica.ready
                if replica.busy == 0:
                    self._exist(self._existing - 1)
            del self._replicas[wanted:]
            self._starting = [each for each in self._starting if not each[2].gone]
            heapq.heapify(self._starting)

    def _exist(self, count: int) -> None:
        """From now on there are so many."""
        now = min(self._now, self._world.length_s)
        self.outcome.replica_s += self._existing * (now - self._existing_since)
        self._existing, self._existing_since = count, now


def simulate(world: World, decider: Decider, seed: int, calls: Calls | None = None) -> Outcome:
    """One life of a function; the same seed gives every decider the same callers. ``calls``: theirs, if at hand."""
    return _Run(world, decider, calls or calls_of(world, seed), seed).run()
