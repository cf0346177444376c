"""Which function wants which topic: learnt as the provider pushes it, within a moment of a deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from springtide.runtime.outage import Outage
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_following import EndpointStream, follow
from springtide.wire.endpoint_stream import Changed, Event, FunctionEndpoints, Removed, Snapshot
from springtide.wire.events.delivery_mode import DeliveryMode, delivery_mode
from springtide.wire.events.topics import ANNOTATION, topics_of

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a function's annotations say of events. ``problems`` name annotation, value and remedy."""

    topics: tuple[str, ...]
    mode: DeliveryMode
    problems: tuple[str, ...] = ()


def wish(annotations: Mapping[str, str], *, delimiter: str, default: DeliveryMode) -> Wish:
    topics, found = topics_of(annotations, delimiter=delimiter)
    problems = list(found)
    try:
        mode = delivery_mode(annotations, default)
    except ValueError as error:
        mode = default
        problems.append(f"{error}; it is {default} here")
    return Wish(topics, mode, tuple(problems))


class Topics:
    """``follow`` keeps it; while the provider is away it is what was last known."""

    def __init__(self, stream: EndpointStream, *, delimiter: str, default: DeliveryMode) -> None:
        self._stream = stream
        self._delimiter, self._default = delimiter, default
        self._wishes: dict[FunctionRef, Wish] = {}
        self._wanting: dict[str, dict[FunctionRef, DeliveryMode]] = {}
        self.known = asyncio.Event()
        """Set once the provider has told: before that nobody knows what nobody wants."""

    def __repr__(self) -> str:
        return f"<Topics {len(self._wanting)}, of {len(self._wishes)} functions>"

    def wanting(self, names: Iterable[str]) -> Mapping[FunctionRef, DeliveryMode]:
        """The functions that want one of these, each once."""
        found: dict[FunctionRef, DeliveryMode] = {}
        for name in names:
            found |= self._wanting.get(name, {})
        return found

    def wants(self, function: FunctionRef, names: Iterable[str]) -> bool:
        """Whether it still does."""
        return any(function in self._wanting.get(name, {}) for name in names)

    async def follow(self) -> None:
        """Apply the provider's stream for ever, connecting again whenever it breaks."""
        outage = Outage("the provider does not tell of functions; events go by the topics last known, or wait")
        await follow(self._stream, self._apply, outage)

    def _apply(self, event: Event) -> None:
        match event:
            case Snapshot(functions):
                told = {function.ref for function in functions}
                for ref in [ref for ref in self._wishes if ref not in told]:
                    self._forget(ref)
                for function in functions:
                    self._take(function)
                self.known.set()
            case Changed(function):
                self._take(function)
            case Removed(ref):
                self._forget(ref)
            case _:
                pass

    def _take(self, function: FunctionEndpoints) -> None:
        """Most changes are of replicas, and say nothing new here."""
        ref, before = function.ref, self._wishes.get(function.ref)
        said = wish(function.annotations, delimiter=self._delimiter, default=self._default)
        if said == before or (before is None and not said.topics and not said.problems):
            return
        self._forget(ref)
        if said.topics or (said.problems and ANNOTATION in function.annotations):
            self._wishes[ref] = said
            for topic in said.topics:
                self._wanting.setdefault(topic, {})[ref] = said.mode
            for problem in said.problems:
                _log.warning("a function's events are not what it asks for", function=str(ref), why=problem)

    def _forget(self, ref: FunctionRef) -> None:
        said = self._wishes.pop(ref, None)
        for topic in said.topics if said is not None else ():
            wanting = self._wanting[topic]
            del wanting[ref]
            if not wanting:
                del self._wanting[topic]
