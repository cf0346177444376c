"""A system with events, a gateway with a queue, and a provider that tells of functions: all in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from springtide.runtime.errors import SpringtideError, Unavailable
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.delivery import CallAnswer
from springtide.triggers.source import Feed, Received
from springtide.wire.endpoint_stream import Changed, FunctionEndpoints, Removed, Snapshot
from springtide.wire.endpoint_stream import Event as EndpointEvent
from springtide.wire.events.delivery_mode import DeliveryMode
from springtide.wire.events.event import Event
from springtide.wire.events.headers import RawHeaders

NAMESPACE = "openfaas-fn"


def ref(name: str) -> FunctionRef:
    return FunctionRef(NAMESPACE, name)


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    mode: DeliveryMode
    headers: RawHeaders
    body: bytes

    def values(self, name: str) -> list[bytes]:
        return [value for key, value in self.headers if key.decode().lower() == name.lower()]

    @property
    def key(self) -> bytes:
        [key] = self.values("Idempotency-Key")
        return key


class MemoryGateway:
    """Implements ``connector.ConnectorCaller``. A call in the queue with a key that was there already is the same call.

    ``answers`` stand in for its own: None lets it do as it does. ``open`` is cleared to let all wait.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        """All that were answered, in order."""
        self.jobs: dict[tuple[str, bytes], Call] = {}
        self.answers: Callable[[Call], CallAnswer | None] = lambda _: None
        self.open = asyncio.Event()
        self.open.set()
        self.queue = True
        self.inflight = self.most_inflight = 0

    async def has_queue(self) -> bool:
        return self.queue

    async def call(self, function: FunctionRef, mode: DeliveryMode, headers: RawHeaders, body: bytes) -> CallAnswer:
        self.inflight += 1
        self.most_inflight = max(self.most_inflight, self.inflight)
        try:
            await asyncio.sleep(0)
            await self.open.wait()
            return self._answer(Call(function.name, mode, headers, body))
        finally:
            self.inflight -= 1

    def _answer(self, call: Call) -> CallAnswer:
        answer = self.answers(call)
        if answer is None:
            in_queue = call.mode is DeliveryMode.ASYNC
            if in_queue and not self.queue:
                return CallAnswer(501, internal=True, text="asynchronous calls need a NATS server")
            if in_queue:
                self.jobs.setdefault((call.function, call.key), call)
            answer = CallAnswer(202 if in_queue else 200)
        self.calls.append(call)
        return answer

    def bodies(self, function: str) -> list[bytes]:
        """Of its calls in the queue, each once."""
        return [call.body for (name, _), call in self.jobs.items() if name == function]


class MemoryFunctions:
    """Implements ``topics.EndpointStream``."""

    def __init__(self) -> None:
        self._there: dict[FunctionRef, FunctionEndpoints] = {}
        self._watchers: set[asyncio.Queue[EndpointEvent | SpringtideError]] = set()

    def deploy(self, name: str, topic: str = "", **annotations: str) -> None:
        """Keywords are annotations, with __ for each dot."""
        said = {key.replace("__", "."): value for key, value in annotations.items()}
        function = FunctionEndpoints(ref(name), 0, "1", annotations={"topic": topic, **said} if topic else said)
        self._there[function.ref] = function
        self._tell(Changed(function))

    def remove(self, name: str) -> None:
        del self._there[ref(name)]
        self._tell(Removed(ref(name)))

    def disconnect(self) -> None:
        self._tell(Unavailable("the provider is away"))

    async def watch_endpoints(self) -> AsyncGenerator[EndpointEvent, None]:
        watcher: asyncio.Queue[EndpointEvent | SpringtideError] = asyncio.Queue()
        self._watchers.add(watcher)
        try:
            yield Snapshot(tuple(self._there.values()))
            while True:
                event = await watcher.get()
                if isinstance(event, SpringtideError):
                    raise event
                yield event
        finally:
            self._watchers.discard(watcher)

    def _tell(self, event: EndpointEvent | SpringtideError) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(event)


@dataclass
class MemorySystem:
    """A log of events that are lent, in order, until they are taken. ``problem`` is why it cannot be connected to."""

    connector: str = "memory-connector"
    at_least_once: bool = True
    shares: bool = True
    problem: SpringtideError | None = None
    asked: Mapping[str, str] = field(default_factory=dict)
    """A connector's file knows no memory."""
    log: list[Event] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    """Numbers of events that are to be given, those that were given back included."""
    lent: set[int] = field(default_factory=set)
    kept: int = 0
    counts: bool = True
    """Whether it tells how many wait."""
    connections: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    feeds: set[_MemoryFeed] = field(default_factory=set)

    def source(self) -> MemorySource:
        return MemorySource(self)

    async def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        for body in bodies:
            number = len(self.log)
            self.log.append(Event(topic=topic, body=body, id=str(number), source="/memory", type="com.example.memory"))
            self.open.append(number)
        self.changed.set()

    async def break_connections(self) -> None:
        for feed in list(self.feeds):
            feed.broken = True
            feed.give_all_back()
        self.changed.set()


class MemorySource:
    """Implements ``source.Source``."""

    def __init__(self, system: MemorySystem) -> None:
        self._system = system
        self.connector, self.at_least_once = system.connector, system.at_least_once

    def connect(self) -> AbstractAsyncContextManager[Feed]:
        return self._connect()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Feed]:
        system = self._system
        await asyncio.sleep(0)
        if system.problem is not None:
            raise system.problem
        system.connections += 1
        feed = _MemoryFeed(system)
        system.feeds.add(feed)
        try:
            yield feed
        finally:
            system.feeds.discard(feed)
            feed.broken = True
            feed.give_all_back()


class _MemoryFeed:
    def __init__(self, system: MemorySystem) -> None:
        self._system = system
        self.mine: set[int] = set()
        self.broken = False

    async def take(self, limit: int) -> Sequence[Received]:
        system = self._system
        while not system.open and not self.broken:
            system.changed.clear()
            await system.changed.wait()
        if self.broken:
            raise Unavailable("the memory's connection is lost")
        numbers, system.open = sorted(system.open)[:limit], sorted(system.open)[limit:]
        self.mine.update(numbers)
        return [_MemoryReceived(self, number, system.log[number]) for number in numbers]

    async def waiting(self) -> int | None:
        return len(self._system.open) if self._system.counts else None

    def give_all_back(self) -> None:
        self._system.open += self.mine
        self.mine.clear()
        self._system.changed.set()

    def end(self, number: int, *, again: bool) -> None:
        if self.broken:
            raise Unavailable("the memory's connection is lost")
        self.mine.remove(number)
        if again:
            self._system.open.append(number)
            self._system.changed.set()

    def prolong(self) -> None:
        self._system.kept += 1


@dataclass(frozen=True, slots=True)
class _MemoryReceived:
    feed: _MemoryFeed
    number: int
    event: Event

    async def taken(self) -> None:
        self.feed.end(self.number, again=False)

    async def give_back(self) -> None:
        self.feed.end(self.number, again=True)

    async def keep(self) -> None:
        self.feed.prolong()
