"""One function's objects, written by server-side apply, and the secrets and profiles that they refer to.

An apply also removes what is not wanted any more, whoever wrote it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from springtide.provider.kubernetes.manifests import adoption, hpa, profiles
from springtide.provider.kubernetes.manifests.deployment import DesiredFunction, deployment_of, owner_of, service_of
from springtide.provider.kubernetes.manifests.keys import PROFILES
from springtide.provider.kubernetes.manifests.profiles import Profile
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.kubernetes.secrets import Secrets
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput, Conflict, NotFound, Unavailable
from springtide.runtime.kubernetes.api import Json, KubernetesApi
from springtide.runtime.kubernetes.resources import AUTOSCALERS, DEPLOYMENTS, SERVICES, Resource

MAX_TRIES = 5


class ObjectApplier:
    """Replicas are left as they are."""

    def __init__(self, api: KubernetesApi, manifests: ManifestSettings) -> None:
        self._api, self._manifests = api, manifests

    async def deployment(self, desired: DesiredFunction) -> Json:
        """The Deployment as this write left it. ``desired.existing`` is from the API server itself, and whole."""
        return await self._apply(DEPLOYMENTS, deployment_of(desired, self._manifests), desired.existing)

    async def service(self, desired: DesiredFunction) -> Json:
        """The Service as this write left it."""
        existing: Json | None = None
        if desired.existing is not None:
            ref = desired.spec.ref
            with contextlib.suppress(NotFound):
                existing = await self._api.get(SERVICES, ref.name, namespace=ref.namespace)
        return await self._apply(SERVICES, service_of(desired), existing)

    async def autoscaler(
        self, desired: DesiredFunction, made: Mapping[str, Any], there: Mapping[str, Any] | None
    ) -> Json | None:
        """Made, changed or removed as the labels say. ``there`` is the one of that name; a person's is left alone."""
        if there is not None and not hpa.is_ours(there):
            return None
        body = hpa.hpa_of(desired.spec, owner_of(made))
        if body is not None:
            return await self._api.apply(AUTOSCALERS, body, force=True)
        if there is not None:
            ref = desired.spec.ref
            with contextlib.suppress(NotFound):
                await self._api.delete(AUTOSCALERS, ref.name, namespace=ref.namespace)
        return None

    async def _apply(self, resource: Resource, body: Json, existing: Mapping[str, Any] | None) -> Json:
        """What others add between our read and our write would stay and pass for ours, so the answer is checked."""
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


class ReferenceReader:
    """Read when they are needed; nothing of them is kept."""

    def __init__(self, api: KubernetesApi, *, profiles_namespace: str) -> None:
        """``profiles_namespace`` empty: the function's own."""
        self._api, self._profiles_namespace = api, profiles_namespace
        self._secrets = Secrets(api)

    async def found(self, spec: FunctionSpec) -> tuple[list[str], tuple[Profile, ...]]:
        """Its registry credentials and its profiles. Raises BadInput naming everything that is missing."""
        pull_secrets, used = await asyncio.gather(
            self._secrets.pull_secrets(spec.ref.namespace, spec.secrets), self._profiles(spec)
        )
        return pull_secrets, used

    async def _profiles(self, spec: FunctionSpec) -> tuple[Profile, ...]:
        namespace = self._profiles_namespace or spec.ref.namespace
        names = profiles.names_of(spec.annotations)
        found = await asyncio.gather(*(self._profile(namespace, name) for name in names))
        known = {profile.name: profile for profile in found if profile is not None}
        missing = profiles.missing(spec.annotations, known, namespace)
        if missing:
            raise BadInput("\n".join(missing))
        return tuple(known.values())

    async def _profile(self, namespace: str, name: str) -> Profile | None:
        try:
            return profiles.profile_of(await self._api.get(PROFILES, name, namespace=namespace))
        except NotFound:
            return None


def _too_fast(resource: Resource, value: Mapping[str, Any]) -> Unavailable:
    metadata = value["metadata"]
    where = f"{metadata['namespace']}/{metadata['name']}"
    return Unavailable(f"{resource} {where} changes faster than it can be taken over; try again")
