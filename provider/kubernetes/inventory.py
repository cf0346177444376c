"""What is known of one namespace: its functions, their pods, slices and Services, from list+watch caches.

Of each object only what we use is kept: a view of it, a tenth of its size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, TypeVar

from springtide.provider.kubernetes.manifests import keys
from springtide.provider.kubernetes.views import (
    DeploymentView,
    PodView,
    SliceView,
    deployment_view,
    pod_view,
    slice_view,
)
from springtide.runtime.errors import Unavailable
from springtide.runtime.kubernetes.api import Json, KubernetesApi, Where
from springtide.runtime.kubernetes.resources import DEPLOYMENTS, ENDPOINT_SLICES, PODS, SERVICES, Resource
from springtide.runtime.kubernetes.watching import Cache
from springtide.scaler.core.vocabulary import FunctionRef

T = TypeVar("T")
VIEW, FUNCTION_INDEX = "view", "function"
OF_FUNCTIONS = Where(labels=keys.FUNCTION)


class Inventory:
    """``changed`` hears of every function that anything changed about, synchronously."""

    def __init__(
        self, api: KubernetesApi, namespace: str, *, services: bool, changed: Callable[[FunctionRef], None]
    ) -> None:
        """``services``: their cluster addresses are needed, too."""
        self.namespace = namespace
        self._changed = changed

        def cache(resource: Resource, view: Callable[[Json], T], name: Callable[[T], str], where: Where) -> Cache:
            def indexed(value: Json) -> Iterable[Hashable]:
                return (name(value[VIEW]),)

            made = Cache(
                api,
                resource,
                namespaces=[namespace],
                selecting=where,
                trim=_viewed(view),
                indexes={FUNCTION_INDEX: indexed},
            )
            made.subscribe(lambda old, new: self._tell(name, old, new))
            return made

        self._deployments = cache(DEPLOYMENTS, deployment_view, lambda it: it.ref.name, OF_FUNCTIONS)
        self._pods = cache(PODS, pod_view, lambda it: it.ref.name, OF_FUNCTIONS)
        # Services that OpenFaaS made have no label, and so neither have their slices.
        self._slices = cache(ENDPOINT_SLICES, slice_view, lambda it: it.service, Where())
        self._services = cache(SERVICES, _cluster_address, lambda it: it[0], Where()) if services else None
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Inventory {self.namespace} {len(self._deployments)} functions, {len(self._pods)} pods>"

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"inventory of {self.namespace}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def task(self) -> asyncio.Task[None]:
        """Never ends but by an error that trying again does not mend."""
        assert self._task is not None
        return self._task

    @property
    def synced(self) -> bool:
        return all(cache.synced.is_set() for cache in self._caches)

    async def wait_synced(self, deadline_s: float) -> None:
        """Raises Unavailable when the first lists do not come in time; the log has each reason."""
        try:
            async with asyncio.timeout(deadline_s):
                for cache in self._caches:
                    await cache.synced.wait()
        except TimeoutError:
            lacking = ", ".join(str(cache.resource) for cache in self._caches if not cache.synced.is_set())
            raise Unavailable(
                f"the API server did not list {lacking} of namespace {self.namespace} within {deadline_s:g} s"
            ) from None

    # Reading.

    def functions(self) -> Iterable[DeploymentView]:
        return (value[VIEW] for value in self._deployments if not value[VIEW].terminating)

    def function(self, name: str) -> DeploymentView | None:
        value = self._deployments.get(name, namespace=self.namespace)
        return None if value is None or value[VIEW].terminating else value[VIEW]

    def ref(self, name: str) -> FunctionRef:
        return FunctionRef(self.namespace, name)

    def resource_version(self, name: str) -> str:
        """The API server's own version of the Deployment, newer with every change, of its status, too."""
        value = self._deployments.get(name, namespace=self.namespace)
        return "" if value is None else str(value["metadata"].get("resourceVersion", ""))

    def pods(self, name: str) -> Mapping[str, PodView]:
        found: Iterable[PodView] = (value[VIEW] for value in self._pods.by(FUNCTION_INDEX, name))
        return {pod.name: pod for pod in found}

    def slices(self, name: str) -> Iterable[SliceView]:
        return [value[VIEW] for value in self._slices.by(FUNCTION_INDEX, name)]

    def cluster_address(self, name: str) -> str:
        """Of the function's Service; empty when it has none, or Services are not watched."""
        value = self._services.get(name, namespace=self.namespace) if self._services is not None else None
        return "" if value is None else value[VIEW][1]

    # What we did ourselves, so that who reads next sees it.

    def observe(self, deployment: Json) -> None:
        self._deployments.observe(deployment)

    def gone(self, function: DeploymentView) -> None:
        """It was deleted, and its pods with it: another function of that name has nothing to do with them."""
        for value in self._pods.by(FUNCTION_INDEX, function.ref.name):
            self._pods.gone(value)
        self._deployments.gone(_head(function.ref, function.uid))

    def scaled(self, function: DeploymentView, version: str) -> None:
        """As the API server will tell it: a new count, the next generation."""
        head = _head(function.ref, function.uid)
        head["metadata"]["resourceVersion"] = version
        self._deployments.store.observe({**head, VIEW: function})

    # Inside.

    @property
    def _caches(self) -> list[Cache]:
        caches = [self._deployments, self._pods, self._slices]
        return caches if self._services is None else [*caches, self._services]

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for cache in self._caches:
                group.create_task(cache.run(), name=repr(cache))

    def _tell(self, name: Callable[[Any], str], old: Json | None, new: Json | None) -> None:
        before, after = (None if value is None else value[VIEW] for value in (old, new))
        if before == after:
            return  # Such as a new version of a Deployment that says nothing else new.
        for found in {name(view) for view in (before, after) if view is not None}:
            self._changed(self.ref(found))


def _viewed(view: Callable[[Json], T]) -> Callable[[Json], Json]:
    def trim(value: Json) -> Json:
        if VIEW in value:
            return value
        metadata = value["metadata"]
        kept = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion") if key in metadata}
        return {"metadata": kept, VIEW: view(value)}

    return trim


def _head(ref: FunctionRef, uid: str) -> Json:
    return {"metadata": {"name": ref.name, "namespace": ref.namespace, "uid": uid}}


def _cluster_address(service: Json) -> tuple[str, str]:
    address = service.get("spec", {}).get("clusterIP") or ""
    return service["metadata"]["name"], "" if address == "None" else address
