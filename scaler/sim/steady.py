"""What makes a stretch of load steady for the control loop's rule, so that it need not be asked at each beat.

Bounds on what it could find that a function needs: where they stay below the replicas that there are, asking would
change nothing but what it remembers of the load. Else ``walks``. The rule itself is not repeated here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import sub

from springtide.scaler.core import demand, service_time
from springtide.scaler.core.demand import WINDOW_S, LoadHistory, LoadSample
from springtide.scaler.core.service_time import Look
from springtide.scaler.core.vocabulary import Instant
from springtide.scaler.sim.engine import BEAT_S, Stretch


def begun(history: LoadHistory, stretch: Stretch) -> LoadHistory:
    """The history after the first sample of a stretch."""
    return history.with_sample(sample(stretch, stretch.begin))


def remembered(history: LoadHistory, stretch: Stretch) -> LoadHistory:
    """From the history after the first sample the one after all, as ``with_sample`` makes it."""
    busy_s, completions, settled = history.busy_s, history.completions, None
    for _, at, busy_s, completions in _sums(history, stretch):
        if service_time.settled(completions, at[1] - at[2]):
            settled = (busy_s, completions)
    return replace(
        with_window(history, stretch),
        settled_s=history.settled_s if settled is None else service_time.remembered(*settled),
        busy_s=busy_s,
        completions=completions,
        looks=last_looks(history.looks, stretch),
    )


def remembered_arrivals(history: LoadHistory, stretch: Stretch) -> LoadHistory:
    """The same but for how long calls take, for a rule that does not ask: that stays as it was before the stretch."""
    return replace(
        with_window(history, stretch),
        settled_s=history.settled_s,
        busy_s=history.busy_s,
        completions=history.completions,
        looks=history.looks,
    )


def longest_service_s(history: LoadHistory, stretch: Stretch) -> float:
    """No call is taken to last longer at any of these samples. ``history`` has the first one."""
    looks, longest_s = history.looks, history.service_s
    for before, at, busy_s, completions in _sums(history, stretch):
        if before[0] > looks[-1].at:
            looks = service_time.with_look(looks, look(before))
        looks = service_time.with_look(looks, look(at))
        found_s = service_time.remembered(busy_s, completions)
        longest_s = max(longest_s, found_s, service_time.proven(found_s, completions, looks))
    return longest_s


_At = tuple[float, int, int]


def _sums(history: LoadHistory, stretch: Stretch) -> Iterator[tuple[_At, _At, float, float]]:
    """Each sample but the first, after that of the beat before, with the sums of service times after it.

    Beats that are left out add nothing: no call was under way at them, and none ended.
    """
    busy_s, completions, before = history.busy_s, history.completions, stretch.samples[0]
    for at in stretch.samples[1:]:
        if at[0] - before[0] > BEAT_S:
            before = (at[0] - BEAT_S, before[2], before[2])
        busy_s, completions = served(busy_s, completions, before, at)
        yield before, at, busy_s, completions
        before = at


def look(at: _At) -> Look:
    return Look(at[0], at[1] - at[2], at[2])


def served(busy_s: float, completions: float, before: _At, at: _At) -> tuple[float, float]:
    """The sums of service times one beat later."""
    working = (at[1] - at[2] + before[1] - before[2]) / 2
    return service_time.summed(busy_s, completions, passed_s=BEAT_S, working=working, ended=at[2] - before[2])


def with_window(history: LoadHistory, stretch: Stretch) -> LoadHistory:
    """Each beat of the last two windows, from the stretch and, where it is shorter, from before."""
    since = stretch.end - 2 * WINDOW_S
    first = max(stretch.begin + 1, since)
    beats = [first + number for number in range(int(stretch.end - first) + 1)]
    kept = max(0, bisect_right(history.times, since) - 1) if first > since else len(history.times)
    offset = history.arrivals[-1] - stretch.samples[0][1]
    arrivals = [offset + stretch.at(beat)[0] for beat in beats]
    return LoadHistory(
        times=(*history.times[kept:], *beats),
        arrivals=(*history.arrivals[kept:], *arrivals),
        begun=(*history.begun[kept:], *arrivals),
        last=sample(stretch, stretch.end),
        since=history.since,
    )


def sample(stretch: Stretch, beat: float) -> LoadSample:
    return sample_of(beat, *stretch.at(beat))


def sample_of(beat: float, started: int, completed: int) -> LoadSample:
    return LoadSample(Instant(beat), started, completed, started - completed, 0)


def most_calls_per_second(history: LoadHistory, stretch: Stretch, ahead_s: float) -> float:
    """No more than this would ``demand.arrival_rate`` find at any beat. ``history`` has the first sample."""
    most: float = max(after[1] - before[1] for before, after in pairwise([*stretch.samples[:1], *stretch.samples]))
    most = max(most, *map(sub, history.arrivals[1:], history.arrivals), 0.0)
    # A trend adds at most the rate of its windows over the time from the middle of the later half.
    return float(most * (1.0 + (WINDOW_S / 4 + ahead_s) / WINDOW_S))


def first_above(
    history: LoadHistory, stretch: Stretch, ahead_s: float, enough: Callable[[float], bool]
) -> float | None:
    """The first beat at which ``demand.arrival_rate`` finds more than is enough. ``history`` has the first sample."""
    view = view_of(history, stretch)
    place = next(places_above(view, ahead_s, enough), None)
    return None if place is None else stretch.begin + place


def places_above(view: Beat, ahead_s: float, enough: Callable[[float], bool]) -> Iterator[int]:
    """The place of each beat like that.

    The rate is asked for only where one of its windows by itself is above what was seen to be enough.
    """
    seen_enough = 0.0
    for place, rate in enumerate(view.highest(ahead_s)):
        if rate > seen_enough:
            if enough(rate):
                seen_enough = rate
            elif not enough(demand.arrival_rate(view.placed(place), ahead_s)):
                yield place


def _beat_by_beat(history: LoadHistory, stretch: Stretch) -> list[float]:
    """Calls begun by each beat from two windows before the stretch to its end."""
    now = stretch.samples[0][1]
    counts = [now - history.arrived(2 * WINDOW_S - ago) for ago in range(int(2 * WINDOW_S))]
    for (at, started, _), (next_at, _, _) in pairwise([*stretch.samples, (stretch.end + 1, 0, 0)]):
        counts += [started] * int(next_at - at)
    return counts


WINDOWS_S = (2 * WINDOW_S, WINDOW_S, *demand.SHORTER_WINDOWS_S)
"""All that ``demand.arrival_rate`` asks for; half of ``WINDOW_S`` is one of the shorter ones."""


def view_of(history: LoadHistory, stretch: Stretch) -> Beat:
    """At the stretch's first beat. ``history`` has the first sample."""
    return Beat(_beat_by_beat(history, stretch), history.known_s)


class Beat:
    """The load at one beat of a stretch, as far as a demand is made from it."""

    __slots__ = ("_known_before_s", "_place", "last", "places", "service_s", "within")

    def __init__(self, counts: Sequence[float], known_s: float) -> None:
        """``known_s``: how long arrivals are known at the stretch's first beat."""
        first = int(2 * WINDOW_S)
        self.within: dict[float, list[float]] = {
            long_s: list(map(sub, counts[first:], counts[first - int(long_s) :])) for long_s in WINDOWS_S
        }
        """Calls that have begun within each window, at each beat."""
        self.places = len(counts) - first
        self._place, self._known_before_s = 0, known_s
        self.service_s = 0.0
        self.last: LoadSample | None = None

    def placed(self, place: int) -> Beat:
        self._place = place
        return self

    def highest(self, ahead_s: float) -> Iterator[float]:
        """At each beat the most that ``demand.arrival_rate`` could find, by each of its windows and by their trend."""

        def rates(window_s: float) -> list[float]:
            return [calls / window_s for calls in self.within[window_s]]

        long, half = rates(WINDOW_S), rates(WINDOW_S / 2)
        rising = (WINDOW_S / 4 + ahead_s) / WINDOW_S
        trends = [late + slope * rising for late, slope in zip(half, long, strict=True)]
        return map(max, long, trends, *map(rates, demand.SHORTER_WINDOWS_S))

    @property
    def known_s(self) -> float:
        return self._known_before_s + self._place

    def arrived(self, ago_s: float) -> float:
        return self.within[ago_s][self._place]


def last_looks(looks: tuple[Look, ...], stretch: Stretch) -> tuple[Look, ...]:
    """As if each beat after the first had been looked at; those before the last ones leave nothing."""
    since = max(stretch.begin, stretch.end - service_time.WINDOWS_S[0] - 4)
    for number in range(1, int(stretch.end - since) + 1):
        beat = since + number
        looks = service_time.with_look(looks, look((beat, *stretch.at(beat))))
    return looks
