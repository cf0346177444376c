"""A provider's endpoint stream with the heartbeats that its API adds, and that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

from springtide.runtime.errors import Unavailable
from springtide.wire.endpoint_stream import Event, Heartbeat


class Watched(Protocol):
    def watch_endpoints(self) -> AsyncIterator[Event]: ...


class BeatingStream:
    """A heartbeat each second while it is not ``away``."""

    def __init__(self, provider: Watched) -> None:
        self._provider = provider
        self.away = False

    async def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        if self.away:
            raise Unavailable("the provider is away")
        events: asyncio.Queue[Event] = asyncio.Queue()

        async def pump() -> None:
            async for event in self._provider.watch_endpoints():
                events.put_nowait(event)

        async def beat() -> None:
            while True:
                await asyncio.sleep(1)
                events.put_nowait(Heartbeat())

        tasks = [asyncio.create_task(pump()), asyncio.create_task(beat())]
        try:
            while not self.away:
                yield await events.get()
        finally:
            for task in tasks:
                task.cancel()
        raise Unavailable("the provider is away")
