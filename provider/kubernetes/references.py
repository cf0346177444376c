"""What a function names and others made: its secrets and its profiles."""

from __future__ import annotations

import asyncio

from springtide.provider.kubernetes.manifests import profiles
from springtide.provider.kubernetes.manifests.kinds import PROFILES
from springtide.provider.kubernetes.manifests.profiles import Profile
from springtide.provider.kubernetes.secrets import Secrets
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput, NotFound
from springtide.runtime.kubernetes.api import KubernetesApi


class References:
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
