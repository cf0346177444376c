"""A connector at work before a gateway and a provider in memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

from prometheus_client import CollectorRegistry

from springtide.runtime.clock import SystemClock
from springtide.triggers.connector import ConnectorDeps, NamedSource, Reading
from springtide.triggers.connector_settings import ConnectorSettings
from springtide.triggers.source import Feed, Received, Source
from tests.fakes.events import MemoryFunctions, MemoryGateway

DEADLINE_S = 60.0
SOURCE = "events"


@dataclass(slots=True)
class Copy:
    """One connector."""

    reading: Reading
    registry: CollectorRegistry
    following: asyncio.Task[None]
    running: asyncio.Task[None]

    def value(self, metric: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(metric, labels)

    @property
    def connected(self) -> bool:
        return self.value("springtide_connector_source_connected", source=SOURCE) == 1

    async def stop(self) -> None:
        """As when it is asked to."""
        self.reading.stop()
        await self.running
        await self._end()

    async def kill(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])
        await self._end()

    async def _end(self) -> None:
        self.following.cancel()
        await asyncio.wait([self.following])


def begin(source: Source, gateway: MemoryGateway, functions: MemoryFunctions, **settings: Any) -> Copy:
    registry = CollectorRegistry()
    deps = ConnectorDeps(
        sources=[NamedSource(name=SOURCE, source=source, content_type="text/plain")],
        endpoints=functions,
        caller=gateway,
        clock=SystemClock(),
        registry=registry,
    )
    reading = Reading(replace(ConnectorSettings(), **settings), deps)
    return Copy(reading, registry, asyncio.create_task(reading.follow()), asyncio.create_task(reading.run()))


@contextlib.asynccontextmanager
async def reading(
    source: Source, gateway: MemoryGateway, functions: MemoryFunctions, **settings: Any
) -> AsyncIterator[Copy]:
    """Connected; ended afterwards, unless it was."""
    copy = begin(source, gateway, functions, **settings)
    try:
        await eventually(lambda: copy.connected or copy.running.done())
        yield copy
    finally:
        if not copy.running.done():
            await copy.kill()
        copy.following.cancel()


async def first(feed: Feed, count: int = 1) -> list[Received]:
    """So many, by as many questions as that takes."""
    found: list[Received] = []
    while len(found) < count:
        found += await feed.take(count - len(found))
    return found


async def eventually(true: Callable[[], bool]) -> None:
    """Real time, for real servers; nothing is asserted of how long it takes."""
    end = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
