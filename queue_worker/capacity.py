"""How much room each function has, by what the provider pushes: its ready replicas, and what each may be given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from springtide.runtime.errors import SpringtideError, reason_of
from springtide.runtime.outage import Outage
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed, Event, FunctionEndpoints, Removed, Snapshot

RETRY_S = 1.0

MISSING_ROOM = 100
"""Jobs at once of a function that there is not: they are not called for, and take nobody's place."""


class EndpointStream(Protocol):
    def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        """A snapshot and then each change, until it breaks: then a SpringtideError."""


@dataclass(frozen=True, slots=True)
class Known:
    """``room``: jobs that may run at once; of a function that sleeps one, which wakes it."""

    room: int
    annotations: Mapping[str, str] = field(default_factory=dict)


class Capacity:
    """``follow`` keeps it; while the provider is away it is what was last known. ``default_limit`` is a replica's."""

    def __init__(self, stream: EndpointStream, *, default_limit: int) -> None:
        self._stream = stream
        self._default_limit = default_limit
        self._changed: Callable[[FunctionRef | None], None] | None = None
        self._known: dict[FunctionRef, Known] = {}
        self.connected = False

    def __repr__(self) -> str:
        return f"<Capacity of {len(self._known)} functions>"

    def listen(self, changed: Callable[[FunctionRef | None], None]) -> None:
        """``changed`` is called after each change, with its function, or None where all may have changed."""
        self._changed = changed

    def of(self, function: FunctionRef) -> Known | None:
        """None: the provider has not told of it."""
        return self._known.get(function)

    def may_exist(self, function: FunctionRef) -> bool:
        """False once the provider, which is there, tells of others only."""
        return not self.connected or function in self._known

    def room(self, function: FunctionRef) -> int:
        """While the provider has not told, one job finds out what becomes of it."""
        known = self._known.get(function)
        if known is not None:
            return known.room
        return MISSING_ROOM if self.connected else 1

    async def follow(self) -> None:
        """Apply the provider's stream for ever, connecting again whenever it breaks."""
        outage = Outage("no endpoint stream; jobs go out by what is known of replicas")
        while True:
            try:
                async for event in self._stream.watch_endpoints():
                    outage.over()
                    self._apply(event)
            except SpringtideError as error:
                outage.failed(reason_of(error))
            self.connected = False
            await asyncio.sleep(RETRY_S)

    def _apply(self, event: Event) -> None:
        changed: FunctionRef | None = None
        match event:
            case Snapshot(functions):
                self.connected = True
                self._known = {function.ref: self._read(function) for function in functions}
            case Changed(function):
                changed = function.ref
                self._known[changed] = self._read(function)
            case Removed(ref):
                changed = ref
                self._known.pop(ref, None)
            case _:
                return
        if self._changed is not None:
            self._changed(changed)

    def _read(self, function: FunctionEndpoints) -> Known:
        target = ScalePolicy.from_labels(function.labels)[0].concurrency_limit
        room = sum(self._limit(target, endpoint.max_inflight) for endpoint in function.endpoints)
        return Known(max(1, room), function.annotations)

    def _limit(self, target: int, max_inflight: int) -> int:
        """The smaller of those that are given."""
        given = [limit for limit in (target, max_inflight) if limit > 0]
        return min(given, default=self._default_limit)
