"""Schedules in virtual time: a provider that tells of functions, a gateway in memory, a store, and copies that lead."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from springtide.runtime.errors import Unavailable
from springtide.runtime.virtual_time import VirtualTimeLoop
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.triggers.cron.entry import Run
from springtide.triggers.cron.leading import Leading
from springtide.triggers.cron.scheduled_functions import ScheduledFunctions
from springtide.triggers.cron.sending import NO_QUEUE_WARNING
from springtide.triggers.cron.term import TermDeps
from springtide.triggers.gateway_requests import Queue
from springtide.wire.endpoint_stream import Changed, Event, FunctionEndpoints, Removed, Snapshot
from tests.fakes.ticks import MemoryCronStore, MemoryTickGateway

EVERY_MINUTE = "* * * * *"


def ref(name: str) -> FunctionRef:
    return FunctionRef("openfaas-fn", name)


class Provider:
    """Tells of functions as they are deployed. ``told``: with the instants of deployments."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._clock = loop.clock
        self.functions: dict[FunctionRef, FunctionEndpoints] = {}
        self._watchers: list[asyncio.Queue[Event | None]] = []
        self.away = False
        self.tells_changes = True

    def deploy(self, name: str, schedule: str = EVERY_MINUTE, **options: str) -> None:
        annotations = {"topic": "cron-function", "schedule": schedule}
        annotations |= {f"com.springtide.schedule.{key.replace('_', '-')}": value for key, value in options.items()}
        self.annotate(name, annotations)

    def annotate(self, name: str, annotations: Mapping[str, str]) -> None:
        now, known = Instant(self._clock.wall()), self.functions.get(ref(name))
        function = FunctionEndpoints(
            ref=ref(name),
            replicas=1,
            version="1",
            annotations=annotations,
            created_at=known.created_at if known is not None else now,
            changed_at=now if self.tells_changes else None,
        )
        self.functions[function.ref] = function
        self._tell(Changed(function))

    def remove(self, name: str) -> None:
        del self.functions[ref(name)]
        self._tell(Removed(ref(name)))

    def cut_off(self) -> None:
        self.away = True
        for watcher in self._watchers:
            watcher.put_nowait(None)

    async def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        if self.away:
            raise Unavailable("the provider is away")
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._watchers.append(events)
        try:
            yield Snapshot(tuple(self.functions.values()))
            while (event := await events.get()) is not None:
                yield event
        finally:
            self._watchers.remove(events)
        raise Unavailable("the provider closed the stream")

    def _tell(self, event: Event) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(event)


@dataclass
class Lease:
    """Who leads, as a Lease has it: one copy, and for ``pause_s`` nobody when it changes hands."""

    loop: VirtualTimeLoop
    holder: object | None = None
    term: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self, holder: object | None) -> None:
        self.holder = holder
        self.term += 1
        self.changed.set()
        self.changed = asyncio.Event()


@dataclass(eq=False)
class Copy:
    """One copy's view of the lease. ``stopped``: its process is halted, and it goes on as if nothing had been."""

    lease: Lease
    role: str = "ns/cron"
    believes: bool = False
    """It was halted between the question and the write: for once it acts as if it led still."""

    def hold(self) -> int | None:
        return self.lease.term if self.believes or self.lease.holder is self else None

    def left_s(self) -> float:
        return 10.0

    async def change(self, known: int | None) -> int | None:
        while self.hold() == known:
            await self.lease.changed.wait()
        return self.hold()


@dataclass
class Counted:
    """Implements ``term.Observer``."""

    runs: list[Run] = field(default_factory=list)
    missing: int = 0
    retries: int = 0

    def told(self, run: Run) -> None:
        self.runs.append(run)

    def missed(self, count: int) -> None:
        self.missing += count

    def retried(self) -> None:
        self.retries += 1


class World:
    def __init__(self, loop: VirtualTimeLoop, *, takes_s: float = 0.02, takeover_s: float = 300.0) -> None:
        self.loop = loop
        self.clock: Clock = loop.clock
        """What copies have; the provider's own is the loop's."""
        self.provider = Provider(loop)
        self.gateway = MemoryTickGateway(loop.clock, takes_s=takes_s)
        self.store = MemoryCronStore()
        self.lease = Lease(loop)
        self.counted = Counted()
        self.takeover_s = takeover_s
        self.leading: dict[Copy, Leading] = {}
        self._tasks: dict[Copy, list[asyncio.Task[None]]] = {}

    def copy(self) -> Copy:
        copy = Copy(self.lease)
        functions = ScheduledFunctions(self.provider)
        leading = Leading(
            TermDeps(
                functions=functions,
                store=self.store,
                gateway=self.gateway,
                queue=Queue(self.clock, warning=NO_QUEUE_WARNING),
                clock=self.clock,
                leadership=copy,
                observer=self.counted,
                concurrency=64,
                takeover_s=self.takeover_s,
            )
        )
        self.leading[copy] = leading
        self._tasks[copy] = [asyncio.create_task(functions.follow()), asyncio.create_task(leading.run())]
        return copy

    def lead(self) -> Copy:
        """A new copy, which leads at once."""
        copy = self.copy()
        self.lease.give(copy)
        return copy

    async def kill(self, copy: Copy) -> None:
        """At once: nothing is written down, and nothing finished."""
        if self.lease.holder is copy:
            self.lease.give(None)
        tasks = self._tasks.pop(copy)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        del self.leading[copy]

    async def until_minute(self, number: float) -> None:
        """Whole minutes of the clock on the wall since the world began, and a bit."""
        await asyncio.sleep(max(0.0, self.minute(number) + 1.0 - self.clock.wall()))

    def minute(self, number: float) -> float:
        return BEGIN + 60 * number

    async def close(self) -> None:
        for copy in list(self._tasks):
            await self.kill(copy)

    def check(self) -> None:
        """A task that failed is a failed test."""
        for task in (task for tasks in self._tasks.values() for task in tasks if task.done()):
            with contextlib.suppress(asyncio.CancelledError):
                task.result()


EPOCH = 1_700_000_000.0
BEGIN = math.ceil(EPOCH / 60) * 60.0
"""The first whole minute of virtual time."""
