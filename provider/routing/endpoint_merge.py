"""One stream of endpoints of several providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

from springtide.provider.ports import EndpointSource
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed, Event, FunctionEndpoints, Removed, Snapshot, apply

Table = dict[FunctionRef, FunctionEndpoints]


async def watch(sources: Sequence[EndpointSource]) -> AsyncGenerator[Event, None]:
    """A Snapshot once each has told its own, then each change. Of two with one name the earlier source's counts."""
    tables = MergedTables(len(sources))
    async with AsyncExitStack() as stack:
        nexts = [await stack.enter_async_context(_nexts(source)) for source in sources]
        while True:
            done, _ = await asyncio.wait([each.task for each in nexts], return_when=asyncio.FIRST_COMPLETED)
            for number, each in enumerate(nexts):
                if each.task in done:
                    for event in tables.heard(number, each.take()):
                        yield event


class MergedTables:
    """What each source has told, and what of it is seen."""

    def __init__(self, sources: int) -> None:
        self._tables: list[Table | None] = [None] * sources

    def heard(self, source: int, event: Event) -> Iterator[Event]:
        """What changes for who sees all. Nothing before every source has told of itself."""
        own = self._tables[source] or {}
        apply(own, event)
        self._tables[source] = own
        tables = [table for table in self._tables if table is not None]
        if len(tables) < len(self._tables):
            return
        match event:
            case Snapshot():
                seen: Table = {}
                for table in reversed(tables):
                    seen |= table
                yield Snapshot(tuple(seen[ref] for ref in sorted(seen)))
            case Changed(FunctionEndpoints(ref=ref)) | Removed(ref):
                if not any(ref in table for table in tables[:source]):
                    now = next((table[ref] for table in tables if ref in table), None)
                    yield Removed(ref) if now is None else Changed(now)


class _Nexts:
    """The next event of a source, asked for ahead."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        self._events = events
        self.task = self._ask()

    def take(self) -> Event:
        event = self.task.result()
        self.task = self._ask()
        return event

    def _ask(self) -> asyncio.Task[Event]:
        return asyncio.create_task(self._next(), name="endpoints of a source")

    async def _next(self) -> Event:
        return await anext(self._events)


@asynccontextmanager
async def _nexts(source: EndpointSource) -> AsyncIterator[_Nexts]:
    events = source.watch_endpoints()
    nexts = _Nexts(events)
    try:
        yield nexts
    finally:
        nexts.task.cancel()
        await asyncio.gather(nexts.task, return_exceptions=True)
        await cast("AsyncGenerator[Event, None]", events).aclose()
