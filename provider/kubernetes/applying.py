"""One function's objects, written by server-side apply so that what is not wanted any more goes, whoever wrote it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from springtide.provider.kubernetes.manifests import adoption, hpa
from springtide.provider.kubernetes.manifests.deployment import deployment_of, service_of
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.kubernetes.manifests.wanted import Wanted, owner_of
from springtide.runtime.errors import Conflict, NotFound, Unavailable
from springtide.runtime.kubernetes.api import Json, KubernetesApi
from springtide.runtime.kubernetes.resources import AUTOSCALERS, DEPLOYMENTS, SERVICES, Resource

MAX_TRIES = 5


class Applying:
    """Replicas are left as they are."""

    def __init__(self, api: KubernetesApi, manifests: ManifestSettings) -> None:
        self._api, self._manifests = api, manifests

    async def deployment(self, wanted: Wanted) -> Json:
        """The Deployment as this write left it. ``wanted.existing`` must have been read from the API server, whole."""
        return await self._apply(DEPLOYMENTS, deployment_of(wanted, self._manifests), wanted.existing)

    async def service(self, wanted: Wanted) -> Json:
        """The Service as this write left it."""
        existing: Json | None = None
        if wanted.existing is not None:
            with contextlib.suppress(NotFound):
                existing = await self._api.get(SERVICES, wanted.spec.ref.name, namespace=wanted.spec.ref.namespace)
        return await self._apply(SERVICES, service_of(wanted), existing)

    async def autoscaler(self, wanted: Wanted, made: Mapping[str, Any], there: Mapping[str, Any] | None) -> Json | None:
        """Made, changed or removed as the labels say. ``there`` is the one of that name; a person's is left alone."""
        if there is not None and not hpa.is_ours(there):
            return None
        body = hpa.hpa_of(wanted.spec, owner_of(made))
        if body is not None:
            return await self._api.apply(AUTOSCALERS, body, force=True)
        if there is not None:
            ref = wanted.spec.ref
            with contextlib.suppress(NotFound):
                await self._api.delete(AUTOSCALERS, ref.name, namespace=ref.namespace)
        return None

    async def _apply(self, resource: Resource, body: Json, existing: Mapping[str, Any] | None) -> Json:
        """What others add between our look and our write would stay, and pass for ours: so the answer is looked at."""
        for _ in range(MAX_TRIES):
            if existing is not None:
                await self._adopt(resource, existing)
            existing = await self._api.apply(resource, body, force=True)
            if adoption.patch_of(existing) is None:
                return existing
        raise _too_fast(resource, body)

    async def _adopt(self, resource: Resource, existing: Mapping[str, Any]) -> None:
        """What others wrote becomes ours, so that the apply also removes it."""
        name, namespace = existing["metadata"]["name"], existing["metadata"]["namespace"]
        for _ in range(MAX_TRIES):
            patch = adoption.patch_of(existing)
            if patch is None:
                return
            try:
                await self._api.merge_patch(resource, name, patch, namespace=namespace)
            except Conflict:
                existing = await self._api.get(resource, name, namespace=namespace)
            else:
                return
        raise _too_fast(resource, existing)


def _too_fast(resource: Resource, value: Mapping[str, Any]) -> Unavailable:
    metadata = value["metadata"]
    where = f"{metadata['namespace']}/{metadata['name']}"
    return Unavailable(f"{resource} {where} changes faster than it can be taken over; try again")
