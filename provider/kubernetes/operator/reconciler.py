"""One function brought to what its object says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from springtide.provider.kubernetes.manifests import deployment_reader, function_object, hpa, keys, profiles
from springtide.provider.kubernetes.manifests.deployment import DesiredFunction, owner_of
from springtide.provider.kubernetes.manifests.keys import FUNCTIONS
from springtide.provider.kubernetes.operator.caches import DIGEST, OperatorCaches, digest_of, footprint_of, trace_of
from springtide.provider.kubernetes.operator.status import INVALID, REFUSED, RETRYING, Problem, is_applied, status_of
from springtide.provider.kubernetes.server_side_apply import ObjectApplier, ReferenceReader
from springtide.provider.spec import FunctionSpec, rfc3339
from springtide.runtime.errors import AlreadyExists, BadInput, Conflict, NotFound, SpringtideError, Unavailable
from springtide.runtime.kubernetes.api import Json, KubernetesApi
from springtide.runtime.kubernetes.resources import AUTOSCALERS, DEPLOYMENTS
from springtide.runtime.outage import Outage
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.policy import ScalePolicy, initial_replicas, updated_replicas
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef, Instant

MAX_TRIES = 5

log = structlog.get_logger(__name__)


class Reconciler:
    """Stateless but for what it applied last, which saves the API server work and may be lost."""

    def __init__(
        self,
        api: KubernetesApi,
        caches: OperatorCaches,
        *,
        applier: ObjectApplier,
        references: ReferenceReader,
        clock: Clock,
        scalers: Scalers,
    ) -> None:
        self._api, self._caches, self._scalers = api, caches, scalers
        self._applier, self._references, self._clock = applier, references, clock
        self._applied: dict[FunctionRef, str] = {}
        self._outage = Outage("functions wait to be reconciled")

    def __repr__(self) -> str:
        return f"<Reconciler {len(self._applied)} functions applied>"

    async def reconcile(self, ref: FunctionRef) -> bool:
        """Whether that was all. Otherwise it is worth another try later, though the object's status says why."""
        function = self._caches.functions.get(ref.name, namespace=ref.namespace)
        if function is None or "deletionTimestamp" in function["metadata"]:
            self._applied.pop(ref, None)  # What it owned goes with it.
            return True
        try:
            spec = function_object.read(function, self._scalers)
        except BadInput as error:
            await self._tell(function, None, Problem(INVALID, str(error), stalled=True))
            return True
        problem = None
        try:
            if self._applied.get(ref) != self._trace(function):
                self._applied[ref] = await self._apply(function, spec)
            function = await self._share_count(function)
        except (BadInput, AlreadyExists) as error:
            problem = Problem(REFUSED, str(error), stalled=True)
        except SpringtideError as error:
            problem = Problem(RETRYING, str(error), stalled=False)
        if problem is None:
            self._outage.over()
        else:
            self._applied.pop(ref, None)
            if problem.stalled:
                log.warning("function not reconciled", function=str(ref), why=problem.message)
            else:
                self._outage.failed(problem.message, function=str(ref))
        await self._tell(function, spec, problem)
        return problem is None

    def _trace(self, function: Json) -> str:
        """The same as long as neither the wish nor anything made of it changed."""
        name, namespace = function["metadata"]["name"], function["metadata"]["namespace"]
        caches = (self._caches.deployments, self._caches.services, self._caches.autoscalers)
        return _trace(function, *(cache.get(name, namespace=namespace) for cache in caches))

    # What is there becomes what is wanted.

    async def _apply(self, function: Json, spec: FunctionSpec) -> str:
        """The trace of what our own writes answered. What the caches have afterwards may be another's already."""
        pull_secrets, used = await self._references.found(spec)
        existing = await self._existing(function, spec.ref)
        desired = DesiredFunction(
            spec=spec,
            rollout=function_object.rollout_of(function),
            created=Instant(self._clock.wall()) if existing is None else None,
            pull_secrets=pull_secrets,
            profiles=used,
            existing=existing,
            owner=owner_of(function),
        )
        made = await self._applier.deployment(desired)
        service = await self._applier.service(desired)
        policy, _ = ScalePolicy.from_labels(spec.labels)
        there = await self._autoscaler(spec.ref, may_be_strange=policy.on_hpa)
        autoscaler = await self._applier.autoscaler(desired, made, there)
        current = int(made["spec"].get("replicas", 1))
        replicas = current
        if existing is None:
            replicas = initial_replicas(policy)
        elif not is_applied(function, desired.rollout):
            # Otherwise it is a repair, and replicas are not ours to repair.
            replicas = updated_replicas(policy, current)
        self._caches.deployments.observe(made)
        if replicas != current:
            await self._write_scale(spec.ref, replicas)
        self._caches.services.observe(service)
        if autoscaler is not None:
            self._caches.autoscalers.observe(autoscaler)
        elif there is not None and hpa.is_ours(there):
            self._caches.autoscalers.gone(there)
            there = None
        return _trace(function, *map(_footprint, (made, service, autoscaler or there)))

    async def _autoscaler(self, ref: FunctionRef, *, may_be_strange: bool) -> Json | None:
        """The cache has those with our label; one that a person made is found only by asking."""
        if not may_be_strange:
            return self._caches.autoscalers.get(ref.name, namespace=ref.namespace)
        try:
            return await self._api.get(AUTOSCALERS, ref.name, namespace=ref.namespace)
        except NotFound:
            return None

    async def _existing(self, function: Json, ref: FunctionRef) -> Json | None:
        """The Deployment of that name, if it is a function that no one else controls."""
        try:
            found = await self._api.get(DEPLOYMENTS, ref.name, namespace=ref.namespace)
        except NotFound:
            return None
        owners = found["metadata"].get("ownerReferences") or ()
        is_ours = function["metadata"]["uid"] in [owner["uid"] for owner in owners]
        if not is_ours and not deployment_reader.is_function(found):
            raise AlreadyExists(f"there is a Deployment {ref.name} that is no function; give the function another name")
        if "deletionTimestamp" in found["metadata"]:
            raise Unavailable(f"a former function {ref.name} is still going")
        stranger = _stranger(found, function)
        if stranger is not None:
            raise AlreadyExists(
                f"the Deployment {ref.name} belongs to {stranger['kind']} {stranger['name']}; "
                "remove it there, or give the function another name"
            )
        return found

    async def _share_count(self, function: Json) -> Json:
        """The object's ``spec.replicas`` and its Deployment's count made the same; the object as it is then.

        ``kubectl scale`` and an autoscaler that is aimed at the object read and write there, wakes and alerts write to
        the Deployment. Both are noted together once they agree, so that it is known later which of them was changed.
        """
        metadata = function["metadata"]
        ref = FunctionRef(metadata["namespace"], metadata["name"])
        deployment = self._caches.deployments.get(ref.name, namespace=ref.namespace)
        if deployment is None:
            return function
        current = int(deployment["spec"].get("replicas", 1))
        replicas = function_object.shared_count(function, current)
        if replicas != current:
            await self._write_scale(ref, replicas)
        patch = function_object.share_patch(function, replicas)
        if patch is None:
            return function
        changed = await self._api.merge_patch(FUNCTIONS, ref.name, patch, namespace=ref.namespace)
        self._caches.functions.observe(changed)
        return changed

    async def _write_scale(self, ref: FunctionRef, replicas: int) -> None:
        for _ in range(MAX_TRIES):
            scale = await self._api.read_scale(DEPLOYMENTS, ref.name, namespace=ref.namespace)
            try:
                await self._api.write_scale(
                    DEPLOYMENTS, ref.name, replicas, namespace=ref.namespace, version=scale.version
                )
            except Conflict:
                continue
            # Seen before the object is told how it is, or it would be told of the old count.
            scaled = await self._api.get(DEPLOYMENTS, ref.name, namespace=ref.namespace)
            self._caches.deployments.observe(scaled)
            return
        raise Unavailable(f"{ref}: its Deployment changes faster than it can be scaled")

    # What its object is told.

    async def _tell(self, function: Json, spec: FunctionSpec | None, problem: Problem | None) -> None:
        metadata = function["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        status = status_of(
            function,
            self._caches.deployments.get(name, namespace=namespace),
            problem,
            profiles=profiles.names_of(spec.annotations) if spec is not None else (),
            rollout=function_object.rollout_of(function),
            now=_whole_seconds(self._clock.wall()),
        )
        if status == (function.get("status") or {}):
            return
        try:
            told = await self._api.merge_patch(
                FUNCTIONS, name, {"status": status}, namespace=namespace, subresource="status"
            )
        except NotFound:
            return  # Deleted meanwhile.
        self._caches.functions.observe(told)


def _trace(function: Json, *footprints: Json | None) -> str:
    metadata, traces = function["metadata"], [trace_of(footprint) for footprint in footprints]
    return " ".join([metadata["uid"], digest_of(function["spec"]), function_object.rollout_of(function), *traces])


def _footprint(written: Json | None) -> Json | None:
    """As the caches have it: a person's autoscaler without our label is in none."""
    if written is None or DIGEST in written:
        return written
    return footprint_of(written) if keys.FUNCTION in (written["metadata"].get("labels") or {}) else None


def _stranger(deployment: Mapping[str, Any], function: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A controller of the Deployment other than this function, or a former one of its name."""
    for owner in deployment["metadata"].get("ownerReferences") or ():
        ours = (owner["kind"], owner["name"]) == (FUNCTIONS.kind, function["metadata"]["name"])
        if owner.get("controller") and not ours:
            found: Mapping[str, Any] = owner
            return found
    return None


def _whole_seconds(now: float) -> str:
    """As ``metav1.Time`` has it."""
    return rfc3339(Instant(float(int(now)))).replace(".000000", "")
