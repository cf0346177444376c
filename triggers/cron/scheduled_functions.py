"""The functions that have schedules, as the provider pushes them: a deployment counts within a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from springtide.runtime.outage import Outage
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_following import EndpointStream, follow
from springtide.wire.endpoint_stream import Changed, Event, FunctionEndpoints, Removed, Snapshot
from springtide.wire.schedules.annotations import FunctionSchedule, schedules_of


@dataclass(frozen=True, slots=True)
class ScheduledFunction:
    """``changed_at``: when it was deployed last, where its provider tells that."""

    schedules: Mapping[str, FunctionSchedule]
    problems: tuple[str, ...]
    created_at: float | None = None
    changed_at: float | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, repr=False)


class ScheduledFunctions:
    """``follow`` keeps it; while the provider is away it is what was last known."""

    def __init__(self, stream: EndpointStream) -> None:
        self._stream = stream
        self._known: dict[FunctionRef, ScheduledFunction] = {}
        self._changed: Callable[[FunctionRef], None] = lambda _: None
        self.heard = asyncio.Event()
        """The provider has told of all functions once."""

    def __repr__(self) -> str:
        return f"<ScheduledFunctions {len(self._known)}>"

    @property
    def all(self) -> Mapping[FunctionRef, ScheduledFunction]:
        """Those with schedules, or with something wrong of them."""
        return self._known

    def listen(self, changed: Callable[[FunctionRef], None]) -> None:
        """``changed`` is called with each function whose schedules are not what they were."""
        self._changed = changed

    async def follow(self) -> None:
        """For ever."""
        outage = Outage("the provider does not tell of functions; schedules stay as they were")
        await follow(self._stream, self._take, outage)

    def _take(self, event: Event) -> None:
        match event:
            case Snapshot(functions):
                for ref in set(self._known) - {function.ref for function in functions}:
                    self._removed(ref)
                for function in functions:
                    self._told(function)
                self.heard.set()
            case Changed(function):
                self._told(function)
            case Removed(ref):
                self._removed(ref)

    def _told(self, told: FunctionEndpoints) -> None:
        known = self._known.get(told.ref)
        if known is not None and (known.annotations, known.created_at) == (told.annotations, told.created_at):
            return  # its replicas changed
        schedules, problems = schedules_of(told.ref, told.annotations)
        if not schedules and not problems:
            self._removed(told.ref)
            return
        by_text = {one.schedule.text: one for one in schedules}
        self._known[told.ref] = ScheduledFunction(
            by_text, problems, told.created_at, told.changed_at, dict(told.annotations)
        )
        self._changed(told.ref)

    def _removed(self, ref: FunctionRef) -> None:
        if self._known.pop(ref, None) is not None:
            self._changed(ref)
