"""Which ticks are to be sent now: the rule, and pure. Instants are seconds of the epoch.

What is late by no more than ``takeover_s`` is sent, every tick of it: somebody was about to, and ended or was cut off.
Of what is older the function says what becomes of it (``CatchUp``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from springtide.wire.schedules.annotations import CatchUp, FunctionSchedule, TickOptions

MAX_COUNTED = 1000
"""Ticks that are counted one by one where many were missed."""
MIN_WINDOW_S = 60.0
GROWTH = 4


@dataclass(frozen=True, slots=True)
class Owed:
    """``due``: oldest first; ``missed``: how many are not sent, counted to ``MAX_COUNTED``; ``next_due``: after now."""

    due: tuple[float, ...]
    missed: int
    next_due: float


def owed(timed: FunctionSchedule, *, after_s: float, now_s: float, anchor_s: float, takeover_s: float) -> Owed:
    """Of the ticks that are due after ``after_s``, up to now."""
    young_from = max(after_s, now_s - takeover_s)
    young = tuple(_between(timed, young_from, now_s, anchor_s))
    next_due = timed.due_after(now_s, anchor_s)
    if young_from <= after_s or timed.due_after(after_s, anchor_s) > young_from:
        return Owed(young, 0, next_due)
    kept = newest(timed, after_s, young_from, anchor_s=anchor_s, most=late_limit(timed.options))
    missed = 0
    for _ in _between(timed, after_s, young_from, anchor_s):
        missed += 1
        if missed - len(kept) >= MAX_COUNTED:
            break
    return Owed((*kept, *young), missed - len(kept), next_due)


def late_limit(options: TickOptions) -> int:
    """How many ticks are sent at most that are later than a takeover takes: the newest."""
    return {CatchUp.NONE: 0, CatchUp.LAST: 1, CatchUp.ALL: options.catch_up_limit}[options.catch_up]


def _between(timed: FunctionSchedule, after_s: float, until_s: float, anchor_s: float) -> Iterator[float]:
    """Those after the one, up to and with the other."""
    due = timed.due_after(after_s, anchor_s)
    while due <= until_s:
        yield due
        due = timed.due_after(due, anchor_s)


def newest(timed: FunctionSchedule, after_s: float, until_s: float, *, anchor_s: float, most: int) -> tuple[float, ...]:
    """The last ``most`` of those after the one, up to and with the other, oldest first.

    Found from the end, in windows that grow: years may have gone by.
    """
    if not most:
        return ()
    window_s = MIN_WINDOW_S
    while True:
        begin = max(after_s, until_s - window_s)
        found = tuple(_between(timed, begin, until_s, anchor_s))
        if len(found) >= most or begin <= after_s:
            return found[-most:]
        window_s *= GROWTH
