"""How many calls a function will have under way one cold start from now, from counters that its gateways keep.

Nothing here knows of labels or limits, only of load. The parts, and where they come from:

* service time (``service_time``); while more calls are under way than have ended, at most what the oldest of them has
  taken, or calls took before;
* arrival rate over the shortest window that differs from the longer ones by more than Poisson noise explains;
* the transient of an M/G/∞ queue (S. G. Eick, W. A. Massey, W. Whitt, 1993): of the calls under way now a share
  e^(-L/S) still is after L seconds, and what arrives until then adds λS(1 - e^(-L/S)), with that much variance.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from springtide.scaler.core import service_time
from springtide.scaler.core.follow import Need
from springtide.scaler.core.service_time import Look
from springtide.scaler.core.vocabulary import Instant

WINDOW_S = 16.0
"""The longest window over which a rate is taken, and half of what is remembered: a trend compares two of them."""
SHORTER_WINDOWS_S = (8.0, 4.0, 2.0, 1.0)
SIGNIFICANT = 3.5
"""Standard deviations by which a shorter window must differ to be believed."""
SIGNIFICANT_RISE = 3.0
BACKLOG_S = 3.0
"""Waiting calls shall be gone in so long."""
HEADROOM_SD, MIN_HEADROOM_SD = 1.35, 1.1
"""Standard deviations of headroom when growing, and those that must be missing before it grows. Square-root staffing
(S. Halfin, W. Whitt, 1981): the larger a function the smaller its share."""
HASTE_WINDOW_S = 2.0
"""Of a herd that came at once a shorter window makes a rate that nobody will see again."""


@dataclass(frozen=True, slots=True)
class LoadSample:
    """One function's load over all gateways. ``started`` and ``completed`` only grow; ``waiting`` is in ``in_flight``.

    ``at`` is when it was so, not when it was heard.
    """

    at: Instant
    started: float
    completed: float
    in_flight: float
    waiting: float


class KnownLoad(Protocol):
    """What a demand is made from."""

    @property
    def last(self) -> LoadSample | None: ...

    @property
    def service_s(self) -> float: ...

    @property
    def known_s(self) -> float: ...

    def arrived(self, ago_s: float) -> float: ...


@dataclass(frozen=True, slots=True)
class LoadHistory:
    """What is remembered of a function's load: at most ``2 * WINDOW_S`` seconds of arrivals, and sums."""

    times: tuple[float, ...] = ()
    arrivals: tuple[float, ...] = ()
    """``started`` at each of ``times``, from 0, and going on as before where a counter began anew."""
    begun: tuple[float, ...] = ()
    """Calls that somebody works on or that have ended, at each of ``times``: ``arrivals`` less those that wait."""
    last: LoadSample | None = None
    since: float = 0.0
    """From when on arrivals are known without a gap."""
    settled_s: float = 1.0
    """The last service time of which more calls had ended than were under way."""
    busy_s: float = 0.0
    completions: float = 0.0
    looks: tuple[Look, ...] = ()

    @property
    def service_s(self) -> float:
        """Seconds that a call takes, waiting not included.

        Of a herd that came at once nearly all is under way and nearly nothing has ended, so time divided by completions
        would be many times what a call takes. They are served in turn, so none has taken longer than since the first
        look at which more had begun than have ended by now.
        """
        found = service_time.remembered(self.busy_s, self.completions)
        if self.last is not None and not service_time.settled(self.completions, working(self.last)):
            found = min(found, max(self.settled_s, self._oldest_s()))
        return service_time.proven(found, self.completions, self.looks)

    def with_sample(self, sample: LoadSample) -> LoadHistory:
        """The history one sample later. One that is not newer than the last changes nothing."""
        last = self.last
        if last is None:
            return replace(
                self,
                times=(sample.at,),
                arrivals=(0.0,),
                begun=(-float(sample.waiting),),
                last=sample,
                since=sample.at,
                looks=(look_of(sample),),
            )
        passed_s = sample.at - last.at
        if passed_s <= 0:
            return self
        if began_anew(last, sample):
            return self.resumed(sample)
        completed, started = sample.completed - last.completed, sample.started - last.started
        busy_s, completions = service_time.summed(
            self.busy_s,
            self.completions,
            passed_s=passed_s,
            working=(working(last) + working(sample)) / 2,
            ended=completed,
        )
        grown = self._grown(sample, started, busy_s, completions)
        return replace(grown, looks=service_time.with_look(self.looks, look_of(sample)))

    def resumed(self, sample: LoadSample) -> LoadHistory:
        """The same where nobody knows what happened since the last sample, because a source began anew or came back.

        A counter's jump would be taken for a burst of calls, so none is assumed; nor is what follows a rise.
        """
        if self.last is None or sample.at <= self.last.at:
            return self if self.last is not None else self.with_sample(sample)
        grown = self._grown(sample, 0.0, self.busy_s, self.completions)
        return replace(grown, since=sample.at, looks=(look_of(sample),))

    def begun_anew(self) -> LoadHistory:
        """What is worth keeping where instants mean nothing any more: how long a call takes."""
        return LoadHistory(settled_s=self.settled_s, busy_s=self.busy_s, completions=self.completions)

    def _grown(self, sample: LoadSample, started: float, busy_s: float, completions: float) -> LoadHistory:
        first = max(0, bisect_right(self.times, sample.at - 2 * WINDOW_S) - 1)
        arrived = self.arrivals[-1] + started
        begun = max(self.begun[-1], arrived - sample.waiting) if sample.waiting else arrived
        settled = service_time.settled(completions, working(sample))
        return LoadHistory(
            times=(*self.times[first:], sample.at),
            arrivals=(*self.arrivals[first:], arrived),
            begun=(*self.begun[first:], begun),
            last=sample,
            since=self.since,
            settled_s=service_time.remembered(busy_s, completions) if settled else self.settled_s,
            busy_s=busy_s,
            completions=completions,
        )

    def _oldest_s(self) -> float:
        """At most so long the oldest call under way has taken; infinite if it began before all that is remembered."""
        if self.last is None or not self.begun:
            return math.inf
        number = bisect_right(self.begun, self.arrivals[-1] - self.last.in_flight)
        return self.last.at - self.times[number - 1] if number else math.inf

    @property
    def known_s(self) -> float:
        """So long arrivals are known without a gap."""
        return 0.0 if self.last is None else self.last.at - self.since

    def arrived(self, ago_s: float) -> float:
        """Calls that have begun within the last ``ago_s`` seconds; none is assumed before the first sample."""
        if not self.times:
            return 0.0
        return self.arrivals[-1] - _at(self.times, self.arrivals, self.times[-1] - ago_s)


def working(sample: LoadSample) -> float:
    """Calls that somebody works on."""
    return max(0.0, sample.in_flight - sample.waiting)


def look_of(sample: LoadSample) -> Look:
    return Look(sample.at, working(sample), sample.completed)


def began_anew(last: LoadSample, sample: LoadSample) -> bool:
    """Whether a counter is below what it was."""
    return sample.started < last.started or sample.completed < last.completed


@dataclass(frozen=True, slots=True)
class Demand:
    """A load one cold start ahead: its ``mean``, the standard deviation ``sd``, and what works off waiting calls.

    In calls under way for ``calls_under_way``, in calls a second for ``calls_per_second``. ``rate`` is calls a second
    and ``service_s`` seconds a call in both.
    """

    rate: float
    service_s: float
    mean: float
    sd: float
    backlog: float

    def need(self, slots: float, hasty: Demand | None) -> Need:
        """In replicas of ``slots``. ``hasty``: the demand as one look may be believed, where calls wait."""
        return Need(
            replicas=(self.mean + HEADROOM_SD * self.sd + self.backlog) / slots,
            certain=(self.mean + MIN_HEADROOM_SD * self.sd + self.backlog) / slots,
            at_once=0.0 if hasty is None else (hasty.mean + HEADROOM_SD * hasty.sd + hasty.backlog) / slots,
        )


def arrival_rate(history: KnownLoad, ahead_s: float, *, shortest_s: float = 0.0) -> float:
    """Calls a second, now or where a significant rise will have led ``ahead_s`` seconds from now.

    Windows below ``shortest_s`` are left out. A rise is seen only where both windows are known: what came before a
    function was heard of, or while nobody heard of it, was not nothing.
    """
    arrived = history.arrived(WINDOW_S)
    rate = arrived / WINDOW_S
    for window_s in SHORTER_WINDOWS_S:
        if window_s < shortest_s:
            break
        seen, expected = history.arrived(window_s), rate * window_s
        if abs(seen - expected) > SIGNIFICANT * math.sqrt(expected + 1.0):
            rate = seen / window_s
    if history.known_s < 2 * WINDOW_S:
        return rate
    before = history.arrived(2 * WINDOW_S) - arrived
    if arrived - before > SIGNIFICANT_RISE * math.sqrt(2.0 * before + 1.0):
        half_s = WINDOW_S / 2
        late = history.arrived(half_s)
        slope = min((arrived - before) / WINDOW_S**2, (2.0 * late - arrived) / half_s**2)
        if slope > 0:
            rate = max(rate, late / half_s + slope * (half_s / 2 + ahead_s))
    return rate


def calls_under_way(history: KnownLoad, slots: float, *, ready: int, cold_start_s: float) -> tuple[Demand, Need]:
    """The demand for a function whose replicas take ``slots`` calls at once each."""
    sample, service_s = history.last, history.service_s
    if sample is None:
        return NOTHING, Need(0.0, 0.0)
    staying = math.exp(-cold_start_s / service_s)
    busy = working(sample)

    def demand(shortest_s: float) -> Demand:
        rate = arrival_rate(history, cold_start_s, shortest_s=shortest_s)
        arriving = rate * service_s * (1.0 - staying)
        backlog = 0.0
        if sample.waiting > 0:
            ended = min(ready * slots, sample.in_flight) / service_s
            queued = sample.waiting + max(0.0, rate - ended) * cold_start_s
            backlog = queued * min(1.0, service_s / BACKLOG_S)
        sd = math.sqrt(busy * staying * (1.0 - staying) + arriving)
        return Demand(rate=rate, service_s=service_s, mean=busy * staying + arriving, sd=sd, backlog=backlog)

    now = demand(0.0)
    return now, now.need(slots, demand(HASTE_WINDOW_S) if sample.waiting > 0 else None)


def calls_per_second(history: KnownLoad, target: float, *, cold_start_s: float) -> tuple[Demand, Need]:
    """The demand for a function whose replicas take ``target`` calls a second each, however short a call is."""
    sample = history.last
    if sample is None:
        return NOTHING, Need(0.0, 0.0)

    def demand(shortest_s: float) -> Demand:
        rate = arrival_rate(history, cold_start_s, shortest_s=shortest_s)
        return Demand(
            rate=rate,
            service_s=history.service_s,
            mean=rate,
            sd=math.sqrt(rate),
            backlog=sample.waiting / BACKLOG_S,
        )

    now = demand(0.0)
    return now, now.need(target, demand(HASTE_WINDOW_S) if sample.waiting > 0 else None)


NOTHING = Demand(rate=0.0, service_s=1.0, mean=0.0, sd=0.0, backlog=0.0)


def _at(times: Sequence[float], counts: Sequence[float], when: float) -> float:
    """A counter between its samples, by a straight line; before the first it is the first."""
    after = bisect_right(times, when)
    if after == 0:
        return counts[0]
    if after == len(times):
        return counts[-1]
    low, high = times[after - 1], times[after]
    return counts[after - 1] + (counts[after] - counts[after - 1]) * (when - low) / (high - low)
