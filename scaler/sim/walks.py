"""From beat to beat under the control loop's rule, as long as the number of replicas stays.

The rule's own functions are asked what is needed; what they do not depend on is left out. Where the need follows from
arrivals alone (calls a second), they are asked only at beats at which the count might change, or of which something
is remembered.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from operator import itemgetter

from springtide.scaler.core import follow, service_time
from springtide.scaler.core.demand import KnownLoad, LoadHistory, LoadSample
from springtide.scaler.core.follow import Bounds, FollowHistory, Need
from springtide.scaler.core.vocabulary import Instant
from springtide.scaler.sim import steady
from springtide.scaler.sim.engine import BEAT_S, Stretch
from springtide.scaler.sim.steady import Beat

NeedOf = Callable[[KnownLoad], Need]


@dataclass(frozen=True, slots=True)
class Walked:
    """``last`` is the last beat at whose sample nothing changes; the histories are those after it."""

    last: float
    load: LoadHistory
    replicas: FollowHistory


class _Needs:
    """What ``follow`` remembers of needs while the count stays, and whether a shrink may come of it."""

    def __init__(self, bounds: Bounds, replicas: FollowHistory) -> None:
        assert replicas.wanted is not None
        self._bounds, self._wanted, self._grip = bounds, replicas.wanted, replicas.grip
        self.seen = deque(replicas.needs)
        self.counts_s = min(follow.SHORT_HOLD_S * replicas.grip**2, follow.LONG_HOLD_S)
        """So long a need counts, however deep the fall."""
        grown_at = max(replicas.grown_at, replicas.woken_at)
        self.stays_until = max(grown_at + follow.AFTER_GROWTH_S, replicas.shrunk_at + follow.AFTER_SHRINK_S)
        if self._wanted <= bounds.min:
            self.stays_until = math.inf

    def add(self, needed: float, now: Instant) -> None:
        seen = self.seen
        while seen and seen[-1][1] <= needed:
            seen.pop()
        while seen and now - seen[0][0] > follow.LONG_HOLD_S:
            seen.popleft()
        seen.append((now, needed))

    def keeps(self, needed: float, at: Instant, now: Instant) -> bool:
        """Whether it does not shrink now, by what was needed at that instant, or is known already."""
        if now >= self.stays_until and not self._worth(needed):
            self.stays_until = at + self.counts_s
        return now < self.stays_until

    def may_shrink(self, now: Instant) -> bool:
        return not self.keeps(self.seen[-1][1], now, now) and self._worth(self._level(now))

    def _level(self, now: Instant) -> float:
        return follow.level_of(self._bounds, self.seen, now, wanted=self._wanted, grip=self._grip)

    def _worth(self, level: float) -> bool:
        return follow.worth_shrinking(self._bounds, self._wanted, max(self._bounds.min, math.ceil(level)))


def walked(
    history: LoadHistory, replicas: FollowHistory, stretch: Stretch, *, bounds: Bounds, need_of: NeedOf
) -> Walked | None:
    """From beat to beat until one at which the count might change. None where that is the first.

    ``history`` has the first sample. Only what ``follow`` remembers at a look that changes nothing is kept here.
    """
    busy_s, completions, settled_s = history.busy_s, history.completions, history.settled_s
    certain, needs = replicas.certain_before, _Needs(bounds, replicas)
    found_s, service_s, looks = settled_s, history.service_s, history.looks
    view, last, before = steady.view_of(history, stretch), None, stretch.samples[0]
    for place, at in enumerate(stretch.beats()):
        served, seen = (busy_s, completions), looks
        if at[0] > stretch.begin:
            served = steady.served(busy_s, completions, before, at)
            if not service_time.settled(served[1], at[1] - at[2]):
                break
            found_s = service_time.remembered(*served)
            seen = service_time.with_look(looks, steady.look(at))
            service_s = service_time.proven(found_s, served[1], seen)
        view.placed(place)
        view.last, view.service_s = steady.sample_of(*at), service_s
        need = need_of(view)
        if follow.wishes_more(bounds, replicas, need):
            break
        now = Instant(at[0] + BEAT_S)
        needs.add(need.replicas, now)
        if needs.may_shrink(now):
            break
        settled_s = found_s
        (busy_s, completions), looks, certain, last, before = served, seen, need.certain, at[0], at
    if last is None:
        return None
    load = replace(
        steady.with_window(history, stretch.until(last)),
        settled_s=settled_s,
        busy_s=busy_s,
        completions=completions,
        looks=looks,
    )
    return Walked(last, load, replace(replicas, needs=tuple(needs.seen), certain_before=certain))


class _Even:
    """A load of so many calls a second all the time, none of which waits."""

    service_s, known_s = 1.0, 0.0
    last: LoadSample | None = LoadSample(Instant(0.0), 0, 0, 0, 0)

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def arrived(self, ago_s: float) -> float:
        return self._rate * ago_s


class _Asked:
    """Needs that follow from arrivals alone, asked for only where something depends on them.

    One that keeps the count does so for a while, in which no other matters. What ``follow`` would remember is made up
    for before a shrink, and at the end.
    """

    def __init__(self, view: Beat, need_of: NeedOf, needs: _Needs, *, begin: float, ahead_s: float) -> None:
        self._view, self._need_of, self._needs, self._begin = view, need_of, needs, begin
        self._highest = list(view.highest(ahead_s))
        self._remembered = 0
        """Places before it are in ``needs``, or too old to count."""

    def need(self, place: int) -> Need:
        return self._need_of(self._view.placed(place))

    def remember(self, last: int) -> None:
        """All up to that place."""
        for place in range(max(self._remembered, last - int(follow.LONG_HOLD_S)), last + 1):
            self._needs.add(self.need(place).replicas, self._now(place))
        self._remembered = last + 1

    def first_growth(self, replicas: FollowHistory, wishes: Iterable[int]) -> int:
        """The first of these places with a wish for more that the look before had, too; the number of all for none."""
        for place in wishes:
            certain_before = self.need(place - 1).certain if place else replicas.certain_before
            if follow.confirmed(replace(replicas, certain_before=certain_before)):
                return place
        return self._view.places

    def first_shrink(self, places: int) -> int:
        """The first place at which it may shrink; ``places`` where there is none before."""
        place = 0
        while place < places:
            if not (self._keeps(place, place) or self._keeps(self._highest_before(place), place)):
                self.remember(place)
                if self._needs.may_shrink(self._now(place)):
                    return place
            kept = min(self._needs.stays_until - self._now(0), float(places))
            place = max(place + 1, math.ceil(kept))
        return places

    def _keeps(self, earlier: int, place: int) -> bool:
        return self._needs.keeps(self.need(earlier).replicas, self._now(earlier), self._now(place))

    def _highest_before(self, place: int) -> int:
        """Where the most may have been needed of what still counts: if one need keeps the count, it is likely this."""
        since = max(0, place + 1 - int(self._needs.counts_s))
        return since + max(enumerate(self._highest[since : place + 1]), key=itemgetter(1, 0))[0]

    def _now(self, place: int) -> Instant:
        return Instant(self._begin + place + BEAT_S)


def walked_by_arrivals(
    history: LoadHistory, replicas: FollowHistory, stretch: Stretch, *, bounds: Bounds, need_of: NeedOf
) -> Walked | None:
    """The same where what is needed follows from arrivals alone, and how long calls take does not matter."""
    view, needs = steady.view_of(history, stretch), _Needs(bounds, replicas)
    view.last = steady.sample(stretch, stretch.begin)
    asked = _Asked(view, need_of, needs, begin=stretch.begin, ahead_s=replicas.cold_start_s)

    def enough(rate: float) -> bool:
        return not follow.wishes_more(bounds, replicas, need_of(_Even(rate)))

    grows_at = asked.first_growth(replicas, steady.places_above(view, replicas.cold_start_s, enough))
    last = asked.first_shrink(grows_at) - 1
    if last < 0:
        return None
    asked.remember(last)
    passed = stretch.until(stretch.begin + last)
    load = steady.remembered_arrivals(history, passed)
    return Walked(passed.end, load, replace(replicas, needs=tuple(needs.seen), certain_before=asked.need(last).certain))
