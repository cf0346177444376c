"""One source at work: read no faster than its events are delivered, and told of each that is done with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from springtide.runtime.backoff import STEADY_AFTER_S, Backoff
from springtide.runtime.cut_short import cut_short
from springtide.runtime.errors import BadInput, SpringtideError, reason_of
from springtide.runtime.outage import Outage
from springtide.scaler.core.ports import Clock
from springtide.triggers.delivery import Delivered, Delivery
from springtide.triggers.journal import DELIVERED, EMPTY, UNWANTED, EventJournal, Origin
from springtide.triggers.source import KEEP_S, WAITING_S, Counting, Feed, Received, Source
from springtide.triggers.topics import Topics
from springtide.wire.events.event import Event

RECONNECT = Backoff(0.2, 15.0, jitter=0.5)
MAX_BATCH = 32
"""Asked of a source at once: its events may be large."""
RETURN_S = 5.0
"""How long a source may take to take an event back when everything ends."""
FAULT_S = 15.0
"""After a fault of our own the event is given back so much later, so that it does not come again and again at once."""

UNTOLD = "the provider has not told yet which functions there are"
CONNECTING = "it is being connected to"

_log = structlog.get_logger(__name__)


class IntakeObserver(Protocol):
    """What becomes of events, for metrics."""

    def connected(self, source: str, *, yes: bool) -> None: ...

    def inflight(self, source: str, count: int) -> None: ...

    def waiting(self, source: str, count: int | None) -> None:
        """In its system; None: that is not known."""

    def ended(self, source: str, outcome: str, delivered: Sequence[Delivered], seconds: float) -> None: ...

    def redelivered(self, source: str) -> None:
        """An event comes of which its system says that it gave it before."""

    def unconfirmed(self, source: str) -> None:
        """An event is done with, and its source could not be told: it comes again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeDeps:
    topics: Topics
    delivery: Delivery
    observer: IntakeObserver
    journal: EventJournal
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeRules:
    """``content_type`` is that of events that have none; ``grace_s``: how long deliveries may go on at the end."""

    max_inflight: int
    max_inflight_bytes: int
    content_type: str
    grace_s: float


@dataclass(frozen=True, slots=True)
class SourceState:
    """``since`` when it is connected, or away, in seconds since 1970; ``why`` it is not connected."""

    connected: bool
    since: float
    why: str = ""


class Intake:
    """``name`` is what people call the source."""

    def __init__(self, name: str, source: Source, deps: IntakeDeps, rules: IntakeRules) -> None:
        self.name = name
        self._source = source
        self._origin = Origin(name, source.connector)
        self._deps = deps
        self._rules = rules
        self._stopping = asyncio.Event()
        self._room = asyncio.Event()
        self._held: dict[asyncio.Task[None], Received] = {}
        self._bytes = 0
        self._was_connected = False
        self._state = SourceState(connected=False, since=deps.clock.wall(), why=UNTOLD)
        self._outage = Outage("a source of events is away; it is tried again", source=name)

    def __repr__(self) -> str:
        return f"<Intake of {self.name}, {len(self._held)} in flight>"

    @property
    def inflight(self) -> int:
        return len(self._held)

    def to_json(self) -> dict[str, Any]:
        """How the source is, for people."""
        state = self._state
        told: dict[str, Any] = {
            "source": self.name,
            "connector": self._origin.connector,
            "at_least_once": self._source.at_least_once,
            "connected": state.connected,
            "since": datetime.fromtimestamp(state.since, UTC).isoformat(timespec="milliseconds"),
            "inflight": self.inflight,
        }
        return told | ({"why": state.why} if state.why else {})

    def _is(self, *, connected: bool, why: str = "") -> None:
        if connected != self._state.connected or why != self._state.why:
            since = self._deps.clock.wall() if connected != self._state.connected else self._state.since
            self._state = SourceState(connected=connected, since=since, why=why)

    def stop(self) -> None:
        """Take nothing more; ``run`` returns when what is in flight is delivered, or given back."""
        self._stopping.set()

    async def run(self) -> None:
        """Until it is stopped. Raises BadInput where the source cannot be connected to as things are, at its start."""
        keeping = asyncio.create_task(self._keep(), name=f"keep {self.name}")
        try:
            if await self._or_stopped(self._deps.topics.known.wait()):
                self._is(connected=False, why=CONNECTING)
                await self._connect_again_and_again()
        finally:
            keeping.cancel()
            await self._settle(0.0)
            await asyncio.gather(keeping, return_exceptions=True)

    async def _connect_again_and_again(self) -> None:
        loop, failures = asyncio.get_running_loop(), 0
        while not self._stopping.is_set():
            began = loop.time()
            try:
                await self._connected()
            except SpringtideError as error:
                if isinstance(error, BadInput) and not self._was_connected:
                    raise BadInput(f"source {self.name}: {error}") from error
                self._is(connected=False, why=reason_of(error))
                self._outage.failed(reason_of(error))
            failures = 1 if loop.time() - began > STEADY_AFTER_S else failures + 1
            await self._or_stopped(asyncio.sleep(RECONNECT.delay_s(failures)))

    async def _connected(self) -> None:
        observer = self._deps.observer
        async with self._source.connect() as feed:
            self._was_connected = True
            self._is(connected=True)
            self._outage.over()
            _log.info("a source of events is connected", source=self.name, at_least_once=self._source.at_least_once)
            observer.connected(self.name, yes=True)
            counting = asyncio.create_task(self._count(feed), name=f"count {self.name}")
            try:
                while not self._stopping.is_set():
                    await self._or_stopped(self._take(feed))
                await self._settle(self._rules.grace_s)
            finally:
                counting.cancel()
                await asyncio.gather(counting, return_exceptions=True)
                observer.waiting(self.name, None)
                observer.connected(self.name, yes=False)
                self._is(connected=False, why=CONNECTING)

    async def _count(self, feed: Feed) -> None:
        """Tell how many events wait, while their system says so."""
        while isinstance(feed, Counting):
            waiting = None
            try:
                async with asyncio.timeout(WAITING_S):
                    waiting = await feed.waiting()
            except (SpringtideError, TimeoutError) as error:
                _log.debug("it is not known how many events wait", source=self.name, why=reason_of(error))
            self._deps.observer.waiting(self.name, waiting)
            await asyncio.sleep(WAITING_S)

    async def _take(self, feed: Feed) -> None:
        while not (free := self._free()):
            self._room.clear()
            await self._room.wait()
        for received in await feed.take(min(free, MAX_BATCH)):
            task = asyncio.create_task(self._handle(received))
            self._held[task] = received
            self._bytes += len(received.event.body)
            if received.event.redelivered:
                self._deps.observer.redelivered(self.name)
            task.add_done_callback(self._let_go)
        self._deps.observer.inflight(self.name, len(self._held))

    def _free(self) -> int:
        return self._rules.max_inflight - len(self._held) if self._bytes < self._rules.max_inflight_bytes else 0

    def _let_go(self, task: asyncio.Task[None]) -> None:
        self._bytes -= len(self._held.pop(task).event.body)
        self._room.set()
        self._deps.observer.inflight(self.name, len(self._held))
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("an event's handling failed", source=self.name, exc_info=error)

    async def _handle(self, received: Received) -> None:
        clock, event = self._deps.clock, received.event
        began = clock.now()
        try:
            outcome, delivered = await self._delivered(event)
        except asyncio.CancelledError:
            with contextlib.suppress(SpringtideError, TimeoutError):
                async with asyncio.timeout(RETURN_S):
                    await received.give_back()
            raise
        except Exception:  # noqa: BLE001 - its log has it, and other events go on
            _log.exception("an event could not be delivered, by a fault of ours", source=self.name, id=event.id[:200])
            await asyncio.sleep(FAULT_S)
            with contextlib.suppress(SpringtideError):
                await received.give_back()
            return
        self._deps.journal.note(clock.wall(), self._origin, event, delivered, outcome=outcome)
        self._deps.observer.ended(self.name, outcome, delivered, clock.now() - began)
        try:
            await received.taken()
        except SpringtideError as error:
            self._deps.observer.unconfirmed(self.name)
            _log.debug("a source was not told that an event is done with", source=self.name, why=reason_of(error))

    async def _delivered(self, event: Event) -> tuple[str, list[Delivered]]:
        """An empty event is delivered to nobody, as OpenFaaS's connectors have it."""
        if not event.body:
            return EMPTY, []
        delivered = await self._deps.delivery.deliver(event, content_type=self._rules.content_type)
        return (DELIVERED if delivered else UNWANTED), delivered

    async def _keep(self) -> None:
        """Prolong the loan of what takes long."""
        before: set[asyncio.Task[None]] = set()
        while True:
            await asyncio.sleep(KEEP_S)
            for task in before & self._held.keys():
                if (received := self._held.get(task)) is not None:
                    with contextlib.suppress(SpringtideError):
                        await received.keep()
            before = set(self._held)

    async def _settle(self, grace_s: float) -> None:
        """What is not over by then is given back."""
        if self._held:
            await asyncio.wait(self._held, timeout=grace_s)
        rest = list(self._held)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _or_stopped(self, work: Coroutine[Any, Any, object]) -> bool:
        """Whether it was done before the end; else it is cancelled. Raises what it raises."""
        working = await cut_short(work, self._stopping)
        if working.cancelled():
            return False
        working.result()
        return True
