"""One schedule as people write it: five fields or a descriptor, and perhaps a zone before them.

*/5 9-17 * * MON-FRI            @daily            @every 1h30m            CRON_TZ=Europe/Berlin 0 6 * * *
"""

from __future__ import annotations

import math
import zoneinfo
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import StrEnum

from springtide.runtime.durations import parse_duration_s
from springtide.runtime.errors import BadInput
from springtide.wire.schedules.calendar import Calendar, next_instant
from springtide.wire.schedules.fields import EVERY, HOUR, RULES, canonical

MAX_CHARS = 250
MAX_SHOWN = 60
MIN_EVERY_S = 1
MAX_EVERY_S = 10 * 366 * 86_400
MAX_NEXT = 100
"""Coming instants of one schedule that are told at once."""
DEFAULT_ZONE = "UTC"
ZONES = ("CRON_TZ=", "TZ=")
NO_ZONES = ("localtime", "posixrules", "Factory")
"""Files of the database that say something else on each machine, or nothing."""
NO_ZONES_IN = ("right/", "posix/")
"""Copies of it; the first counts leap seconds, which clocks here do not."""
EVERY_WORD = "@every"

DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FORMS = "write five fields (minute hour day-of-month month day-of-week), @hourly, @daily or @every 5m"
ALL_HOURS = ",".join(map(str, range(HOUR.low, HOUR.high + 1)))


class Kind(StrEnum):
    CALENDAR = "calendar"
    EVERY = "every"


@dataclass(frozen=True, slots=True)
class Schedule:
    """``text`` is as it was written, with single spaces; ``zone`` the name of whose clocks it follows."""

    text: str
    zone: str
    kind: Kind
    calendar: Calendar | None = field(default=None, repr=False)
    every_s: int = field(default=0, repr=False)

    def next_after(self, instant_s: float, anchor_s: float) -> float:
        """When it is due first after ``instant_s``; infinite if never. Seconds of the epoch, all.

        ``anchor_s`` is when its function was deployed: ``@every`` counts from there, in whole seconds.
        """
        if self.calendar is not None:
            return next_instant(self.calendar, _zone(self.zone), instant_s)
        anchor = math.floor(anchor_s)
        turns = max(0, math.floor((instant_s - anchor) / self.every_s)) + 1
        return float(anchor + turns * self.every_s)


def parse(text: str) -> Schedule:
    """Raises BadInput that says what is wrong with ``text`` and what may be written."""
    if len(text) > MAX_CHARS:
        raise BadInput(f"{_shown(text)} has {len(text)} characters; at most {MAX_CHARS} are read")
    written = " ".join(text.split())
    zone, rest = _zone_and_rest(written)
    try:
        if rest.split(" ", 1)[0] == EVERY_WORD:
            return Schedule(written, zone, Kind.EVERY, every_s=_every_s(rest[len(EVERY_WORD) :].strip()))
        calendar = _calendar(rest)
    except ValueError as error:
        raise BadInput(f"{_shown(written)}: {error}") from None
    return Schedule(written, zone, Kind.CALENDAR, calendar)


def _zone_and_rest(written: str) -> tuple[str, str]:
    prefix = next((prefix for prefix in ZONES if written.startswith(prefix)), None)
    if prefix is None:
        return DEFAULT_ZONE, written
    name, _, rest = written.removeprefix(prefix).partition(" ")
    try:
        _zone(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        remedy = "write one of the time zone database, as Europe/Berlin, or leave it out for UTC"
        raise BadInput(f"{_shown(written)}: there is no zone {name[:MAX_SHOWN]!r}; {remedy}") from None
    return name, rest


def _zone(name: str) -> tzinfo:
    """Raises ZoneInfoNotFoundError, ValueError or OSError."""
    if name in NO_ZONES or name.startswith(NO_ZONES_IN):
        raise ValueError(name)
    return UTC if name == DEFAULT_ZONE else zoneinfo.ZoneInfo(name)


def _calendar(rest: str) -> Calendar:
    """Raises ValueError."""
    if rest.startswith("@"):
        if rest not in DESCRIPTORS:
            raise ValueError(f"there is no {rest[:MAX_SHOWN]}; write {', '.join(DESCRIPTORS)} or {EVERY_WORD} 5m")
        rest = DESCRIPTORS[rest]
    given = rest.split(" ") if rest else []
    if len(given) != len(RULES):
        fields = "1 field" if len(given) == 1 else f"{len(given)} fields"
        raise ValueError(f"it has {fields} and no descriptor; {FORMS}")
    minute, hour, *days = (canonical(text, rule) for text, rule in zip(given, RULES, strict=True))
    calendar = Calendar(" ".join((minute, hour, *days)), hour in (EVERY, ALL_HOURS))
    if calendar.never():
        raise ValueError("no year has such a day, so that it would never run; change the day or the month")
    return calendar


def _every_s(text: str) -> int:
    """Whole seconds, as robfig has it. Raises ValueError."""
    if not text or text.replace(".", "").isdigit():
        raise ValueError(f"{EVERY_WORD} has {text!r}; write a duration with its unit behind it, as {EVERY_WORD} 1h30m")
    try:
        seconds = math.floor(parse_duration_s(text))
    except ValueError:
        remedy = f"write hours, minutes and seconds without spaces, as {EVERY_WORD} 1h30m; a day is 24h"
        raise ValueError(f"{EVERY_WORD} has {text[:MAX_SHOWN]!r}, which is no duration here; {remedy}") from None
    if not MIN_EVERY_S <= seconds <= MAX_EVERY_S:
        raise ValueError(f"{EVERY_WORD} has {text[:MAX_SHOWN]}; it must be between 1s and {MAX_EVERY_S // 3600}h")
    return seconds


def _shown(text: str) -> str:
    return repr(text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…")
