"""A queue, functions and any number of workers in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client import CollectorRegistry

from springtide.queue_worker.service import QueueWorkerDeps, Work
from springtide.queue_worker.settings import QueueWorkerSettings
from springtide.runtime.errors import Unavailable
from springtide.runtime.virtual_time import VirtualTimeLoop
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed, Endpoint, Event, FunctionEndpoints, Removed, Snapshot
from springtide.wire.jobs.job import Answer, Job, JobState, Outcome
from springtide.wire.jobs.ports import CallbackLease, Lease
from springtide.wire.jobs.server_seen import BrokerSeen
from tests.fakes.jobs import Link, MemoryBroker, MemoryCopyChannel, MemoryJobSource, MemoryJobStore
from tests.loops import virtual_loop
from tests.queue_worker.values import QUEUE, a_job, answer, ref

ACK_WAIT_S = 30.0
CALLBACK = "http://caller/told"

Behaviour = Callable[[Lease], Awaitable[Answer]]


def takes(seconds: float, *answers: Answer) -> Behaviour:
    """Each call takes so long; the answers of a job's attempts in turn, the last one ever after."""

    async def behave(lease: Lease) -> Answer:
        await asyncio.sleep(seconds)
        return answers[min(lease.deliveries, len(answers)) - 1] if answers else answer()

    return behave


@dataclass(slots=True)
class Run:
    """One execution. ``ended_at`` is infinite until it ends; ``broken``: its caller left first."""

    job: Job
    began_at: float
    ended_at: float = float("inf")
    broken: bool = False


class Functions:
    """What is deployed, as the provider tells each worker, and what becomes of calls."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self.there: dict[FunctionRef, FunctionEndpoints] = {}
        self._behaviours: dict[FunctionRef, Behaviour] = {}
        self._watchers: set[asyncio.Queue[Event | None]] = set()
        self.runs: list[Run] = []
        self.in_flight: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        """In flight at once, by function."""
        self.called: Callable[[FunctionRef], None] = lambda _: None

    def deploy(
        self,
        name: str = "echo",
        behaviour: Behaviour | None = None,
        *,
        replicas: int = 1,
        limit: int = 0,
        annotations: dict[str, str] | None = None,
    ) -> None:
        """``limit``: calls that a replica takes at once."""
        endpoints = tuple(Endpoint(f"{name}-{n}", "127.0.0.1", 9000 + n, limit) for n in range(replicas))
        known = FunctionEndpoints(ref(name), replicas, "1", endpoints, annotations=annotations or {})
        self.there[known.ref] = known
        if behaviour is not None:
            self._behaviours[known.ref] = behaviour
        self._tell(Changed(known))

    def remove(self, name: str) -> None:
        del self.there[ref(name)]
        self._tell(Removed(ref(name)))

    def disconnect(self) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(None)

    async def watch_endpoints(self) -> AsyncGenerator[Event]:
        watcher: asyncio.Queue[Event | None] = asyncio.Queue()
        self._watchers.add(watcher)
        try:
            yield Snapshot(tuple(self.there.values()))
            while (event := await watcher.get()) is not None:
                yield event
            raise Unavailable("the provider is away")
        finally:
            self._watchers.discard(watcher)

    async def call(self, lease: Lease) -> Answer:
        function, run = lease.job.lane.function, Run(lease.job, self._loop.time())
        self.called(function)
        self.runs.append(run)
        self.in_flight[function.name] += 1
        self.most[function.name] = max(self.most[function.name], self.in_flight[function.name])
        try:
            return await self._behaviours[function](lease)
        except asyncio.CancelledError:
            run.broken = True
            raise
        finally:
            run.ended_at = self._loop.time()
            self.in_flight[function.name] -= 1

    def _tell(self, event: Event) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(event)


class Told:
    """Who is told of callbacks, and what they answer: in turn, the last answer ever after."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self.answers = [answer(200)]
        self.told: list[tuple[float, CallbackLease]] = []

    async def tell(self, lease: CallbackLease) -> Answer:
        self.told.append((self._loop.time(), lease))
        return self.answers[min(lease.attempt, len(self.answers)) - 1]


class Unseen:
    """Implements ``broker_watch.BrokerView`` of a broker that shows nothing of itself."""

    reconnects = 0

    async def seen(self) -> BrokerSeen:
        raise Unavailable("there is nothing to be seen")


@dataclass(slots=True)
class Worker:
    work: Work
    link: Link
    source: MemoryJobSource
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def stop(self, grace_s: float = 30.0) -> None:
        await self.work.drain(grace_s)
        await self.end()

    async def kill(self) -> None:
        """Nothing of it reaches the broker any more, and its connections to functions are closed."""
        self.link.cut = True
        await self.work.dispatch.drain(0.0)
        await self.end()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()


class World:
    def __init__(self, loop: VirtualTimeLoop) -> None:
        self.loop = loop
        self.clock = loop.clock
        self.broker = MemoryBroker(loop.clock)
        self.store = MemoryJobStore(self.broker)
        self.functions = Functions(loop)
        self.told = Told(loop)
        self.workers: list[Worker] = []

    def worker(self, **settings: Any) -> Worker:
        own = replace(QueueWorkerSettings(queue=QUEUE, ack_wait_s=ACK_WAIT_S), **settings)
        link = Link(self.broker)
        source = MemoryJobSource(self.broker, QUEUE, ack_wait_s=own.ack_wait_s, link=link)
        deps = QueueWorkerDeps(
            source=source,
            copies=MemoryCopyChannel(self.broker, QUEUE, link),
            broker=Unseen(),
            endpoints=self.functions,
            caller=self.functions,
            teller=self.told,
            clock=self.clock,
            chance=lambda: 0.5,
            registry=CollectorRegistry(),
            version="1.2.3",
        )
        work = Work(own, deps)
        worker = Worker(work, link, source, [asyncio.create_task(one) for one in (work.follow(), work.run())])
        self.workers.append(worker)
        return worker

    async def submit(self, *jobs: Job) -> list[str]:
        """Their ids."""
        now = self.clock.wall()
        return [await self.store.submit(replace(job, accepted_at=now), b"body") for job in jobs]

    async def post(self, name: str = "echo", count: int = 1, **job: Any) -> list[str]:
        return await self.submit(*(a_job(name, **job) for _ in range(count)))

    async def state(self, job_id: str) -> JobState | None:
        found = await self.store.find(job_id)
        return found.state if found is not None else None

    async def outcome(self, job_id: str) -> Outcome:
        """Of one that has ended."""
        found = await self.store.find(job_id)
        assert found is not None
        assert found.outcome is not None, found
        return found.outcome

    async def ended(self, *job_ids: str, within: float = 86_400.0) -> list[Outcome]:
        """In virtual seconds."""
        for job_id in job_ids:
            found = await self.store.ended(job_id, within)
            assert found is not None
            assert found.state.final, f"{found} has not ended after {within} s"
        while self.broker.jobs(QUEUE) and not self.broker.away:
            assert await self.broker.changed(within) or not self.broker.jobs(QUEUE)
        return [await self.outcome(job_id) for job_id in job_ids]

    async def until(self, condition: Callable[[], bool], *, within: float = 3600.0) -> None:
        end = self.loop.time() + within
        while not condition():
            assert self.loop.time() < end, "it did not come about"
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        for worker in self.workers:
            with contextlib.suppress(Unavailable):
                await worker.kill()


@contextlib.asynccontextmanager
async def a_world() -> AsyncIterator[World]:
    world = World(virtual_loop())
    try:
        yield world
    finally:
        await world.close()
