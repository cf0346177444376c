"""What is known of a function's past: its calls, in stretches between which nothing is known, and what it had.

A counter that was scraped tells how many calls began between two scrapes, not when; they are drawn uniformly in there.
Stretches without scrapes are *unknown*, which is not silence: they are left out, and how much was left out is told.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import random
import statistics
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from springtide.scaler.sim.traces import Trace
from springtide.scaler.sim.worlds import Draw

MAX_LOST_SCRAPES = 3
"""So many intervals without a sample are bridged, evenly; more are a gap."""
MIN_GAP_S = 15.0
MIN_STRETCH_S = 30.0
"""A shorter one between two gaps says nothing of a policy."""
MAX_CALLS = 50_000_000


@dataclass(frozen=True, slots=True)
class Really:
    """What there was, in the known stretches: the policy that ran, which no simulation knows."""

    replica_s: float
    cold: int | None
    largest: int | None
    replicas: Sequence[float | None]
    """The mean count in equal parts of the whole time; None where it is not known."""
    cold_starts: int | None = None
    """Wakes from zero."""
    awake: bool = False
    """It is known to have been so at the begin."""
    swept_s: float = 0.0
    """An instant at which the idle rule was asked: its sweeps come evenly."""
    looks: tuple[float, ...] = ()
    """When the control loop looked; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """``since_s`` is counted from the recording's begin."""

    since_s: float
    trace: Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """``begin`` is in seconds since the epoch, None where the source does not say.

    ``service_s`` and ``cold_start_s`` are None where nothing was measured.
    """

    function: str
    length_s: float
    stretches: tuple[Stretch, ...]
    begin: float | None = None
    service_s: Draw | None = None
    service_mean_s: float | None = None
    cold_start_s: float | None = None
    really: Really | None = field(default=None)

    @property
    def calls(self) -> int:
        return sum(stretch.trace.calls for stretch in self.stretches)

    @property
    def known_s(self) -> float:
        return sum(stretch.trace.length_s for stretch in self.stretches)

    @property
    def unknown_share(self) -> float:
        return max(0.0, 1 - self.known_s / self.length_s)

    def forgetting(self) -> Recording:
        """The same without its calls, which take the memory; their number stays."""
        told = tuple(
            replace(each, trace=replace(each.trace, arrivals=lambda _: iter(()), service_s=None))
            for each in self.stretches
        )
        return replace(self, stretches=told)


def of_trace(trace: Trace) -> Recording:
    """A file: everything is known."""
    lengths_s = trace.service_s
    return Recording(
        function=trace.function,
        length_s=trace.length_s,
        stretches=(Stretch(0.0, trace),),
        service_mean_s=statistics.fmean(lengths_s) if lengths_s else None,
        cold_start_s=trace.cold_start_s,
    )


@dataclass(slots=True)
class Scrapes:
    """One counter as one gateway showed it: instants in order, and what it stood at."""

    at: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def extend(self, at: Iterable[float], values: Iterable[float]) -> None:
        """Later samples; one that is known already is passed over."""
        for instant, value in zip(at, values, strict=True):
            if not self.at or instant > self.at[-1]:
                self.at.append(instant)
                self.values.append(value)


@dataclass(frozen=True, slots=True)
class _Growth:
    """Between ``since[n]`` and ``until[n]`` ``calls[n]`` calls began."""

    since: array[float] = field(default_factory=lambda: array("d"))
    until: array[float] = field(default_factory=lambda: array("d"))
    calls: array[int] = field(default_factory=lambda: array("L"))


Span = tuple[float, float]


def stretches(function: str, series: Sequence[Scrapes]) -> tuple[float, float, tuple[Stretch, ...]]:
    """Begin (seconds since the epoch), length, and the stretches that are known; all empty without two samples.

    ``series`` are the counters of all gateways. Nothing is known while none was scraped, or while one that was scraped
    before and after was not. A counter that fell began again at zero.
    """
    seen = [one for one in series if len(one.at) > 1]
    if not seen:
        return 0.0, 0.0, ()
    begin, end = min(one.at[0] for one in seen), max(one.at[-1] for one in seen)
    covered: list[Span] = []
    gaps: list[Span] = []
    grown = []
    for one in seen:
        interval_s = statistics.median(later - earlier for earlier, later in itertools.pairwise(one.at))
        gap_s = max(MIN_GAP_S, MAX_LOST_SCRAPES * interval_s)
        own_gaps = [pair for pair in itertools.pairwise(one.at) if pair[1] - pair[0] > gap_s]
        gaps += own_gaps
        # One that appears later was scraped for the first time within an interval of its start.
        since = max(begin, one.at[0] - interval_s)
        covered.append((since, one.at[-1]))
        grown.append(_growth(one, gap_s, since))
    known = _without(_joined(covered), _joined(gaps))
    longest = max((until - since for since, until in known), default=0.0)
    kept = [(since, until) for since, until in known if until - since >= min(MIN_STRETCH_S, longest)]
    found = tuple(Stretch(since - begin, _trace(function, grown, since, until)) for since, until in kept)
    return begin, end - begin, found


def _growth(scrapes: Scrapes, gap_s: float, since: float) -> _Growth:
    grown = _Growth()

    def add(earlier: float, later: float, calls: float) -> None:
        if calls >= 1:
            grown.since.append(earlier)
            grown.until.append(later)
            grown.calls.append(round(calls))

    if since < scrapes.at[0]:
        add(since, scrapes.at[0], scrapes.values[0])
    samples = zip(scrapes.at, scrapes.values, strict=True)
    for (earlier, before), (later, after) in itertools.pairwise(samples):
        if later - earlier <= gap_s:
            add(earlier, later, after if after < before else after - before)
    return grown


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for since, until in sorted(spans):
        if joined and since <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(until, joined[-1][1]))
        else:
            joined.append((since, until))
    return joined


def _without(spans: Sequence[Span], gaps: Sequence[Span]) -> list[Span]:
    left: list[Span] = []
    for since, until in spans:
        at = since
        for gap_since, gap_until in gaps:
            if gap_until <= at or gap_since >= until:
                continue
            if gap_since > at:
                left.append((at, gap_since))
            at = gap_until
        if at < until:
            left.append((at, until))
    return left


def _trace(function: str, grown: Sequence[_Growth], since: float, until: float) -> Trace:
    """The calls of one stretch. Intervals that reach beyond it belong to what another gateway does not know."""
    inside = [(one, *_places(one, since, until)) for one in grown]
    calls = sum(sum(one.calls[first:last]) for one, first, last in inside)

    def arrivals(source: random.Random) -> Iterator[float]:
        return heapq.merge(*(_drawn(one, first, last, since, source) for one, first, last in inside))

    return Trace(function, calls, max(1.0, until - since), arrivals)


def _places(one: _Growth, since: float, until: float) -> tuple[int, int]:
    """Those of the first interval and behind the last one that lie within."""
    return bisect.bisect_left(one.since, since - 1e-6), bisect.bisect_right(one.until, until + 1e-6)


def _drawn(one: _Growth, first: int, last: int, begin: float, source: random.Random) -> Iterator[float]:
    for place in range(first, last):
        earlier, width = one.since[place] - begin, one.until[place] - one.since[place]
        yield from sorted(earlier + width * source.random() for _ in range(one.calls[place]))


def part_of(recording: Recording, since_s: float, until_s: float) -> Recording:
    """What lies between two instants, counted from the begin; calls are drawn as they were for the whole."""
    kept = []
    for stretch in recording.stretches:
        begin = max(since_s, stretch.since_s)
        end = min(until_s, stretch.since_s + stretch.trace.length_s)
        if end - begin >= 1:
            trace = _cut(stretch.trace, begin - stretch.since_s, end - stretch.since_s)
            kept.append(Stretch(begin - since_s, trace))
    return Recording(
        function=recording.function,
        length_s=until_s - since_s,
        stretches=tuple(kept),
        service_s=recording.service_s,
        cold_start_s=recording.cold_start_s,
    )


def _cut(trace: Trace, since_s: float, until_s: float) -> Trace:
    def arrivals(source: random.Random) -> Iterator[float]:
        for at in trace.arrivals(source):
            if at >= until_s:
                return
            if at >= since_s:
                yield at - since_s

    share, lengths_s = (until_s - since_s) / trace.length_s, trace.service_s
    if lengths_s is not None:  # then nothing is drawn
        at = array("d", trace.arrivals(random.Random(0)))
        lengths_s = lengths_s[bisect.bisect_left(at, since_s) : bisect.bisect_left(at, until_s)]
    return Trace(
        trace.function,
        round(trace.calls * share),
        until_s - since_s,
        arrivals,
        service_s=lengths_s,
        workers=trace.workers,
    )
