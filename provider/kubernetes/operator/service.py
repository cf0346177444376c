"""The operator as a Service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from springtide.provider.kubernetes.applying import Applying
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.kubernetes.operator.reconciler import Reconciler
from springtide.provider.kubernetes.operator.watched import Watched
from springtide.provider.kubernetes.operator.work_queue import WorkQueue
from springtide.provider.kubernetes.references import References
from springtide.runtime.errors import SpringtideError
from springtide.runtime.kubernetes.api import KubernetesApi
from springtide.runtime.settings import duration, integer, setting
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef

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
    manifests: ManifestSettings
    namespaces: Sequence[str] | None
    profiles_namespace: str = ""
    """Of profiles; empty: the function's own."""


class Operator:
    """Several may run at once: what they do is the same, and doing it twice is as good as once."""

    name = "operator"

    def __init__(self, settings: OperatorSettings, deps: OperatorDeps) -> None:
        self._settings, self._deps = settings, deps
        self._queue: WorkQueue[FunctionRef] = WorkQueue(most_pause_s=settings.operator_retry_most_s)
        self._watched = Watched(deps.api, deps.namespaces, changed=self._queue.add)
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Operator {self._queue!r} {self._watched!r}>"

    async def start(self) -> None:
        """Returns once everything there is has been seen. Raises Unavailable when the API server does not list it."""
        manifests = self._deps.manifests.on(await self._deps.api.version())
        reconciler = Reconciler(
            self._deps.api,
            self._watched,
            applying=Applying(self._deps.api, manifests),
            references=References(self._deps.api, profiles_namespace=self._deps.profiles_namespace),
            clock=self._deps.clock,
        )
        self._task = asyncio.create_task(self._run(reconciler), name="operator")
        await self._watched.wait_synced(self._settings.kube_sync_s)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._queue.close()

    async def wait(self) -> None:
        assert self._task is not None
        await asyncio.shield(self._task)

    async def _run(self, reconciler: Reconciler) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watched.run(), name="operator's caches")
            for cache in self._watched.caches:
                await cache.synced.wait()  # Half a picture would look like things to be made.
            for number in range(self._settings.operator_workers):
                group.create_task(self._work(reconciler), name=f"operator's worker {number}")

    async def _work(self, reconciler: Reconciler) -> None:
        while True:
            ref = await self._queue.take()
            try:
                finished = await reconciler.reconcile(ref)
            except SpringtideError as error:
                log.warning("function not looked after", function=str(ref), why=str(error))
                finished = False
            if finished:
                self._queue.done(ref)
            else:
                self._queue.retry(ref)


def build(settings: OperatorSettings, deps: OperatorDeps) -> Operator:
    return Operator(settings, deps)
