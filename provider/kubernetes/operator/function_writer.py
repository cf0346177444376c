"""The REST API's deployments in operator mode: they write Function objects, and the operator does the rest."""

from __future__ import annotations

import asyncio
import contextlib
import secrets as randomness
from collections.abc import Mapping
from typing import Any, Protocol

from springtide.provider.kubernetes.inventory import Inventory
from springtide.provider.kubernetes.manifests import checks, function_object
from springtide.provider.kubernetes.manifests.keys import FUNCTIONS
from springtide.provider.kubernetes.operator.status import RETRYING, STUCK
from springtide.provider.kubernetes.server_side_apply import ReferenceReader
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import AlreadyExists, BadInput, Conflict, NotFound, Unavailable
from springtide.runtime.kubernetes.api import Json, KubernetesApi, Where
from springtide.runtime.kubernetes.faults import Expired
from springtide.runtime.kubernetes.resources import DEPLOYMENTS
from springtide.scaler.core.policy import ScalePolicy, initial_replicas, updated_replicas
from springtide.scaler.core.vocabulary import FunctionRef

ACTED_ON_S = 30.0
"""An operator that has just started goes through all functions first: 1,000 of them in about half a minute."""
GONE_S, GONE_PAUSE_S = 10.0, 0.1
MAX_TRIES = 5


class DeploymentRemover(Protocol):
    """Removes what a function is made of."""

    async def delete(self, inventory: Inventory, ref: FunctionRef) -> None: ...


class FunctionWriter:
    """One change to a function at a time: the caller ensures that, and that the namespace exists."""

    def __init__(
        self,
        api: KubernetesApi,
        references: ReferenceReader,
        remover: DeploymentRemover,
        *,
        acted_on_s: float = ACTED_ON_S,
    ) -> None:
        """``acted_on_s``: how long a deployment waits for the operator."""
        self._api, self._references, self._remover = api, references, remover
        self._acted_on_s = acted_on_s

    async def deploy(self, inventory: Inventory, spec: FunctionSpec) -> tuple[int, int]:
        """Create or replace; the number of replicas before, and what the deployment made of it: a count that is read
        afterwards may be of somebody who has scaled since."""
        checks.check(spec)
        await self._references.found(spec)
        there, policy = inventory.function(spec.ref.name), ScalePolicy.from_labels(spec.labels)[0]
        await self._act(await self._write(spec))
        inventory.observe(await self._api.get(DEPLOYMENTS, spec.ref.name, namespace=spec.ref.namespace))
        if there is None:
            return 0, initial_replicas(policy)
        return there.desired, updated_replicas(policy, there.desired)

    async def update(self, inventory: Inventory, spec: FunctionSpec) -> tuple[int, int]:
        """Replace. Raises NotFound when there is neither a Function object nor a Deployment that one can take over."""
        if inventory.function(spec.ref.name) is None and await self._find(spec.ref) is None:
            raise NotFound(f"no function {spec.ref.name} in {spec.ref.namespace}")
        return await self.deploy(inventory, spec)

    async def delete(self, inventory: Inventory, ref: FunctionRef) -> None:
        """Its Function object first, so that nobody makes anew what goes. Raises NotFound when there is neither."""
        known = await self._find(ref)
        if known is not None:
            with contextlib.suppress(NotFound):
                await self._api.delete(FUNCTIONS, ref.name, namespace=ref.namespace)
        try:
            await self._remover.delete(inventory, ref)
        except NotFound:
            if known is None:
                raise

    async def _find(self, ref: FunctionRef) -> Json | None:
        try:
            return await self._api.get(FUNCTIONS, ref.name, namespace=ref.namespace)
        except NotFound:
            return None

    async def _room(self, ref: FunctionRef) -> Json | None:
        """The object of that name, once one that was deleted is gone."""
        try:
            async with asyncio.timeout(GONE_S):
                # What is going may take long, and then only the API server knows.
                while (there := await self._find(ref)) is not None and "deletionTimestamp" in there["metadata"]:  # noqa: ASYNC110 - no event of ours
                    await asyncio.sleep(GONE_PAUSE_S)
                return there
        except TimeoutError:
            raise Unavailable(f"{ref}: the former Function of that name is still going; try again") from None

    async def _write(self, spec: FunctionSpec) -> Json:
        """The object as it was written."""
        rollout = randomness.token_hex(8)
        for _ in range(MAX_TRIES):
            there = await self._room(spec.ref)
            body = function_object.function_of(spec, rollout, there)
            try:
                return await (
                    self._api.create(FUNCTIONS, body) if there is None else self._api.replace(FUNCTIONS, body)
                )
            except (AlreadyExists, Conflict):
                continue  # Somebody was faster; look again.
        raise Unavailable(f"{spec.ref}: its Function object changes faster than it can be written; try again")

    async def _act(self, written: Json) -> None:
        """Return once the operator has acted on it. Raises BadInput with its word when it cannot."""
        metadata = written["metadata"]
        try:
            async with asyncio.timeout(self._acted_on_s):
                while not await self._acted(written):
                    pass
        except TimeoutError:
            raise Unavailable(
                f"Function {metadata['namespace']}/{metadata['name']} is written, but no operator acted on it within "
                f"{self._acted_on_s:g} s; is it running?"
            ) from None

    async def _acted(self, written: Json) -> bool:
        """Follow the object until it was acted on (True) or the watch ends."""
        metadata = written["metadata"]
        where = Where(metadata["namespace"], fields=f"metadata.name={metadata['name']}")
        now = await self._api.get(FUNCTIONS, metadata["name"], namespace=metadata["namespace"])
        if _settled(now, written):
            return True
        version = str(now["metadata"]["resourceVersion"])
        try:
            async with self._api.watch(
                FUNCTIONS, where, resource_version=version, timeout_s=self._acted_on_s
            ) as events:
                async for event in events:
                    if event.kind == "DELETED":
                        raise NotFound(f"Function {metadata['namespace']}/{metadata['name']} was deleted meanwhile")
                    if event.kind in ("ADDED", "MODIFIED") and _settled(event.object, written):
                        return True
        except Expired:
            pass
        return False


def _settled(now: Mapping[str, Any], written: Mapping[str, Any]) -> bool:
    """Whether the operator has acted on what was written, or on something later. Raises BadInput when it gave up."""
    status = now.get("status") or {}
    if status.get("observedGeneration", 0) < written["metadata"]["generation"]:
        return False
    if status.get("observedRollout") != function_object.rollout_of(now):
        return False
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    stalled, reconciling = conditions["Stalled"], conditions["Reconciling"]
    if stalled["status"] == "True" and stalled["reason"] != STUCK:
        raise BadInput(stalled["message"])
    return bool(reconciling["reason"] != RETRYING)
