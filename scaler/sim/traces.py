"""What is replayed: the calls of functions, from a file of recorded times or of calls a minute.

Files are read a line at a time and within bounds. Errors name the line and the column.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import random
import statistics
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from springtide.runtime.errors import BadInput

MAX_ROWS = 20_000_000
MAX_LINE_CHARS = 200_000
"""A row of the Azure format has a number for each minute of a day, 1,440 of them."""
MAX_FUNCTIONS = 20_000
MAX_NAME_CHARS = 256
MAX_WORKERS = 256
MAX_CALLS_A_MINUTE = 10_000_000
MAX_AT_S = 1e12
MIN_SERVICE_S = 1e-4
"""What a gateway's log rounds to."""
MINUTE_S = 60.0

Arrivals = Callable[[random.Random], Iterator[float]]


@dataclass(frozen=True, slots=True)
class Trace:
    """The calls of one function; ``arrivals`` gives seconds since the begin, in order.

    ``begin`` is on the clock that the calls were recorded by; None where nothing tells it. ``service_s`` is how long
    each call took once a replica had it, and ``cold_start_s`` what a start takes, where that was recorded, too.
    """

    function: str
    calls: int
    length_s: float
    arrivals: Arrivals
    begin: float | None = None
    service_s: array[float] | None = field(default=None, compare=False)
    cold_start_s: float | None = None
    workers: int = 1
    """Processes of a gateway that gave calls to the same replicas."""


@dataclass(slots=True)
class _Seen:
    """Instants as they were read."""

    by_function: dict[str, array[float]] = field(default_factory=dict)
    service_s: dict[str, array[float]] = field(default_factory=dict)
    """How long each of them took, by those whose source tells it."""
    cold: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """When calls came that found no replica ready, and how long they waited."""
    workers: set[int] = field(default_factory=set)

    def add(self, function: str, at: float, where: str) -> None:
        if function not in self.by_function:
            if not function or len(function) > MAX_NAME_CHARS:
                raise BadInput(
                    f"{where}: the function's name has {len(function)} characters; 1 to {MAX_NAME_CHARS} are"
                )
            if len(self.by_function) >= MAX_FUNCTIONS:
                raise BadInput(f"{where}: more than {MAX_FUNCTIONS} functions; split the file")
            self.by_function[function] = array("d")
        self.by_function[function].append(at)

    def traces(self) -> list[Trace]:
        """All over the same time, from the first call of any to the last."""
        begin = min((min(times) for times in self.by_function.values()), default=0.0)
        end = max((max(times) for times in self.by_function.values()), default=0.0)
        starts_s = {name: started for name, calls in self.cold.items() if (started := _starts_s(calls))}
        usual_s = _median([start for own in starts_s.values() for start in own])
        found = []
        for name, times in sorted(self.by_function.items()):
            trace = recorded(name, times, begin, end, service_s=self.service_s.get(name))
            # Where a function never slept, what starts take is known from the others.
            start_s = _median(starts_s.get(name, ())) or usual_s
            found.append(replace(trace, cold_start_s=start_s, workers=max(1, len(self.workers))))
        return found


def _starts_s(calls: Iterable[tuple[float, float]]) -> list[float]:
    """How long each start took: the wait of the call that began it, not of those that came while it was under way."""
    starts_s: list[float] = []
    ready_at = -math.inf
    for at, waited_s in sorted(calls):
        if at > ready_at:
            starts_s.append(waited_s)
            ready_at = at + waited_s
    return starts_s


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def recorded(
    function: str, times: Iterable[float], begin: float, end: float, *, service_s: Iterable[float] | None = None
) -> Trace:
    """A function whose calls are known one by one, and perhaps how long each of them took."""
    length_s = max(1.0, end - begin)
    if service_s is None:
        kept = array("d", sorted(at - begin for at in times))
        return Trace(function, len(kept), length_s, lambda _: iter(kept), begin)
    ordered = sorted((at - begin, seconds) for at, seconds in zip(times, service_s, strict=True))
    at, took_s = array("d", (at for at, _ in ordered)), array("d", (seconds for _, seconds in ordered))
    return Trace(function, len(at), length_s, lambda _: iter(at), begin, service_s=took_s)


def read(lines: Iterable[str], source: str) -> list[Trace]:
    """What a file holds, by its first line: the Azure 2019 format, a gateway's access log, or times and functions."""
    numbered = _numbered(lines, source)
    first = next(numbered, None)
    if first is None:
        raise BadInput(f"{source}: empty; it needs a line for each call, such as 2026-05-01T12:00:00Z,hello")
    if first[1].startswith("{"):
        return _access_log(_again(first, numbered), source)
    if first[1].startswith("HashOwner,"):
        return _azure(first[1], numbered, source)
    return _times(_again(first, numbered), source)


def _again(first: tuple[int, str], rest: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield first
    yield from rest


def _numbered(lines: Iterable[str], source: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        if number > MAX_ROWS:
            raise BadInput(f"{source}: more than {MAX_ROWS:,} lines; split the file")
        if len(line) > MAX_LINE_CHARS:
            raise BadInput(f"{source}, line {number}: longer than {MAX_LINE_CHARS:,} characters")
        if text := line.strip("\ufeff\r\n "):
            yield number, text


def _times(numbered: Iterator[tuple[int, str]], source: str) -> list[Trace]:
    """Time and function, in this order or as a heading says; a time is an ISO 8601 one or seconds."""
    seen, at_column, name_column, began = _Seen(), 0, 1, False
    for number, line in numbered:
        where = f"{source}, line {number}"
        try:
            cells = [cell.strip() for cell in next(csv.reader([line]))]
        except csv.Error as error:
            raise BadInput(f"{where}: {error}; write time,function") from error
        if not began:
            began = True
            heading = [cell.lower() for cell in cells]
            if "function" in heading and "time" in heading:
                at_column, name_column = heading.index("time"), heading.index("function")
                continue
        if len(cells) <= max(at_column, name_column):
            raise BadInput(f"{where}: {len(cells)} column(s); write time,function")
        at = _instant(cells[at_column], f"{where}, column {at_column + 1}")
        seen.add(cells[name_column], at, f"{where}, column {name_column + 1}")
    return seen.traces()


def _instant(text: str, where: str) -> float:
    try:
        at = float(text)
    except ValueError:
        try:
            at = datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            at = math.nan
    if not abs(at) <= MAX_AT_S:
        raise BadInput(f"{where}: {text[:40]!r} is no time; write 2026-05-01T12:00:00Z or seconds")
    return at


def _access_log(numbered: Iterator[tuple[int, str]], source: str) -> list[Trace]:
    """The lines of calls in a gateway's log; the others are passed over. A line tells when the call ended."""
    seen, others = _Seen(), 0
    for number, line in numbered:
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict) or told.get("event") != "call" or "function" not in told:
            others += 1
            continue
        where = f"{source}, line {number}"
        seconds, held_s = _seconds(told, "seconds", where), _seconds({"held_s": 0, **told}, "held_s", where)
        began = _instant(str(told.get("timestamp")), f"{where}, timestamp") - seconds
        function = str(told["function"])
        seen.add(function, began, f"{where}, function")
        seen.service_s.setdefault(function, array("d")).append(max(MIN_SERVICE_S, seconds - held_s))
        if isinstance(worker := told.get("worker"), int) and 0 < worker <= MAX_WORKERS:
            seen.workers.add(worker)
        if told.get("cold") is True:
            seen.cold.setdefault(function, []).append((began, held_s))
    if not seen.by_function:
        raise BadInput(f"{source}: no call among its {others} lines; switch the gateway's access_log on")
    return seen.traces()


def _seconds(told: Mapping[str, object], key: str, where: str) -> float:
    seconds = told.get(key)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= MAX_AT_S:
        raise BadInput(f"{where}, {key}: {str(seconds)[:40]!r} is not the length of a call")
    return seconds


def _azure(heading: str, numbered: Iterator[tuple[int, str]], source: str) -> list[Trace]:
    """Calls of each minute. Functions of different apps may have one hash; the owner's and the app's stay with it."""
    columns = heading.split(",")
    if columns[:4] != ["HashOwner", "HashApp", "HashFunction", "Trigger"] or len(columns) < 5:
        raise BadInput(f"{source}, line 1: columns HashOwner,HashApp,HashFunction,Trigger and the minutes are wanted")
    traces: dict[str, Trace] = {}
    for number, line in numbered:
        where = f"{source}, line {number}"
        cells = line.split(",")
        if len(cells) != len(columns):
            raise BadInput(f"{where}: {len(cells)} columns, where the heading has {len(columns)}")
        name = cells[2][:MAX_NAME_CHARS]
        if name in traces:
            name = ".".join(cell[:64] for cell in cells[:3])
        if len(traces) >= MAX_FUNCTIONS:
            raise BadInput(f"{where}: more than {MAX_FUNCTIONS} functions; split the file")
        known: dict[str, int] = {}
        for column, cell in enumerate(cells[4:], 5):
            if cell not in known:  # most numbers come again
                known[cell] = _calls(cell, where, column)
        counts = array("L", map(known.__getitem__, cells[4:]))
        arrivals = _within_minutes(counts, at_start=cells[3] == "timer")
        traces[name] = Trace(name, sum(counts), len(counts) * MINUTE_S, arrivals)
    return list(traces.values())


def _calls(text: str, where: str, column: int) -> int:
    try:
        value = float(text or 0)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MAX_CALLS_A_MINUTE or value != int(value):
        raise BadInput(
            f"{where}, column {column}: {text[:40]!r} is no number of calls; 0 to {MAX_CALLS_A_MINUTE:,} are"
        )
    return int(value)


def _within_minutes(counts: Sequence[int], *, at_start: bool) -> Arrivals:
    """Uniformly drawn within each minute; a timer's at its start, a millisecond apart."""

    def arrivals(source: random.Random) -> Iterator[float]:
        drawn = source.random
        for minute, calls in enumerate(counts):
            begin = minute * MINUTE_S
            if at_start:
                yield from (begin + min(number / 1000, MINUTE_S) for number in range(calls))
            elif calls:
                yield from sorted([begin + drawn() * MINUTE_S for _ in range(calls)])

    return arrivals


PERCENTILES = {f"percentile_Average_{share}": share / 100 for share in (0, 1, 25, 50, 75, 99, 100)}


def read_durations(lines: Iterable[str], source: str) -> Mapping[str, tuple[tuple[float, float], ...]]:
    """By function, points (share, seconds) of how long its calls take, from the Azure format's durations file."""
    numbered = _numbered(lines, source)
    heading = next(numbered, (0, ""))[1].split(",")
    missing = [name for name in ("HashFunction", *PERCENTILES) if name not in heading]
    if missing:
        raise BadInput(f"{source}, line 1: no column {missing[0]}; the durations file of the Azure 2019 format has it")
    found: dict[str, tuple[tuple[float, float], ...]] = {}
    for number, line in numbered:
        cells = line.split(",")
        if len(cells) != len(heading):
            raise BadInput(f"{source}, line {number}: {len(cells)} columns, where the heading has {len(heading)}")
        row = dict(zip(heading, cells, strict=True))
        points = []
        for name, share in PERCENTILES.items():
            try:
                milliseconds = float(row[name])
            except ValueError:
                milliseconds = math.nan
            if not 0 <= milliseconds <= 1e9:
                where = f"{source}, line {number}, column {heading.index(name) + 1}"
                raise BadInput(f"{where}: {row[name][:40]!r} is no number of milliseconds")
            points.append((share, max(0.001, milliseconds / 1000)))
        found[row["HashFunction"]] = tuple(points)
    return found


def drawn_from(points: Sequence[tuple[float, float]]) -> Callable[[random.Random], float]:
    """Seconds by the inverse of a distribution function, straight between its points."""

    def draw(source: random.Random) -> float:
        share = source.random()
        for (low, below_s), (high, above_s) in itertools.pairwise(points):
            if share <= high:
                return below_s + (above_s - below_s) * (share - low) / (high - low)
        return points[-1][1]

    return draw
