"""From what gateways tell of busy periods to each function's history. Pure but for being changed.

All gateways answer, or nothing is taken: so everything up to ``heard_until`` is known, and is in the histories, each
period once, whoever asked before. A stretch in which a gateway was not asked, for it was replaced meanwhile, is passed
over while it is shorter than the minute that a function is kept awake anyhow; a longer one may hide calls, and the
pauses that were running then are not learned. Instants are seconds since the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from springtide.scaler.core.keepalive import history as histories
from springtide.scaler.core.keepalive.history import History
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.wire.busy_periods import QUIET_S, BusyReport, FunctionPeriods

MARGIN_S = 2 * QUIET_S
"""Periods that ended so long before are asked for again: of one that was split nobody knows the end at once."""
MAX_UNSEEN_S = 60.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A gateway: its life, and up to when that has told us everything."""

    life: str
    at: float


@dataclass(slots=True)
class Watched:
    """A function. ``last_busy`` is the end so far of a period that may go on; None in a pause that has begun."""

    history: History = field(default_factory=History)
    last_busy: float | None = None
    counted: dict[str, tuple[float, int]] = field(default_factory=dict)
    """By life of a gateway: the begin of its last period that was taken, and the calls of that."""


class Watching:
    """``take`` each answer of all gateways. ``scale``: seconds of the histories in one second, for tests."""

    def __init__(self, *, scale: float = 1.0) -> None:
        self._scale = scale
        self.heard_until: float | None = None
        self.gateways: dict[str, Heard] = {}
        self.functions: dict[FunctionRef, Watched] = {}

    def __repr__(self) -> str:
        return f"<Watching {len(self.functions)} functions at {len(self.gateways)} gateways>"

    @property
    def since(self) -> float:
        """What to ask gateways for."""
        return max(0.0, self.heard_until - MARGIN_S) if self.heard_until is not None else 0.0

    def forget_all_but(self, refs: Callable[[FunctionRef], bool]) -> list[FunctionRef]:
        """Of functions that were deleted."""
        gone = [ref for ref in self.functions if not refs(ref)]
        for ref in gone:
            del self.functions[ref]
        return gone

    def take(self, told: Mapping[str, BusyReport], wanted: Callable[[FunctionRef], bool]) -> Collection[FunctionRef]:
        """``told`` by address, of every gateway that there is. The functions whose histories have changed."""
        until = min(one.at for one in told.values())
        before = self.heard_until
        if before is None:
            # What was before is not all known: a gateway that is gone may have had calls.
            self.heard_until = before = min(until, max(one.began for one in told.values()))
        changed: set[FunctionRef] = set()
        if until < before - MAX_UNSEEN_S:  # Clocks were set back.
            changed |= self._lost(before)
            before = self.heard_until = until
            self._count_on(())
        elif self._hides_calls(told, until):
            changed |= self._lost(before)
        if {heard.life for heard in self.gateways.values()} != {one.gateway for one in told.values()}:
            self._count_on([one.gateway for one in told.values()])
        self.gateways = {url: Heard(one.gateway, one.at) for url, one in told.items()}
        for ref, parts in _by_function(told).items():
            if wanted(ref) and self._learn(ref, parts, before, until):
                changed.add(ref)
        changed |= self._end_periods(until)
        self.heard_until = max(before, until)
        return changed

    def _hides_calls(self, told: Mapping[str, BusyReport], until: float) -> bool:
        """Whether a gateway went on, or may have, for longer than is passed over after we heard it last."""
        for url, heard in self.gateways.items():
            one = told.get(url)
            if one is not None and one.gateway == heard.life:
                continue
            began = one.began if one is not None else until
            if began - heard.at > MAX_UNSEEN_S:
                return True
        return False

    def _lost(self, at: float) -> set[FunctionRef]:
        """Nobody knows what was after this instant, up to the present."""
        for watched in self.functions.values():
            watched.history = histories.lost(watched.history, self._at(at))
            watched.last_busy = None
        return set(self.functions)

    def _count_on(self, lives: Collection[str]) -> None:
        """Forget how far other lives of gateways had counted."""
        for watched in self.functions.values():
            watched.counted = {life: counted for life, counted in watched.counted.items() if life in lives}

    def _learn(self, ref: FunctionRef, parts: Mapping[str, FunctionPeriods], before: float, until: float) -> bool:
        watched = self.functions.get(ref)
        if watched is None:
            watched = Watched()
        if any(part.lost_until > before for part in parts.values()):
            watched.history = histories.lost(watched.history, self._at(before))
            watched.last_busy = None
        news = sorted(self._news(watched, parts, before, until))
        for begun, ended, calls in news:
            self._take_period(watched, begun, ended, calls)
        if news:
            self.functions[ref] = watched
        return bool(news)

    def _news(
        self, watched: Watched, parts: Mapping[str, FunctionPeriods], before: float, until: float
    ) -> Iterator[tuple[float, float, int]]:
        """What was not taken yet: begin, end up to now, and calls, which may be none of a period that goes on."""
        for life, part in parts.items():
            counted_from, counted = watched.counted.get(life, (-math.inf, 0))
            for number, period in enumerate(part.periods):
                goes_on = part.busy and number == len(part.periods) - 1
                ended = until if goes_on else min(period.ended, until)
                if period.begun > until or (life not in watched.counted and period.ended <= before and not goes_on):
                    continue
                if period.ended < counted_from:
                    continue
                calls = period.calls - counted if period.begun <= counted_from else period.calls
                if calls > 0 or ended > before:
                    yield period.begun, ended, max(0, calls)
                counted_from, counted = period.begun, period.calls
            if math.isfinite(counted_from):
                watched.counted[life] = (counted_from, counted)

    def _take_period(self, watched: Watched, begun: float, ended: float, calls: int) -> None:
        history, last_busy = watched.history, watched.last_busy
        goes_on = last_busy is not None and begun < last_busy + QUIET_S
        if last_busy is not None and not goes_on:
            history = histories.ended(history, self._at(last_busy))
        seen_at = history.recent.seen_at
        at = self._at(begun)
        if goes_on and seen_at is not None:
            at = max(at, seen_at)
        if calls > 0 or not goes_on:
            history = histories.started(history, at, max(calls, 0 if goes_on else 1))
        watched.history = history
        watched.last_busy = max(ended, last_busy) if goes_on and last_busy is not None else ended

    def _end_periods(self, until: float) -> set[FunctionRef]:
        """Those that cannot go on any more."""
        changed = set()
        for ref, watched in self.functions.items():
            if watched.last_busy is not None and watched.last_busy + QUIET_S <= until:
                watched.history = histories.ended(watched.history, self._at(watched.last_busy))
                watched.last_busy = None
                changed.add(ref)
        return changed

    def _at(self, at: float) -> Instant:
        return Instant(at * self._scale)


def _by_function(told: Mapping[str, BusyReport]) -> dict[FunctionRef, dict[str, FunctionPeriods]]:
    """Of each function what each life of a gateway says."""
    found: dict[FunctionRef, dict[str, FunctionPeriods]] = {}
    for one in told.values():
        for name, part in one.functions.items():
            found.setdefault(FunctionRef.parse(name), {})[one.gateway] = part
    return found
