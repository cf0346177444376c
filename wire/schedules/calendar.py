"""What the clocks of a zone make of five fields: ``cronsim`` finds the next minute on a clock that never changes, and
what happens where clocks do change is here.

A schedule for certain hours follows the clock on the wall. A time that the clock skips in spring runs at the next
minute that there is, and one that it repeats in autumn runs once, the first time. A schedule for every hour
(``*/5 * * * *``) follows the time that goes by: it is not silent while an hour is repeated, and runs for no minute that
there was not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

MINUTE = timedelta(minutes=1)
NEAR_S = 3 * 3600
"""No clock was ever put forward or back by more, but where a country changed its day."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Five canonical fields; ``every_hour``: they name each hour of a day."""

    fields: str
    every_hour: bool

    def next_local(self, after: datetime) -> datetime | None:
        """The first matching minute after ``after``, both without a zone; None if there is none in fifty years."""
        try:
            return next(CronSim(self.fields, after))
        except (StopIteration, OverflowError, ValueError):
            return None  # ValueError: past the last year that there is

    def never(self) -> bool:
        """Whether no day is like that, as the 30th of February."""
        try:
            CronSim(self.fields, datetime(2000, 1, 1))  # noqa: DTZ001 - on no particular clock
        except CronSimError:
            return True
        return False


def next_instant(calendar: Calendar, zone: tzinfo, after_s: float) -> float:
    """The first instant after ``after_s`` at which ``calendar`` is due by the clocks of ``zone``; infinite if never.

    Seconds of the epoch, both.
    """
    try:
        if calendar.every_hour and zone is not UTC:
            return _by_elapsed_time(calendar, zone, after_s)
        return _by_the_wall(calendar, zone, after_s, skipped_runs=True)
    except (OverflowError, ValueError):  # past the last year that there is
        return math.inf


def _by_the_wall(calendar: Calendar, zone: tzinfo, after_s: float, *, skipped_runs: bool) -> float:
    for at in _locals(calendar, _local(zone, after_s)):
        there = _that_there_is(at, zone)
        if there == at or skipped_runs:
            instant = there.replace(tzinfo=zone, fold=0).timestamp()
            if instant > after_s:  # else the clock was put back, and this is the minute's first time
                return instant
    return math.inf


def _locals(calendar: Calendar, at: datetime) -> Iterator[datetime]:
    while (found := calendar.next_local(at)) is not None:
        yield found
        at = found


def _that_there_is(at: datetime, zone: tzinfo) -> datetime:
    """``at``, or the first minute after it that the clock shows."""
    while _local(zone, at.replace(tzinfo=zone).timestamp()) != at:
        at += MINUTE
    return at


def _by_elapsed_time(calendar: Calendar, zone: tzinfo, after_s: float) -> float:
    if _offset_s(zone, after_s - NEAR_S) != _offset_s(zone, after_s + NEAR_S):
        # A change is near, or has just been: each minute is looked at, as the clock shows it.
        for instant in _minutes(after_s):
            shown = _local(zone, instant)
            if calendar.next_local(shown - MINUTE) == shown:
                return instant
        after_s += NEAR_S
    return _by_the_wall(calendar, zone, after_s, skipped_runs=False)


def _minutes(after_s: float) -> Iterator[float]:
    """Those that begin after ``after_s``, up to ``NEAR_S`` later."""
    first = (math.floor(after_s / 60) + 1) * 60
    yield from (float(first + 60 * number) for number in range(NEAR_S // 60))


def _offset_s(zone: tzinfo, instant: float) -> float:
    offset = datetime.fromtimestamp(instant, zone).utcoffset()
    assert offset is not None
    return offset.total_seconds()


def _local(zone: tzinfo, instant: float) -> datetime:
    """What the clock shows, to the second."""
    return datetime.fromtimestamp(math.floor(instant), zone).replace(tzinfo=None, fold=0)
