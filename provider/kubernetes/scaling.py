"""A function's replicas, by compare-and-set through the ``scale`` subresource, and pods removed without a lost call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence

import structlog

from springtide.provider.kubernetes.endpoint_publisher import EndpointPublisher
from springtide.provider.kubernetes.inventory import Inventory
from springtide.provider.kubernetes.pod_load import calls_in_flight
from springtide.provider.kubernetes.views import DELETION_COST, DeploymentView, PodView
from springtide.runtime.errors import BadInput, Conflict, NotFound, SpringtideError, Unavailable
from springtide.runtime.kubernetes.api import KubernetesApi
from springtide.runtime.kubernetes.resources import DEPLOYMENTS, PODS
from springtide.scaler.core.policy import MAX_REPLICAS
from springtide.scaler.core.vocabulary import Scale

MAX_TRIES = 10
"""Each lost to a change of the Deployment's status in the very moment of a write."""

REMOVED_FIRST = -1000
"""A deletion cost lower than the 0 of a pod without one."""
MAX_PATCHES_AT_ONCE = 50

log = structlog.get_logger(__name__)


class ReplicaScaler:
    """One write to a function at a time: the caller sees to that."""

    def __init__(self, api: KubernetesApi, publisher: EndpointPublisher, *, linger_s: float) -> None:
        self._api, self._publisher, self._linger_s = api, publisher, linger_s

    async def write(self, inventory: Inventory, name: str, replicas: int, *, expect: str | None) -> DeploymentView:
        """The function after the write. Raises Conflict when its version no longer is ``expect``."""
        if not 0 <= replicas <= MAX_REPLICAS:
            raise BadInput(f"replicas: {replicas} is out of range; ask for 0 to {MAX_REPLICAS}")
        before = await self._expected(inventory, name, expect)
        leaving = await self._withdraw(inventory, before, replicas)
        done = False
        try:
            function = await self._write(inventory, name, replicas, expect)
            done = True
        finally:
            if not done:
                await self._unmark(leaving)
            if not done or replicas > before.desired:
                self._publisher.restore(before.ref)
        return function

    def scale(self, function: DeploymentView) -> Scale:
        return Scale(function.desired, len(self._publisher.endpoints(function.ref)), function.version)

    # Writing.

    async def _write(self, inventory: Inventory, name: str, replicas: int, expect: str | None) -> DeploymentView:
        for _ in range(MAX_TRIES):
            function, version = _there(inventory, name), inventory.resource_version(name)
            if expect not in (None, function.version):
                raise _moved_on(function, expect)
            try:
                scale = await self._api.write_scale(
                    DEPLOYMENTS, name, replicas, namespace=inventory.namespace, version=version
                )
            except Conflict:
                await self._refresh(inventory, name)
                continue
            # The compare-and-set has shown that nothing came in between, so what we knew is what was changed.
            inventory.scaled(function.scaled(replicas), scale.version)
            return function.scaled(replicas)
        raise Unavailable(f"{inventory.ref(name)}: its Deployment changes faster than it can be written; try again")

    async def _expected(self, inventory: Inventory, name: str, expect: str | None) -> DeploymentView:
        """Checked before any pod is withdrawn. A version that we do not know may be newer than what we know."""
        function = inventory.function(name)
        if function is None or expect not in (None, function.version):
            await self._refresh(inventory, name)
        function = _there(inventory, name)
        if expect not in (None, function.version):
            raise _moved_on(function, expect)
        return function

    async def _refresh(self, inventory: Inventory, name: str) -> None:
        inventory.observe(await self._api.get(DEPLOYMENTS, name, namespace=inventory.namespace))

    # Pods that are removed.

    async def _withdraw(self, inventory: Inventory, function: DeploymentView, replicas: int) -> Sequence[PodView]:
        """Tell gateways which pods will be removed before they are, and the ReplicaSet to choose the same ones."""
        if replicas >= function.desired:
            return []
        pods = list(inventory.pods(function.ref.name).values())
        calls = await calls_in_flight(pods) if replicas else {}
        leaving: Sequence[PodView] = pods_to_remove(pods, replicas, calls)
        if replicas:
            leaving = await set_deletion_cost(self._api, leaving, REMOVED_FIRST)
        if leaving:
            self._publisher.withdraw(function.ref, [pod.name for pod in leaving])
            await asyncio.sleep(self._linger_s)
        return leaving

    async def _unmark(self, leaving: Sequence[PodView]) -> None:
        """The write failed: these pods are not to go before the others any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await set_deletion_cost(self._api, leaving, None)


def _there(inventory: Inventory, name: str) -> DeploymentView:
    function = inventory.function(name)
    if function is None:
        raise NotFound(f"no function {name} in {inventory.namespace}")
    return function


def _moved_on(function: DeploymentView, expect: str | None) -> Conflict:
    return Conflict(f"{function.ref}: version is {function.version}, not {expect}; read again and decide anew")


def pods_to_remove(pods: Iterable[PodView], keep: int, calls: Mapping[str, float]) -> list[PodView]:
    """The pods to remove so that ``keep`` stay: first those not ready, then those marked, the least busy, the newest.

    ``calls`` in flight by pod; one that is not in it counts as busiest, because what is not known is not zero.
    The order agrees with the ReplicaSet controller's, which also takes pods that are not ready before all others.
    """
    staying = [pod for pod in pods if not pod.terminating]

    def order(pod: PodView) -> tuple[bool, int, float, float, str]:
        return pod.ready, pod.deletion_cost, calls.get(pod.name, float("inf")), -pod.created_at, pod.name

    return sorted(staying, key=order)[: max(0, len(staying) - keep)]


async def set_deletion_cost(api: KubernetesApi, pods: Sequence[PodView], cost: int | None) -> list[PodView]:
    """Set or remove the deletion cost; the pods where that worked. The others' ReplicaSet chooses by itself."""
    at_once = asyncio.Semaphore(MAX_PATCHES_AT_ONCE)
    patch = {"metadata": {"annotations": {DELETION_COST: None if cost is None else str(cost)}}}

    async def marked(pod: PodView) -> bool:
        try:
            async with at_once:
                await api.merge_patch(PODS, pod.name, patch, namespace=pod.ref.namespace)
        except SpringtideError as error:
            log.warning("a pod's deletion cost was not set", pod=pod.name, function=str(pod.ref), why=str(error))
            return False
        return True

    done = await asyncio.gather(*(marked(pod) for pod in pods))
    return [pod for pod, worked in zip(pods, done, strict=True) if worked]
