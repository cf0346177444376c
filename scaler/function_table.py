"""Every function as the provider pushes it, with what its labels ask for: read when they change, not at each look."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass, replace
from typing import Protocol

from springtide.runtime.errors import SpringtideError
from springtide.runtime.outage import Outage
from springtide.scaler.core.loads import Load, loads_of
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import Function, FunctionRef, Scale
from springtide.wire.endpoint_stream import HEARTBEAT_S, Changed, Event, FunctionEndpoints, Removed, Snapshot

RETRY_S = 1.0
SILENT_AFTER_S = 2 * HEARTBEAT_S
"""The provider says something each ``HEARTBEAT_S``: counts are those of now as long as it does."""


class EndpointStream(Protocol):
    def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        """A snapshot and then each change, until it breaks: then a SpringtideError."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A function, and what its labels and annotations ask for. ``problems`` are what is wrong with them."""

    function: Function
    policy: ScalePolicy
    loads: tuple[Load, ...]
    problems: tuple[str, ...]
    wakes: int = 0
    """How often it left zero, as its provider counts it."""


class FunctionTable:
    """``follow`` keeps it; while the provider is away it is what was last known, and ``unread`` says so."""

    def __init__(self, stream: EndpointStream, *, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._known: dict[FunctionRef, Followed] = {}
        self._superseded: dict[FunctionRef, str] = {}
        """Versions that a write of ours has replaced, of functions that the provider has not told of since."""
        self._changed: Callable[[FunctionRef | None], None] | None = None
        self._heard_at: float | None = None
        self._why = "the provider has not been heard yet"

    def __repr__(self) -> str:
        return f"<FunctionTable {len(self._known)} functions>"

    def __len__(self) -> int:
        return len(self._known)

    def listen(self, changed: Callable[[FunctionRef | None], None]) -> None:
        """``changed`` is called after each change, with its function, or None where all may have changed."""
        self._changed = changed

    @property
    def functions(self) -> Collection[Followed]:
        return self._known.values()

    def get(self, ref: FunctionRef) -> Followed | None:
        return self._known.get(ref)

    @property
    def unread(self) -> str:
        """Why the counts may not be those of now; empty where they are."""
        if not self._why and self._heard_at is not None and self._clock.now() - self._heard_at > SILENT_AFTER_S:
            return "the provider has not been heard for too long"
        return self._why

    def wrote(self, ref: FunctionRef, scale: Scale, *, replaced: str) -> None:
        """A write of ours was taken: what is asked for now, until the provider tells.

        ``replaced`` is the version that it was made on. Where the provider told of a later one before it answered the
        write, that is what is known.
        """
        known = self._known.get(ref)
        if known is None or known.function.scale.version != replaced:
            return
        before = known.function.scale
        self._superseded[ref] = replaced
        asked = replace(before, desired=scale.desired, version=scale.version or replaced)
        self._known[ref] = replace(known, function=replace(known.function, scale=asked))

    async def follow(self) -> None:
        """For ever."""
        outage = Outage("the provider does not tell of functions, so nothing is taken away")
        while True:
            try:
                async with contextlib.aclosing(self._stream.watch_endpoints()) as events:
                    async for event in events:
                        self._take(event)
                        outage.over()
            except SpringtideError as error:
                self._why = str(error)
                outage.failed(str(error))
            await asyncio.sleep(RETRY_S)

    def _take(self, event: Event) -> None:
        self._heard_at = self._clock.now()
        changed: FunctionRef | None = None
        match event:
            case Snapshot(functions):
                self._superseded.clear()
                known = self._known
                self._known = {each.ref: _followed(each, known.get(each.ref)) for each in functions}
                self._why = ""
            case Changed(function):
                changed = function.ref
                if self._superseded.get(function.ref, "") != function.version or not function.version:
                    self._superseded.pop(function.ref, None)
                    self._known[function.ref] = _followed(function, self._known.get(function.ref))
            case Removed(ref):
                changed = ref
                self._known.pop(ref, None)
                self._superseded.pop(ref, None)
            case _:
                return
        if self._changed is not None:
            self._changed(changed)


def _followed(told: FunctionEndpoints, before: Followed | None) -> Followed:
    scale = Scale(told.replicas, len(told.endpoints), told.version)
    if before is not None and _says_the_same(before.function, told):
        known = replace(before.function, scale=scale, learned_wake=told.learned_wake)
        function = replace(known, longest_start_s=told.longest_start_s)
        return replace(before, function=function, wakes=told.wakes)
    policy, problems = ScalePolicy.from_labels(told.labels)
    loads, more = loads_of(told.labels, told.annotations)
    function = Function(
        told.ref,
        scale,
        labels=told.labels,
        annotations=told.annotations,
        created_at=told.created_at,
        owner=told.owner,
        learned_wake=told.learned_wake,
        longest_start_s=told.longest_start_s,
    )
    return Followed(function, policy, loads, (*problems, *more), told.wakes)


def _says_the_same(function: Function, told: FunctionEndpoints) -> bool:
    before = function.labels, function.annotations, function.owner, function.created_at
    return before == (told.labels, told.annotations, told.owner, told.created_at)
