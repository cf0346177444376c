"""The operator as a Service: one copy of it works, the others have their caches filled and wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry

from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.kubernetes.operator.caches import OperatorCaches
from springtide.provider.kubernetes.operator.reconciler import Reconciler
from springtide.provider.kubernetes.operator.work_queue import WorkQueue
from springtide.provider.kubernetes.server_side_apply import ObjectApplier, ReferenceReader
from springtide.runtime.errors import SpringtideError
from springtide.runtime.kubernetes.api import KubernetesApi
from springtide.runtime.outage import Outage
from springtide.runtime.service import BackgroundTask
from springtide.runtime.settings import duration, integer, setting
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock, Leadership
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.leadership import Standby, show

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class OperatorSettings:
    """Durations in seconds."""

    operator_workers: int = setting(
        8, env="operator_workers", kind=integer, low=1, high=100, help="functions that are worked on at once"
    )
    kube_sync_s: float = setting(
        60.0, env="kube_sync", kind=duration, low=1, help="longest wait for the first lists at the start"
    )
    operator_retry_most_s: float = setting(
        60.0, env="operator_retry_most", kind=duration, low=1, help="longest pause before a failed function's next try"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorDeps:
    """``namespaces`` None: all of the cluster."""

    api: KubernetesApi
    clock: Clock
    leadership: Leadership
    registry: CollectorRegistry
    manifests: ManifestSettings
    scalers: Scalers
    """What moves replicas here: an object that asks for another owner is told so."""
    namespaces: Sequence[str] | None
    profiles_namespace: str = ""
    """Of profiles; empty: the function's own."""


class Operator:
    """Copies with different settings, as during a rollout of ours, would undo each other's work for ever: only the one
    that leads writes, and each of its requests asks anew whether it still does."""

    name = "operator"

    def __init__(self, settings: OperatorSettings, deps: OperatorDeps) -> None:
        self._settings, self._deps = settings, deps
        self._queue: WorkQueue[FunctionRef] | None = None
        self._caches = OperatorCaches(deps.api, deps.namespaces, changed=self._changed)
        self._task = BackgroundTask(self.name)

    def __repr__(self) -> str:
        return f"<Operator {self._queue or 'standby'!r} {self._caches!r}>"

    async def start(self) -> None:
        """Returns once everything there is has been seen. Raises Unavailable when the API server does not list it."""
        manifests = self._deps.manifests.on(await self._deps.api.version())
        self._task.start(self._run(manifests))
        await self._caches.wait_synced(self._settings.kube_sync_s)

    async def stop(self) -> None:
        await self._task.stop()

    async def wait(self) -> None:
        await self._task.wait()

    def _changed(self, ref: FunctionRef) -> None:
        if self._queue is not None:  # Who begins to lead looks at everything anyway.
            self._queue.add(ref)

    async def _run(self, manifests: ManifestSettings) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._caches.run(), name="operator's caches")
            for cache in self._caches.caches:
                await cache.synced.wait()  # Half a picture would look like things to be made.
            while True:
                term = await self._deps.leadership.change(None)
                if term is not None:
                    await self._lead(term, manifests)

    async def _lead(self, term: int, manifests: ManifestSettings) -> None:
        """Work until the term is over; nothing of a former one is remembered, as others worked meanwhile."""
        queue = self._queue = WorkQueue[FunctionRef](max_pause_s=self._settings.operator_retry_most_s)
        for function in self._caches.functions:
            queue.add(FunctionRef(function["metadata"]["namespace"], function["metadata"]["name"]))
        reconciler, outage = self._reconciler(term, manifests), Outage("functions are not told how they are")
        workers = [
            asyncio.create_task(_work(queue, reconciler, outage), name=f"operator's worker {number}")
            for number in range(self._settings.operator_workers)
        ]
        over = asyncio.create_task(self._deps.leadership.change(term), name="end of the operator's term")
        try:
            done, _ = await asyncio.wait([over, *workers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._queue = None
            queue.close()
            for task in (over, *workers):
                task.cancel()
            await asyncio.gather(over, *workers, return_exceptions=True)
        for task in done:
            task.result()

    def _reconciler(self, term: int, manifests: ManifestSettings) -> Reconciler:
        def still_leading() -> None:
            if self._deps.leadership.hold() != term:
                raise Standby("not written: this copy of the operator does not lead any more")

        api = self._deps.api.guarded(still_leading)
        return Reconciler(
            api,
            self._caches,
            applier=ObjectApplier(api, manifests),
            references=ReferenceReader(api, profiles_namespace=self._deps.profiles_namespace),
            clock=self._deps.clock,
            scalers=self._deps.scalers,
        )


async def _work(queue: WorkQueue[FunctionRef], reconciler: Reconciler, outage: Outage) -> None:
    while True:
        ref = await queue.take()
        try:
            finished = await reconciler.reconcile(ref)
            outage.over()
        except SpringtideError as error:
            outage.failed(str(error), function=str(ref))
            finished = False
        if finished:
            queue.done(ref)
        else:
            queue.retry(ref)


def build(settings: OperatorSettings, deps: OperatorDeps) -> Operator:
    show(deps.leadership, deps.registry)
    return Operator(settings, deps)
