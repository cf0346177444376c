"""Secrets of functions: Kubernetes Secrets with the label that marks them as ours, read only when somebody asks.

They are neither watched nor kept: values have no business in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from springtide.provider.kubernetes.manifests.keys import MANAGED_BY, OPENFAAS
from springtide.provider.kubernetes.manifests.secrets import is_listed, is_pull_secret, secret_of
from springtide.provider.spec import check_secret_name
from springtide.runtime.errors import BadInput, NotFound
from springtide.runtime.kubernetes.api import Json, KubernetesApi, Where
from springtide.runtime.kubernetes.resources import SECRETS


class Secrets:
    """The caller has checked the namespace."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def names(self, namespace: str) -> list[str]:
        listing = await self._api.list(SECRETS, Where(namespace, labels=f"{MANAGED_BY}={OPENFAAS}"))
        return sorted(item["metadata"]["name"] for item in listing.items)

    async def create(self, namespace: str, name: str, value: bytes) -> None:
        body = secret_of(namespace, check_secret_name(name), value)
        await self._api.create(SECRETS, body)

    async def replace(self, namespace: str, name: str, value: bytes) -> None:
        """Its one value; other keys, as an earlier hand may have left them, go."""
        secret = await self._ours(namespace, name)
        data: dict[str, str | None] = dict.fromkeys(secret.get("data") or {})
        version = {"resourceVersion": secret["metadata"]["resourceVersion"]}
        patch = {"metadata": version, "data": data | secret_of(namespace, name, value)["data"]}
        await self._api.merge_patch(SECRETS, name, patch, namespace=namespace)

    async def delete(self, namespace: str, name: str) -> None:
        await self._ours(namespace, name)
        await self._api.delete(SECRETS, name, namespace=namespace)

    async def pull_secrets(self, namespace: str, names: Sequence[str]) -> list[str]:
        """Those of the named secrets, whoever made them, that fetch images. Raises BadInput naming all that miss."""
        found = await asyncio.gather(*(self._get(namespace, name) for name in names))
        missing = [name for name, secret in zip(names, found, strict=True) if secret is None]
        if missing:
            raise BadInput(f"secrets: {', '.join(missing)} not found in {namespace}; create them first")
        return [secret["metadata"]["name"] for secret in found if secret is not None and is_pull_secret(secret)]

    async def _get(self, namespace: str, name: str) -> Json | None:
        try:
            return await self._api.get(SECRETS, name, namespace=namespace)
        except NotFound:
            return None

    async def _ours(self, namespace: str, name: str) -> Json:
        secret = await self._get(namespace, check_secret_name(name))
        if secret is None or not is_listed(secret):
            raise NotFound(f"no secret {name} with label {MANAGED_BY}={OPENFAAS} in {namespace}")
        return secret
