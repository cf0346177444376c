"""What is remembered of one function's calls: how long its pauses were, and when it was called last.

A *pause* is from the moment when nothing was in flight at any gateway until the next call began. Pauses are counted in
``BINS`` bins that double (``EDGES_S``), on pages of ``PAGE_S`` each by the calendar, of which the newest ``PAGES`` are
kept: so what is old is forgotten.

Everything is a value. Feed it by ``started`` and ``ended``, once for all gateways together, and tell by ``lost`` that
nobody looked for a while: then the pause that was running is not counted, for what is not known is no silence. Instants
are seconds since the epoch and durations seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace

from springtide.scaler.core.vocabulary import Instant

BINS = 14
MIN_BIN_S = 60.0
"""Width of the narrowest bin."""
EDGES_S = (0.0, *(MIN_BIN_S * 2**power for power in range(BINS - 1)))
"""Where each bin begins; the last one, from 2.8 days on, has no end."""

PAGE_S = 2 * 86400.0
PAGES = 7
MAX_CALLS, MAX_ENDED, MAX_REST_S = 2**35 - 1, 2**21 - 1, 2**21 - 1
"""Of a page, and of a bin on a page; what is more is not counted."""

INTERVALS = 10
"""Of so many of the last intervals from start to start is it told whether a timer calls."""
MAX_INTERVAL_S = (2**28 - 1) / 10
"""Ten months; a longer one is taken for one of that."""
BURST_S = MIN_BIN_S
"""A call that begins so soon after the last one ended belongs to the same burst: the first of it is its start. In that
time no function sleeps, so that nothing is to be learned of it."""
MAX_AT_S = 1e11
"""Instants beyond it, and before 1970, are no times, and change nothing: the year 5138."""


@dataclass(frozen=True, slots=True)
class Page:
    """What was seen of ``PAGE_S`` seconds: page ``number`` of those since the epoch."""

    number: int
    calls: int = 0
    watched_s: int = 0
    """Of the page's seconds, those in which somebody looked."""
    ended: tuple[int, ...] = (0,) * BINS
    """Pauses that ended on this page, by the bin they ended in."""
    rest_s: tuple[int, ...] = (0,) * BINS
    """Seconds that those spent in the bin they ended in."""


@dataclass(frozen=True, slots=True)
class Recent:
    """The last calls. ``seen_at`` is the last look."""

    seen_at: Instant | None = None
    last_start: Instant | None = None
    """When the last burst of calls began."""
    last_end: Instant | None = None
    """Since when nothing is in flight; None while something is, or where that is not known."""
    busy: bool = False
    intervals_s: tuple[float, ...] = ()
    """The last ``INTERVALS`` from start to start, the newest last, to a tenth of a second."""


@dataclass(frozen=True, slots=True)
class History:
    """``pages`` by their number, the newest last. An empty one knows nothing, and says so."""

    pages: tuple[Page, ...] = ()
    recent: Recent = Recent()

    @property
    def calls(self) -> int:
        return sum(page.calls for page in self.pages)

    @property
    def pauses(self) -> int:
        """How many are remembered."""
        return sum(sum(page.ended) for page in self.pages)


def bin_of(pause_s: float) -> int:
    return max(0, bisect_right(EDGES_S, pause_s) - 1)


def started(history: History, at: Instant, calls: int = 1) -> History:
    """Calls began at an instant. Ends the pause, if one was running."""
    if not 0 <= at <= MAX_AT_S:
        return history
    recent = history.recent
    *older, page = _watched(history, at)
    pause_s = None if recent.last_end is None else at - recent.last_end
    ended, rest_s = page.ended, page.rest_s
    if pause_s is not None and pause_s >= 0:
        bin_ = bin_of(pause_s)
        ended = _added(ended, bin_, 1, MAX_ENDED)
        rest_s = _added(rest_s, bin_, round(pause_s - EDGES_S[bin_]), MAX_REST_S)
    page = Page(page.number, min(page.calls + calls, MAX_CALLS), page.watched_s, ended, rest_s)
    last_start, intervals_s = recent.last_start, recent.intervals_s
    if not recent.busy and (pause_s is None or not 0 <= pause_s < BURST_S):
        if pause_s is None or last_start is None or at <= last_start:
            intervals_s = ()  # What lies between was not seen, or the clock was set.
        else:
            intervals_s = (*intervals_s, min(round(at - last_start, 1), MAX_INTERVAL_S))[-INTERVALS:]
        last_start = at
    return History((*older, page), Recent(at, last_start, None, busy=True, intervals_s=intervals_s))


def ended(history: History, at: Instant) -> History:
    """Nothing is in flight any more, anywhere: a pause begins."""
    if not 0 <= at <= MAX_AT_S:
        return history
    recent = history.recent
    return History(_watched(history, at), Recent(at, recent.last_start, at, intervals_s=recent.intervals_s))


def lost(history: History, at: Instant) -> History:
    """Nobody has looked since ``at``: the pause that was running, or the calls that were, ended at an unknown time."""
    if not 0 <= at <= MAX_AT_S:
        return history
    return History(_watched(history, at), Recent(last_start=history.recent.last_start))


def _watched(history: History, at: Instant) -> tuple[Page, ...]:
    """The pages with the time since the last look, and with one for ``at``, which is the newest one then.

    Whole seconds of the epoch are counted, so that nothing is lost or doubled by rounding, however often somebody
    looks. Pages of a later time were written by a clock that was wrong: they are torn out.
    """
    number, since, pages = int(at // PAGE_S), history.recent.seen_at, history.pages
    seconds = 0 if since is None else max(0, math.floor(at) - math.floor(since))
    if pages and pages[-1].number == number and math.floor(at) - seconds >= number * PAGE_S:
        newest = pages[-1]
        if not seconds:
            return pages
        watched_s = min(newest.watched_s + seconds, int(PAGE_S))
        return (*pages[:-1], Page(number, newest.calls, watched_s, newest.ended, newest.rest_s))
    by_number = {page.number: page for page in pages if page.number <= number}
    by_number.setdefault(number, Page(number))
    if since is not None and seconds:
        for each in range(max(int(since // PAGE_S), number - PAGES + 1), number + 1):
            page = by_number.get(each, Page(each))
            begin = int(each * PAGE_S)
            inside = min(math.floor(at), begin + int(PAGE_S)) - max(math.floor(since), begin)
            by_number[each] = replace(page, watched_s=min(page.watched_s + max(0, inside), int(PAGE_S)))
    return _kept(by_number.values())


def _kept(pages: Iterable[Page]) -> tuple[Page, ...]:
    ordered = sorted(pages, key=lambda page: page.number)
    return tuple(page for page in ordered if page.number > ordered[-1].number - PAGES)


def _added(numbers: tuple[int, ...], place: int, value: int, most: int) -> tuple[int, ...]:
    return (*numbers[:place], min(numbers[place] + value, most), *numbers[place + 1 :])
