"""What makes a stretch of load steady for the control loop's rule: bounds on what it could find that a function needs.

The rule itself is not repeated here. Where the bounds stay below the replicas that there are, asking it at each beat
would change nothing but what it remembers of the load, and that is brought up to date.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace
from itertools import pairwise
from operator import sub

from springtide.scaler.core import demand
from springtide.scaler.core.demand import WINDOW_S, LoadHistory, LoadSample
from springtide.scaler.core.vocabulary import Instant
from springtide.scaler.sim.engine import Stretch


def begun(history: LoadHistory, stretch: Stretch) -> LoadHistory:
    """The history after the first sample of a stretch."""
    return history.with_sample(_sample(stretch, stretch.begin))


def remembered(history: LoadHistory, stretch: Stretch) -> tuple[LoadHistory, float]:
    """From the history after the first sample the one after all, as ``with_sample`` makes it; the longest service time.

    Beats that are left out add nothing: no call was under way at them, and none ended.
    """
    busy_s, completions, longest_s = history.busy_s, history.completions, history.service_s
    settled_s = history.settled_s
    (before_at, before_started, before_completed) = stretch.samples[0]
    for at, started, completed in stretch.samples[1:]:
        under_way, ended = before_started - before_completed, completed - before_completed
        if at - before_at > 1.0:  # beats at which nothing was under way lie between
            under_way, before_at = 0, at - 1.0
        kept = math.exp(-min(1.0 / demand.SERVICE_MEMORY_S, ended / demand.SERVICE_MEMORY_CALLS))
        busy_s = busy_s * kept + (started - completed + under_way) / 2
        completions = completions * kept + ended
        found_s = demand.service_time(busy_s, completions)
        longest_s = max(longest_s, found_s)
        settled_s = found_s if completions >= started - completed else settled_s
        before_at, before_started, before_completed = at, started, completed
    return replace(
        _with_window(history, stretch), settled_s=settled_s, busy_s=busy_s, completions=completions
    ), longest_s


def _with_window(history: LoadHistory, stretch: Stretch) -> LoadHistory:
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
        last=_sample(stretch, stretch.end),
    )


def _sample(stretch: Stretch, beat: float) -> LoadSample:
    started, completed = stretch.at(beat)
    return LoadSample(Instant(beat), started, completed, started - completed, 0)


def most_calls_per_second(history: LoadHistory, stretch: Stretch, ahead_s: float) -> float:
    """No more than this would ``demand.arrival_rate`` find at any beat. ``history`` has the first sample."""
    most: float = max(after[1] - before[1] for before, after in pairwise([*stretch.samples[:1], *stretch.samples]))
    most = max(most, *map(sub, history.arrivals[1:], history.arrivals), 0.0)
    # A trend adds at most the rate of its windows over the time from the middle of the later half.
    return float(most * (1.0 + (WINDOW_S / 4 + ahead_s) / WINDOW_S))


def closer_most_calls_per_second(history: LoadHistory, stretch: Stretch, ahead_s: float) -> float:
    """The same from every window of every beat: a shorter one counts only where it can be significant."""
    counts = _beat_by_beat(history, stretch)

    def within(window_s: float) -> list[float]:
        return list(map(sub, counts[int(window_s) :], counts))

    long = within(WINDOW_S)
    least, most = min(long) / WINDOW_S, max(long) / WINDOW_S
    for window_s in demand.SHORTER_WINDOWS_S:
        seen = within(window_s)
        low, high = least * window_s, most * window_s
        if max(seen) > low + demand.SIGNIFICANT * math.sqrt(low + 1.0):
            most = max(most, max(seen) / window_s)
        if min(seen) < max(low, high - demand.SIGNIFICANT * math.sqrt(high + 1.0)):
            least = min(least, min(seen) / window_s)
    rise = max(map(sub, long[int(WINDOW_S) :], long))
    if rise > demand.SIGNIFICANT_RISE * math.sqrt(2.0 * min(long) + 1.0):
        half_s = WINDOW_S / 2
        most = max(most, max(within(half_s)) / half_s + rise / WINDOW_S**2 * (half_s / 2 + ahead_s))
    return most


def _beat_by_beat(history: LoadHistory, stretch: Stretch) -> list[float]:
    """Calls begun by each beat from two windows before the stretch to its end."""
    now = stretch.samples[0][1]
    counts = [now - history.arrived(2 * WINDOW_S - ago) for ago in range(int(2 * WINDOW_S))]
    for (at, started, _), (next_at, _, _) in pairwise([*stretch.samples, (stretch.end + 1, 0, 0)]):
        counts += [started] * int(next_at - at)
    return counts
