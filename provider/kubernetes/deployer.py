"""Functions come and go: a Deployment, a Service and for some an autoscaler, by server-side apply."""

from __future__ import annotations

import asyncio
import contextlib
import secrets as randomness

import structlog

from springtide.provider.kubernetes.inventory import Inventory
from springtide.provider.kubernetes.manifests import checks, deployment_reader
from springtide.provider.kubernetes.manifests.deployment import DesiredFunction
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.kubernetes.scaling import ReplicaScaler
from springtide.provider.kubernetes.server_side_apply import ObjectApplier, ReferenceReader
from springtide.provider.kubernetes.views import DeploymentView, deployment_view
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import AlreadyExists, BadInput, Conflict, NotFound, SpringtideError, Unavailable
from springtide.runtime.kubernetes.api import Json, KubernetesApi, delete_options
from springtide.runtime.kubernetes.resources import AUTOSCALERS, DEPLOYMENTS, SERVICES
from springtide.scaler.core import targets
from springtide.scaler.core.policy import ScalePolicy, initial_replicas, updated_replicas
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef, Instant

GONE_S, GONE_PAUSE_S = 10.0, 0.1
"""How long a deployment waits for a former one of that name to go, and how often it looks."""

log = structlog.get_logger(__name__)


class FunctionDeployer:
    """One change to a function at a time: the caller ensures that, and that the namespace exists."""

    def __init__(
        self,
        api: KubernetesApi,
        scaler: ReplicaScaler,
        *,
        references: ReferenceReader,
        manifests: ManifestSettings,
        clock: Clock,
    ) -> None:
        self._api, self._scaler, self._references, self._clock = api, scaler, references, clock
        self._manifests = manifests
        self._applier = ObjectApplier(api, manifests)

    async def learn_version(self) -> None:
        """An older cluster than we would like refuses what it does not know."""
        self._applier = ObjectApplier(self._api, self._manifests.on(await self._api.version()))

    async def deploy(self, inventory: Inventory, spec: FunctionSpec) -> tuple[int, int]:
        """Create or replace; the number of replicas before and after."""
        checks.check(spec)
        existing = await self._find(spec.ref)
        if existing is not None and _is_terminating(existing):
            await self._remove_former(spec.ref, existing)
            existing = None
        if existing is not None:
            return await self._update(inventory, spec, existing)
        desired = await self._desired(spec, None)
        before, after = 0, initial_replicas(_policy(spec))
        made = await self._applier.deployment(desired)
        inventory.observe(made)
        try:
            await self._applier.service(desired)
            await self._applier.autoscaler(desired, made, await self._autoscaler(spec, spec))
            await self._scale(inventory, made, after)
        except SpringtideError:
            await self._undo(inventory, made)
            raise
        return before, after

    async def update(self, inventory: Inventory, spec: FunctionSpec) -> tuple[int, int]:
        """Replace, rolling. Raises NotFound when there is no such function."""
        checks.check(spec)
        existing = await self._find(spec.ref)
        if existing is None or _is_terminating(existing):
            raise NotFound(f"no function {spec.ref.name} in {spec.ref.namespace}")
        return await self._update(inventory, spec, existing)

    async def delete(self, inventory: Inventory, ref: FunctionRef) -> None:
        """Its pods end their calls first. Raises NotFound, or BadInput for a Deployment that is no function."""
        function = inventory.function(ref.name) or await self._unknown(ref)
        options = delete_options(uid=function.uid, propagation="Foreground")
        with contextlib.suppress(NotFound):
            await self._api.delete(DEPLOYMENTS, ref.name, namespace=ref.namespace, options=options)
        inventory.gone(function)
        await self._delete_service(ref)

    # What is there.

    async def _find(self, ref: FunctionRef) -> Json | None:
        try:
            found = await self._api.get(DEPLOYMENTS, ref.name, namespace=ref.namespace)
        except NotFound:
            return None
        if not deployment_reader.is_function(found):
            raise AlreadyExists(f"{ref}: there is a Deployment of that name that is no function; choose another name")
        return found

    async def _unknown(self, ref: FunctionRef) -> DeploymentView:
        """One that the caches do not have: not a function, or too new."""
        found = await self._api.get(DEPLOYMENTS, ref.name, namespace=ref.namespace)
        if not deployment_reader.is_function(found):
            raise BadInput(f"Not a function: {ref.name}")
        if _is_terminating(found):
            raise NotFound(f"no function {ref.name} in {ref.namespace}")
        return deployment_view(found)

    async def _remove_former(self, ref: FunctionRef, former: Json) -> None:
        """A function deleted just now: release its name at once, while its pods still end their calls."""
        options = delete_options(uid=former["metadata"]["uid"], propagation="Background")
        with contextlib.suppress(NotFound, Conflict):
            await self._api.delete(DEPLOYMENTS, ref.name, namespace=ref.namespace, options=options)
        try:
            async with asyncio.timeout(GONE_S):
                # Our cache has forgotten the former one, so the API server is asked.
                while (found := await self._find(ref)) is not None and _is_terminating(found):  # noqa: ASYNC110 - no event of ours
                    await asyncio.sleep(GONE_PAUSE_S)
        except TimeoutError:
            raise Unavailable(f"{ref}: the former function of that name is still going; try again") from None

    # Writing.

    async def _desired(self, spec: FunctionSpec, existing: Json | None) -> DesiredFunction:
        pull_secrets, profiles = await self._references.found(spec)
        return DesiredFunction(
            spec=spec,
            rollout=randomness.token_hex(8),
            created=None if existing is not None else Instant(self._clock.wall()),
            pull_secrets=pull_secrets,
            profiles=profiles,
            existing=existing,
        )

    async def _update(self, inventory: Inventory, spec: FunctionSpec, existing: Json) -> tuple[int, int]:
        desired = await self._desired(spec, existing)
        made = await self._applier.deployment(desired)
        inventory.observe(made)
        await self._applier.service(desired)
        await self._applier.autoscaler(desired, made, await self._autoscaler(deployment_reader.spec_of(existing), spec))
        before = int(made["spec"].get("replicas", 1))
        after = updated_replicas(_policy(spec), before)
        await self._scale(inventory, made, after)
        return before, after

    async def _autoscaler(self, *specs: FunctionSpec) -> Json | None:
        """The one there is, looked for only where the function could have one."""
        if not any(_policy(spec).target_type is targets.CPU for spec in specs):
            return None
        ref = specs[0].ref
        try:
            return await self._api.get(AUTOSCALERS, ref.name, namespace=ref.namespace)
        except NotFound:
            return None

    async def _scale(self, inventory: Inventory, made: Json, replicas: int) -> None:
        if made["spec"].get("replicas", 1) != replicas:
            await self._scaler.write(inventory, made["metadata"]["name"], replicas, expect=None)

    async def _undo(self, inventory: Inventory, made: Json) -> None:
        """Half a function is none."""
        metadata = made["metadata"]
        options = delete_options(uid=metadata["uid"])
        with contextlib.suppress(SpringtideError):
            await self._api.delete(DEPLOYMENTS, metadata["name"], namespace=metadata["namespace"], options=options)
            inventory.gone(deployment_view(made))

    async def _delete_service(self, ref: FunctionRef) -> None:
        """One that is left over does no harm, and the next function of that name takes it."""
        try:
            await self._api.delete(SERVICES, ref.name, namespace=ref.namespace)
        except NotFound:
            pass
        except SpringtideError as error:
            log.warning("a Service was not deleted", function=str(ref), why=str(error))


def _policy(spec: FunctionSpec) -> ScalePolicy:
    return ScalePolicy.from_labels(spec.labels)[0]


def _is_terminating(value: Json) -> bool:
    return "deletionTimestamp" in value["metadata"]
