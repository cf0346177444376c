"""The caches the operator works from: which function a change is about, and what is kept of each object."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from springtide.provider.kubernetes.manifests import keys
from springtide.provider.kubernetes.manifests.keys import FUNCTIONS
from springtide.runtime.errors import Unavailable
from springtide.runtime.kubernetes.api import Json, KubernetesApi, Where
from springtide.runtime.kubernetes.resources import AUTOSCALERS, DEPLOYMENTS, SERVICES, Resource
from springtide.runtime.kubernetes.watching import Cache
from springtide.scaler.core.vocabulary import FunctionRef

OF_FUNCTIONS = Where(labels=keys.FUNCTION)
Changed = Callable[[FunctionRef], None]
FIELDS = ("name", "namespace", "uid", "resourceVersion", "generation", "deletionTimestamp", "labels", "ownerReferences")
DIGEST = "digest"


class OperatorCaches:
    """``changed`` hears, synchronously, of every function whose object or whose Deployment, Service or autoscaler
    changed; our own notes in an object's status do not count."""

    def __init__(self, api: KubernetesApi, namespaces: Sequence[str] | None, *, changed: Changed) -> None:
        """``namespaces`` None: all of them."""

        def owned(resource: Resource) -> Cache:
            cache = Cache(api, resource, namespaces=namespaces, selecting=OF_FUNCTIONS, trim=footprint_of)
            cache.subscribe(lambda old, new: changed(_ref(new or old)))
            return cache

        self.functions = Cache(api, FUNCTIONS, namespaces=namespaces)
        self.functions.subscribe(lambda old, new: changed(_ref(new or old)) if _asks_anew(old, new) else None)
        self.deployments = owned(DEPLOYMENTS)
        self.services = owned(SERVICES)
        self.autoscalers = owned(AUTOSCALERS)

    def __repr__(self) -> str:
        return f"<OperatorCaches {len(self.functions)} functions, {len(self.deployments)} deployments>"

    @property
    def caches(self) -> tuple[Cache, ...]:
        return (self.functions, self.deployments, self.services, self.autoscalers)

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            for cache in self.caches:
                group.create_task(cache.run(), name=f"operator's {cache.resource}")

    async def wait_synced(self, deadline_s: float) -> None:
        """Raises Unavailable when the first lists do not come in time."""
        try:
            async with asyncio.timeout(deadline_s):
                for cache in self.caches:
                    await cache.synced.wait()
        except TimeoutError:
            lacking = ", ".join(str(cache.resource) for cache in self.caches if not cache.synced.is_set())
            remedy = "are the definitions of deploy/crds installed, and may we list them?"
            raise Unavailable(f"the API server did not list {lacking} within {deadline_s:g} s; {remedy}") from None


def _ref(value: Json | None) -> FunctionRef:
    assert value is not None
    return FunctionRef(value["metadata"]["namespace"], value["metadata"]["name"])


def _asks_anew(old: Json | None, new: Json | None) -> bool:
    """Whether the object was created, deleted, or asks for something else than before."""
    if old is None or new is None:
        return True
    parts = ("uid", "generation", "annotations", "deletionTimestamp")
    return any(old["metadata"].get(part) != new["metadata"].get(part) for part in parts)


def footprint_of(value: Json) -> Json:
    """Of a Deployment, a Service or an autoscaler."""
    metadata = {field: value["metadata"][field] for field in FIELDS if field in value["metadata"]}
    spec = value.get("spec") or {}
    return {
        "apiVersion": value.get("apiVersion", ""),
        "kind": value.get("kind", ""),
        "metadata": metadata,
        "spec": {field: spec[field] for field in ("replicas", "selector") if field in spec},
        "status": value.get("status") or {},
        DIGEST: digest_of(spec),
    }


def digest_of(spec: Mapping[str, Any]) -> str:
    """Of a spec without its replicas, which whoever scales may change."""
    rest = {key: item for key, item in spec.items() if key != "replicas"}
    return hashlib.blake2b(json.dumps(rest, sort_keys=True).encode(), digest_size=16).hexdigest()


def trace_of(footprint: Json | None) -> str:
    """Another one whenever an object was changed, deleted, made anew, or taken from its owner."""
    if footprint is None:
        return ""
    metadata = footprint["metadata"]
    owners = ",".join(sorted(owner["uid"] for owner in metadata.get("ownerReferences") or ()))
    labelled = (metadata.get("labels") or {}).get(keys.FUNCTION, "")
    return f"{metadata.get('uid')} {footprint[DIGEST]} {owners} {labelled}"
