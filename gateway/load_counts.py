"""What a gateway tells the scaler of its calls: where the numbers come from, and that counters only grow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any, Protocol

from springtide.gateway.route import Route
from springtide.gateway.route_table import RouteTable
from springtide.scaler.core.ports import Clock
from springtide.wire.load_stream import INTERVAL_S, Load, LoadLine


class LoadFeed(Protocol):
    """The whole gateway's calls, those of all its workers."""

    def follow(self) -> AsyncGenerator[LoadLine, None]:
        """Everything, then once a second what changed. Ends when the gateway ends by intention."""


class MonotonicLoad:
    """What was told last. Counters that begin anew meanwhile, of a function deployed again, are told as going on."""

    def __init__(self) -> None:
        self.told: dict[str, Load] = {}
        self._before: dict[str, tuple[int, int]] = {}
        """Of functions whose counters began anew: what had been counted until then."""

    def __repr__(self) -> str:
        return f"<MonotonicLoad {len(self.told)} functions>"

    def changes(self, found: Iterable[tuple[str, Load | None]]) -> dict[str, Load | None]:
        """Of what was found those that are not as they were told, as they are to be told now."""
        changed: dict[str, Load | None] = {}
        for name, load in found:
            told = self.told.get(name)
            if load is None:
                if told is not None:
                    del self.told[name]
                    self._before.pop(name, None)
                    changed[name] = None
                continue
            now = self._going_on(name, load, told)
            if now != told:
                self.told[name] = changed[name] = now
        return changed

    def _going_on(self, name: str, load: Load, told: Load | None) -> Load:
        started, completed = self._before.get(name, (0, 0))
        if told is not None and (load.started + started < told.started or load.completed + completed < told.completed):
            started, completed = self._before[name] = (told.started, told.completed)
        return Load(load.started + started, load.completed + completed, load.in_flight, load.waiting)


class OwnLoad:
    """Implements LoadFeed where the gateway is one process."""

    def __init__(self, table: RouteTable, clock: Clock, gateway: str) -> None:
        self._table, self._clock, self._gateway = table, clock, gateway

    async def follow(self) -> AsyncGenerator[LoadLine, None]:
        counters = MonotonicLoad()
        seen: dict[str, tuple[Any, ...]] = {}
        while True:
            at = self._clock.wall()
            changed = counters.changes(self._news(seen))
            yield LoadLine(at, changed, self._gateway)
            await asyncio.sleep(INTERVAL_S)

    def _news(self, seen: dict[str, tuple[Any, ...]]) -> Iterator[tuple[str, Load | None]]:
        """Of thousands of functions those that something happened to: every beginning and end is a later moment."""
        listed: dict[str, Route] = {route.label: route for route in self._table}
        for name in [name for name in seen if name not in listed]:
            del seen[name]
            yield name, None
        for name, route in listed.items():
            metrics = route.metrics
            mark = (metrics.last_active, metrics.in_flight, metrics.held, metrics.started)
            if metrics.in_flight or seen.get(name) != mark:
                seen[name] = mark
                yield name, Load(metrics.started, metrics.answered, metrics.in_flight, metrics.held)
