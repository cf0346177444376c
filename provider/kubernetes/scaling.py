"""A function's replicas, by compare-and-set through the ``scale`` subresource, and pods that go without a lost call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from springtide.provider.kubernetes import shrink
from springtide.provider.kubernetes.deployed import Deployed
from springtide.provider.kubernetes.inventory import Inventory
from springtide.provider.kubernetes.pods import Pod
from springtide.provider.kubernetes.table import Table
from springtide.runtime.errors import BadInput, Conflict, NotFound, Unavailable
from springtide.runtime.kubernetes.api import KubernetesApi
from springtide.runtime.kubernetes.resources import DEPLOYMENTS
from springtide.scaler.core.policy import MAX_REPLICAS
from springtide.scaler.core.vocabulary import Scale

MAX_TRIES = 10
"""Each lost to a change of the Deployment's status in the very moment of a write."""


class Scaling:
    """One write to a function at a time: the caller sees to that."""

    def __init__(self, api: KubernetesApi, table: Table, *, linger_s: float) -> None:
        self._api, self._table, self._linger_s = api, table, linger_s

    async def write(self, inventory: Inventory, name: str, replicas: int, *, expect: str | None) -> Deployed:
        """The function after the write. Raises Conflict when its version no longer is ``expect``."""
        if not 0 <= replicas <= MAX_REPLICAS:
            raise BadInput(f"replicas: {replicas} is out of range; ask for 0 to {MAX_REPLICAS}")
        before = await self._expected(inventory, name, expect)
        going = await self._withdraw(inventory, before, replicas)
        done = False
        try:
            deployed = await self._write(inventory, name, replicas, expect)
            done = True
        finally:
            if not done:
                await self._keep(going)
            if not done or replicas > before.desired:
                self._table.restore(before.ref)
        return deployed

    def scale(self, deployed: Deployed) -> Scale:
        return Scale(deployed.desired, len(self._table.endpoints(deployed.ref)), deployed.version)

    # One attempt after the other.

    async def _write(self, inventory: Inventory, name: str, replicas: int, expect: str | None) -> Deployed:
        for _ in range(MAX_TRIES):
            deployed, version = _there(inventory, name), inventory.resource_version(name)
            if expect not in (None, deployed.version):
                raise _moved_on(deployed, expect)
            try:
                scale = await self._api.write_scale(
                    DEPLOYMENTS, name, replicas, namespace=inventory.namespace, version=version
                )
            except Conflict:
                await self._refresh(inventory, name)
                continue
            # The compare-and-set has shown that nothing came in between, so what we knew is what was changed.
            inventory.scaled(deployed.scaled(replicas), scale.version)
            return deployed.scaled(replicas)
        raise Unavailable(f"{inventory.ref(name)}: its Deployment changes faster than it can be written; try again")

    async def _expected(self, inventory: Inventory, name: str, expect: str | None) -> Deployed:
        """Checked before any pod is withdrawn. A version that we do not know may be newer than what we know."""
        deployed = inventory.function(name)
        if deployed is None or expect not in (None, deployed.version):
            await self._refresh(inventory, name)
        deployed = _there(inventory, name)
        if expect not in (None, deployed.version):
            raise _moved_on(deployed, expect)
        return deployed

    async def _refresh(self, inventory: Inventory, name: str) -> None:
        inventory.observe(await self._api.get(DEPLOYMENTS, name, namespace=inventory.namespace))

    # Pods that go.

    async def _withdraw(self, inventory: Inventory, deployed: Deployed, replicas: int) -> Sequence[Pod]:
        """Gateways hear of the pods that will go before they do; which ones those are, the ReplicaSet is told."""
        if replicas >= deployed.desired:
            return []
        pods = list(inventory.pods(deployed.ref.name).values())
        calls = await shrink.calls_in_flight(pods) if replicas else {}
        going: Sequence[Pod] = shrink.leaving(pods, replicas, calls)
        if replicas:
            going = await shrink.mark(self._api, going, shrink.GOES_FIRST)
        if going:
            self._table.withdraw(deployed.ref, [pod.name for pod in going])
            await asyncio.sleep(self._linger_s)
        return going

    async def _keep(self, going: Sequence[Pod]) -> None:
        """The write came to nothing: these stay as dear as the others."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await shrink.mark(self._api, going, None)


def _there(inventory: Inventory, name: str) -> Deployed:
    deployed = inventory.function(name)
    if deployed is None:
        raise NotFound(f"no function {name} in {inventory.namespace}")
    return deployed


def _moved_on(deployed: Deployed, expect: str | None) -> Conflict:
    return Conflict(f"{deployed.ref}: version is {deployed.version}, not {expect}; read again and decide anew")
