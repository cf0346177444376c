"""When each function had calls in flight, of all workers of a gateway together, for whoever learns from pauses.

What a worker tells of a function is since when it is busy, or was, its last beginning or end of a call, and how many
calls have begun in all. It tells that each second; so a period is missed only if a worker does not tell for longer than
that, and its calls are counted in the next one.
"""

from __future__ import annotations

import asyncio
import uuid
from array import array
from collections.abc import Awaitable, Callable, Container, Hashable, Iterable
from urllib.parse import parse_qs

from springtide.gateway.route import Route
from springtide.runtime.asgi import App, Receive, Scope, Send, respond
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.ports import Clock
from springtide.wire import busy_periods
from springtide.wire.busy_periods import MAX_PERIODS, QUIET_S, BusyReport, FunctionPeriods, Period

LOOK_S = 1.0
_WIDTH = len(Period._fields)


class _Ring:
    """One function's periods: ``numbers`` has three of each, in the order of time, with pauses of QUIET_S between."""

    __slots__ = ("counted", "in_flight", "lost_until", "numbers")

    def __init__(self) -> None:
        self.numbers = array("d")
        self.lost_until = 0.0
        self.counted: dict[Hashable, int] = {}
        """Calls that each source had begun when it last told."""
        self.in_flight: set[Hashable] = set()

    def add(self, begun: float, ended: float, calls: float) -> None:
        numbers = self.numbers
        first = len(numbers)
        while first and numbers[first - 2] > begun - QUIET_S:
            first -= _WIDTH
        last = first
        while last < len(numbers) and numbers[last] < ended + QUIET_S:
            begun, ended = min(begun, numbers[last]), max(ended, numbers[last + 1])
            calls += numbers[last + 2]
            last += _WIDTH
        numbers[first:last] = array("d", (begun, ended, calls))
        if len(numbers) > _WIDTH * MAX_PERIODS:
            self.lost_until = numbers[1]
            del numbers[:_WIDTH]

    def go_on(self, at: float) -> None:
        """The last period does, while anybody has calls in flight."""
        if self.in_flight:
            self.numbers[-2] = max(self.numbers[-2], at)

    def told(self, since: float, at: float) -> FunctionPeriods:
        self.go_on(at)
        numbers, busy, first = self.numbers, bool(self.in_flight), 0
        while first < len(numbers) and numbers[first + 1] < since:
            first += _WIDTH
        triples = (numbers[place : place + _WIDTH] for place in range(first, len(numbers), _WIDTH))
        return FunctionPeriods(
            [Period(begun, ended, int(calls)) for begun, ended, calls in triples], busy, self.lost_until
        )


class BusyPeriods:
    """A *source* is a worker. ``saw`` each function of which it tells; ``told`` says what is known."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._life, self._began = uuid.uuid4().hex, clock.wall()
        self._rings: dict[str, _Ring] = {}

    def __repr__(self) -> str:
        return f"<BusyPeriods of {len(self._rings)} functions>"

    def saw(
        self, name: str, source: Hashable, *, busy_since: float, last_active: float, started: int, in_flight: int
    ) -> None:
        """``busy_since`` 0: it has had no call yet."""
        if not busy_since:
            return
        ring = self._rings.get(name)
        if ring is None:
            ring = self._rings[name] = _Ring()
        before = ring.counted.get(source, 0)
        calls = started - before if started >= before else started
        ring.counted[source] = started
        ring.in_flight.discard(source)
        now = self._clock.wall()
        ring.go_on(now)
        ring.add(busy_since, now if in_flight else last_active, calls)
        if in_flight:
            ring.in_flight.add(source)

    def gone(self, name: str, source: Hashable) -> None:
        """The source has the function no more, or anew."""
        ring = self._rings.get(name)
        if ring is not None:
            ring.counted.pop(source, None)
            ring.in_flight.discard(source)
            if not ring.counted:
                del self._rings[name]

    def has_only(self, names: Container[str], source: Hashable) -> None:
        """All others are gone from the source."""
        for name in [name for name in self._rings if name not in names]:
            self.gone(name, source)

    def left(self, source: Hashable) -> None:
        """The source has ended, and its calls with it. What it told stays; its place will be another's."""
        for ring in self._rings.values():
            ring.counted.pop(source, None)
            ring.in_flight.discard(source)

    def told(self, since: float, at: float) -> BusyReport:
        """What ended at ``since`` or later, or goes on; all that happened up to ``at`` was told to us."""
        functions = {}
        for name, ring in self._rings.items():
            if ring.in_flight or (ring.numbers and ring.numbers[-2] >= since):
                functions[name] = ring.told(since, at)
        return BusyReport(at, self._life, self._began, functions)


async def look_for_ever(periods: BusyPeriods, routes: Callable[[], Iterable[Route]]) -> None:
    """Where the gateway is one process."""
    while True:
        look(periods, routes())
        await asyncio.sleep(LOOK_S)


def look(periods: BusyPeriods, routes: Iterable[Route]) -> None:
    names = set()
    for route in routes:
        names.add(route.label)
        metrics = route.metrics
        if metrics.busy_since:
            periods.saw(
                route.label,
                "",
                busy_since=metrics.busy_since,
                last_active=metrics.last_active,
                started=metrics.started,
                in_flight=metrics.in_flight,
            )
    periods.has_only(names, "")


def periods_app(periods: BusyPeriods, known_at: Callable[[], Awaitable[float]]) -> App:
    """Answers ``PATH``. ``known_at`` has everybody tell, and says up to when that is; it raises Unavailable."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's
        if scope["path"] != busy_periods.PATH:
            await respond(send, 404, b"not found")
            return
        if scope["method"] != "GET":
            await respond(send, 405, b"use GET")
            return
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("since", ["0"])[-1]
        try:
            since = float(asked)
            told = periods.told(since, await known_at())
        except ValueError:
            await respond(send, 400, b"since: not a number of seconds since 1970")
        except Unavailable as error:
            await respond(send, 503, str(error).encode())
        else:
            await respond(send, 200, busy_periods.encode(told), content_type=b"application/json")

    return app
