"""The table of endpoints and those who watch it: a snapshot first, then what changed, never more than one each.

A watcher that reads slowly is not sent every step in between: changes of one function are coalesced into its latest
state, and one that falls too far behind starts over with a snapshot. So a watcher costs bounded memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from springtide.scaler.core import ownership
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed, Event, FunctionEndpoints, Removed, Snapshot

MAX_UNREAD = 1_000
"""Functions a watcher may be behind on; beyond it a snapshot is cheaper than the changes."""


@dataclass(slots=True, eq=False)
class _Watcher:
    """Which functions one watcher has not heard the latest of, in the order they first changed."""

    unread: dict[FunctionRef, None] = field(default_factory=dict)
    start_over: bool = True
    news: asyncio.Event = field(default_factory=asyncio.Event)


class EndpointFeed:
    """What every function looks like to gateways, pushed to any number of watchers."""

    def __init__(self, scalers: Scalers | None = None, *, most_unread: int = MAX_UNREAD) -> None:
        """``scalers``: what moves replicas here, which says who owns a function and whether a learned wake counts."""
        self._scalers = scalers or Scalers()
        self._table: dict[FunctionRef, FunctionEndpoints] = {}
        self._watchers: set[_Watcher] = set()
        self._most_unread = most_unread

    def __repr__(self) -> str:
        return f"<EndpointFeed {len(self._table)} functions, {len(self._watchers)} watchers>"

    def publish(self, function: FunctionEndpoints) -> None:
        """This is how the function is now. Saying the same again is free."""
        owner = ownership.owner_by_labels(function.labels, self._scalers)
        learned, before = ownership.counted_wake(function.learned_wake, owner), self._table.get(function.ref)
        wakes = 0 if before is None else before.wakes + (before.replicas == 0 < function.replicas)
        function = replace(function, owner=owner, learned_wake=learned, wakes=wakes)
        if before != function:
            self._table[function.ref] = function
            self._tell(function.ref)

    def remove(self, ref: FunctionRef) -> None:
        if self._table.pop(ref, None) is not None:
            self._tell(ref)

    async def watch(self) -> AsyncGenerator[Event, None]:
        """A Snapshot, then each change, for ever."""
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            while True:
                if watcher.start_over:
                    watcher.start_over = False
                    watcher.unread.clear()
                    yield Snapshot(tuple(self._table[ref] for ref in sorted(self._table)))
                elif watcher.unread:
                    ref = next(iter(watcher.unread))
                    del watcher.unread[ref]
                    function = self._table.get(ref)
                    yield Removed(ref) if function is None else Changed(function)
                else:
                    watcher.news.clear()
                    await watcher.news.wait()
        finally:
            self._watchers.discard(watcher)

    def _tell(self, ref: FunctionRef) -> None:
        for watcher in self._watchers:
            watcher.unread[ref] = None
            if len(watcher.unread) > self._most_unread:
                watcher.start_over = True
                watcher.unread.clear()
            watcher.news.set()
