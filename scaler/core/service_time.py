"""How long a call takes, from counters and from how many are being worked on at each look: nobody times a call.

By Little's law (J. D. C. Little, 1961) it is busy time divided by completions, and calls that ended long ago weigh
less. That follows a change only as calls end, and calls that have become long do not. So what is remembered gives way
to what the last seconds prove, however the lengths of calls are distributed:

* whoever is worked on within a window either ends in it or still is at its end, so those calls took at least the time
  spent in it divided by their number, on average;
* of those that end in a window all but the ones that were under way at its beginning were begun in it, too, so these
  took at most the time spent in it divided by their number.

Either is believed where it differs significantly. What only one look shows is left out: a burst of short calls that it
happens to hit, or to miss, looks like long ones, or like none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

MEMORY_S, MEMORY_CALLS = 60.0, 100.0
"""Service times are forgotten at the slower of: e-fold in a minute, e-fold in a hundred calls."""
WINDOWS_S = (8.0, 4.0, 2.0, 1.0)
SIGNIFICANT = 3.5
"""Standard deviations by which a window must differ from what is remembered."""
LOOK_S, JITTER_S = 1.0, 0.25
"""Looks are so far apart, more or less; a window may be so much shorter."""


class Look(NamedTuple):
    """Calls that somebody worked on at an instant, and all that had ended by then."""

    at: float
    busy: float
    ended: float


def remembered(busy_s: float, completions: float) -> float:
    """Seconds a call by Little's law; 1 is assumed before any call, of which little is left after a few."""
    assumed = 1.0 / (1.0 + completions)
    return (busy_s + assumed) / (completions + assumed)


def summed(busy_s: float, completions: float, *, passed_s: float, working: float, ended: float) -> tuple[float, float]:
    """The sums after a while in which so many calls have ended and so many were worked on, on average."""
    kept = math.exp(-min(passed_s / MEMORY_S, ended / MEMORY_CALLS))
    return busy_s * kept + working * passed_s, completions * kept + ended


def settled(completions: float, working: float) -> bool:
    """Whether as many calls have ended as are worked on, so that what they took tells how long a call takes."""
    return completions >= working


def with_look(looks: Sequence[Look], look: Look) -> tuple[Look, ...]:
    """The looks that the longest window reaches, and one before it."""
    first, since = 0, look.at - WINDOWS_S[0]
    while first + 1 < len(looks) and looks[first + 1].at <= since:
        first += 1
    return (*looks[max(0, first - 1) :], look)


def proven(service_s: float, completions: float, looks: Sequence[Look]) -> float:
    """What is remembered from so many completions, within what the last looks prove.

    A shorter window has the last word: it knows better what is true now.
    """
    if not looks:
        return service_s
    last = looks[-1]
    if last.ended == looks[0].ended and not any(look.busy for look in looks):
        return service_s
    doubt = 1.0 / max(1.0, completions)
    for least_busy_s, most_busy_s, ended, certainly_ended, busy_before in reversed(_windows(looks)):
        at_work = max(1.0, ended + last.busy)
        more_s = least_busy_s - service_s * at_work
        if more_s > 0 and more_s > SIGNIFICANT * _sd_s(at_work, service_s, doubt):
            service_s = least_busy_s / at_work
        begun_in_it = certainly_ended - busy_before
        less_s = service_s * begun_in_it - most_busy_s
        if less_s > 0 and less_s > SIGNIFICANT * _sd_s(begun_in_it, service_s, doubt):
            service_s = remembered(most_busy_s, begun_in_it)
    return service_s


def _sd_s(calls: float, service_s: float, doubt: float) -> float:
    """The standard deviation of what so many calls seem to take together, if nothing has changed.

    Their own, that of what is remembered, and that of looks that hit a short call or miss it.
    """
    own = service_s * service_s * (1.0 + calls + calls * calls * doubt)
    return math.sqrt(own + calls * min(service_s * LOOK_S, LOOK_S * LOOK_S / 6.0))


def _windows(looks: Sequence[Look]) -> list[tuple[float, float, float, float, float]]:
    """Each that the looks span, the shortest first.

    Busy seconds at least and at most, calls that ended, those of them that two looks show, and calls that were under
    way at its beginning.
    """
    found: list[tuple[float, float, float, float, float]] = []
    least = most = certainly_ended = ended = 0.0
    now, busy_after, ended_after = looks[-1]
    after, shortest = now, len(WINDOWS_S) - 1
    for place in range(len(looks) - 2, -1, -1):
        at, busy, ended_by = looks[place]
        passed_s, ended_now = after - at, ended_after - ended_by
        ended += ended_now
        if busy or busy_after:
            least += min(busy, busy_after) * passed_s
            most += max(busy, busy_after) * passed_s
        if ended_now and place:
            certainly_ended += min(ended_now, ended_by - looks[place - 1].ended)
        if now - at >= WINDOWS_S[shortest - len(found)] - JITTER_S:
            found.append((least, most, ended, certainly_ended, busy))
            if len(found) > shortest:
                break
        after, busy_after, ended_after = at, busy, ended_by
    return found
