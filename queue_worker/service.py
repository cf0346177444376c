"""The queue worker as a service: dispatch, callbacks and due jobs, and /metrics and /healthz on a port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from springtide.queue_worker.broker_watch import BrokerView, watch
from springtide.queue_worker.callbacks import Callbacks, Teller
from springtide.queue_worker.capacity import Capacity, EndpointStream
from springtide.queue_worker.copies import Copies
from springtide.queue_worker.dispatch import Dispatch, DispatchDeps, repeated
from springtide.queue_worker.execution import Caller, Execution, ExecutionDeps
from springtide.queue_worker.gateway_calls import KnownFunctions
from springtide.queue_worker.metrics import QueueMetrics
from springtide.queue_worker.retrying import RetryRules
from springtide.queue_worker.settings import QueueWorkerSettings
from springtide.queue_worker.suspects import Suspects
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.exposition import exposition
from springtide.runtime.outage import Outage
from springtide.runtime.service import BackgroundTask, first_end
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.ports import CopyChannel, JobSource, Lease

DUE_AT_ONCE = 100
DUE_WAIT_S = 5.0
"""How long the broker is asked for due jobs before it is asked anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueWorkerDeps:
    source: JobSource
    copies: CopyChannel
    broker: BrokerView
    endpoints: EndpointStream
    caller: Caller
    teller: Teller
    clock: Clock
    chance: Callable[[], float]
    registry: CollectorRegistry
    version: str


class Work:
    """All that a queue worker does but for being served. ``follow`` keeps what is known of functions."""

    def __init__(self, settings: QueueWorkerSettings, deps: QueueWorkerDeps) -> None:
        self._settings = settings
        self._source, self._broker = deps.source, deps.broker
        self._capacity = Capacity(deps.endpoints, default_limit=settings.max_inflight)
        metrics = QueueMetrics(deps.registry, queue=settings.queue, clock=deps.clock, exists=self._capacity.may_exist)
        self._metrics = metrics
        execution = ExecutionDeps(
            deps.source,
            KnownFunctions(Suspects(deps.caller), self._capacity),
            deps.clock,
            deps.chance,
            ack_wait_s=settings.ack_wait_s,
            version=deps.version,
        )

        def executed(lease: Lease, rules: RetryRules) -> Execution:
            return Execution(execution, lease, rules)

        self.dispatch = Dispatch(
            DispatchDeps(
                source=deps.source,
                capacity=self._capacity,
                room=self._room,
                clock=deps.clock,
                observer=metrics,
                execution=executed,
                rules=settings.retries,
                max_running=settings.max_running,
                idle_lane_s=settings.idle_lane_s,
            )
        )
        self._capacity.listen(self.dispatch.look)
        self._copies = Copies(
            deps.copies,
            deps.clock,
            holds=lambda: self.dispatch.reserved,
            changed=self.dispatch.look,
            forget_s=settings.ack_wait_s,
        )
        self._callbacks = Callbacks(
            deps.source,
            deps.teller,
            settings.retries,
            clock=deps.clock,
            chance=deps.chance,
            ack_wait_s=settings.ack_wait_s,
            counted=metrics.told,
        )

    def __repr__(self) -> str:
        return f"<Work {self.dispatch!r}>"

    async def follow(self) -> None:
        await self._capacity.follow()

    async def run(self) -> None:
        """Until it is cancelled."""

        async def due() -> None:
            await self._source.move_due(DUE_AT_ONCE, DUE_WAIT_S)

        async with asyncio.TaskGroup() as group:
            group.create_task(self.dispatch.run())
            group.create_task(self._copies.run())
            group.create_task(self._callbacks.run())
            group.create_task(repeated(due, Outage("delayed jobs are not moved when their time comes")))
            group.create_task(watch(self._broker, self._settings.queue, self._metrics))

    async def drain(self, grace_s: float) -> None:
        """Take nothing more; jobs that still run after ``grace_s`` are handed back."""
        await self._copies.leave()
        await self.dispatch.drain(grace_s)
        await self._copies.leave()

    def _room(self, function: FunctionRef) -> int:
        return self._copies.room(function, self._capacity.room(function))


class QueueWorker:
    """See ``runtime.service.Service``."""

    name = "queue worker"

    def __init__(self, settings: QueueWorkerSettings, deps: QueueWorkerDeps) -> None:
        self._settings = settings
        self._server = AsgiServer(exposition(deps.registry), name=self.name, host=settings.host, port=settings.port)
        self._work = Work(settings, deps)
        self._following = BackgroundTask("endpoint stream")
        self._working = BackgroundTask("queue")

    def __repr__(self) -> str:
        return f"<QueueWorker of {self._settings.queue}, {self._work.dispatch!r}>"

    @property
    def port(self) -> int:
        """The port really bound, also when 0 was asked for."""
        return self._server.port

    async def start(self) -> None:
        await self._server.start()
        self._following.start(self._work.follow())
        self._working.start(self._work.run())

    async def stop(self) -> None:
        """Jobs under way may finish; what does not in time is handed back."""
        await self._work.drain(self._settings.grace_s)
        await self._working.stop()
        await self._following.stop()
        await self._server.stop()

    async def wait(self) -> None:
        await first_end(self._server.wait(), self._following.wait(), self._working.wait())


def build(settings: QueueWorkerSettings, deps: QueueWorkerDeps) -> QueueWorker:
    """A Service; nothing is opened before its start."""
    return QueueWorker(settings, deps)
