"""Looks at the gateway once for everybody, step by step, and keeps what it saw."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from springtide.console.functions import FunctionInfo
from springtide.console.gateway_api import GatewayApi
from springtide.console.history import History
from springtide.runtime.dns import all_resolved_urls
from springtide.runtime.errors import SpringtideError, Unavailable
from springtide.scaler.core.ports import Clock
from springtide.wire.function_rates import ColdStarts, FunctionRates, RateWindow
from springtide.wire.gateway_metrics import FunctionCounters, GatewayMetrics, GatewayMetricsReader

LIST_EVERY_S = 10.0
"""Deployments are rare and the scrapes tell of new functions; the rest of a description may be this old."""

REST_PER_LOOK = 3.0
"""So many times as long as a look took passes before the next one: of thousands of functions it takes seconds, in which
the gateway works for us."""

STALE_AFTER_STEPS = 3
MAX_COLD = 50
"""Cold starts kept of one function."""

MAX_FUNCTIONS = 2_000
"""Functions with a history; those beyond are listed without."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Seen:
    """One function over the last minutes."""

    window: RateWindow = field(default_factory=RateWindow)
    history: History = field(default_factory=History)
    now: FunctionRates = field(default_factory=FunctionRates)
    counters: FunctionCounters = field(default_factory=FunctionCounters)
    cold: deque[tuple[int, ColdStarts]] = field(default_factory=lambda: deque(maxlen=MAX_COLD))
    slot: int = 0


@dataclass(frozen=True, slots=True)
class Freshness:
    """Age of the two kinds of data in seconds (None: never had any), and what is wrong with each."""

    numbers_age_s: float | None
    numbers_problem: str | None
    list_age_s: float | None
    list_problem: str | None
    stale: bool
    """Whether the numbers are too old to be shown as the present."""


class GatewayPoller:
    """``functions`` and ``seen`` are by ``name.namespace``; both hold only functions that there are."""

    def __init__(
        self, api: GatewayApi, metrics_urls: Sequence[str], *, step_s: float, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self._api = api
        self._urls = tuple(metrics_urls)
        self._clock = clock
        self._changed = changed
        self._reader = GatewayMetricsReader()
        self._numbers_at: float | None = None
        self._numbers_problem: str | None = "not asked yet"
        self._list_at: float | None = None
        self._list_problem: str | None = "not asked yet"
        self._numbers_soon, self._list_soon = asyncio.Event(), asyncio.Event()
        self._cold_number = 0
        self.step_s = step_s
        self.functions: Mapping[str, FunctionInfo] = {}
        self.seen: dict[str, Seen] = {}
        self.connected: bool | None = None
        self.slot = 0

    def __repr__(self) -> str:
        return f"<GatewayPoller {len(self.functions)} functions, {self._numbers_problem or 'fresh'}>"

    def freshness(self) -> Freshness:
        now = self._clock.now()
        numbers_age, list_age = (None if at is None else now - at for at in (self._numbers_at, self._list_at))
        stale = numbers_age is None or numbers_age > STALE_AFTER_STEPS * self.step_s
        return Freshness(
            numbers_age_s=numbers_age,
            numbers_problem=self._numbers_problem,
            list_age_s=list_age,
            list_problem=self._list_problem,
            stale=stale,
        )

    def measures(self, key: str) -> FunctionRates:
        """The present of one function; nothing is known of it when the last look is too long ago."""
        seen = self.seen.get(key)
        if seen is None or self.slot - seen.slot > STALE_AFTER_STEPS:
            return FunctionRates()
        return seen.now

    def look_soon(self) -> None:
        """Somebody has just changed something: the next look is now."""
        self._numbers_soon.set()
        self._list_soon.set()

    async def run(self) -> None:
        """For ever. A provider that does not list its functions holds up none of the gateway's numbers."""
        async with asyncio.TaskGroup() as looks:
            looks.create_task(self._look_at_numbers(), name="look at the numbers")
            looks.create_task(self._look_at_list(), name="look at the list")

    async def _look_at_numbers(self) -> None:
        """Once a step, or more rarely where a look takes long."""
        while True:
            wall, began = self._clock.wall(), self._clock.now()
            slot = int(wall / self.step_s)
            scrape = await self._numbers()
            # Only now: pages that are told of something else meanwhile would take the last numbers for this slot's.
            self.slot = slot
            if scrape is not None:
                self._take(scrape)
            self._changed()
            rest_s = REST_PER_LOOK * (self._clock.now() - began)
            await _until(self._numbers_soon, max(rest_s, (self.slot + 1) * self.step_s - self._clock.wall()))

    async def _look_at_list(self) -> None:
        while True:
            began = self._clock.now()
            await self._list()
            self._changed()
            if self._list_problem is None:
                await asyncio.sleep(REST_PER_LOOK * (self._clock.now() - began))
                await _until(self._list_soon, LIST_EVERY_S)
            else:
                await _until(self._list_soon, self.step_s)

    async def _numbers(self) -> GatewayMetrics | None:
        """None when they do not come."""
        try:
            texts = await asyncio.gather(*(self._api.metrics(url) for url in await all_resolved_urls(self._urls)))
            # Of thousands of functions it takes seconds, in which pages want to be answered.
            scrape = await asyncio.to_thread(self._reader.read, texts)
        except SpringtideError as error:
            self._numbers_failed(str(error))
        except ValueError as error:
            self._numbers_failed(f"the gateway's metrics cannot be read: {error}")
        else:
            self._numbers_at, self._numbers_problem = self._clock.now(), None
            return scrape
        return None

    def _numbers_failed(self, why: str) -> None:
        if self._numbers_problem is None:
            log.warning("no numbers from the gateway", why=why)
        self._numbers_problem = why

    def _take(self, scrape: GatewayMetrics) -> None:
        self.connected = scrape.connected
        at = self._clock.now()
        gone = self.seen.keys() - scrape.functions.keys()
        if gone or len(scrape.functions) > len(self.seen):
            self._list_soon.set()
        for key in gone:
            del self.seen[key]
        for key, counters in scrape.functions.items():
            seen = self.seen.get(key)
            if seen is None:
                if len(self.seen) >= MAX_FUNCTIONS:
                    continue
                seen = self.seen[key] = Seen()
            seen.now, cold = seen.window.add(at, counters)
            seen.counters, seen.slot = counters, self.slot
            seen.history.put(self.slot, seen.now)
            if cold is not None:
                self._cold_number += 1
                seen.cold.append((self._cold_number, replace(cold, at=self._clock.wall())))

    async def _list(self) -> None:
        try:
            listed = await self._api.functions()
        except Unavailable as error:
            self._list_problem = str(error)
        except SpringtideError as error:
            self._list_problem = f"the gateway does not list functions: {error}"
        else:
            self._list_at, self._list_problem = self._clock.now(), None
            self.functions = {info.key: info for info in sorted(listed, key=lambda info: info.ref)}


async def _until(soon: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until asked to look sooner."""
    # Not wait_for: before Python 3.12 it forgets that it was cancelled when it is asked at that very moment.
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await soon.wait()
    except TimeoutError:
        return
    soon.clear()
