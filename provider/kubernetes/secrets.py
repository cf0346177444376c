"""Secrets of functions: Kubernetes Secrets with the label that marks them as ours, read only when somebody asks.

They are not watched: values have no business in this process. Those that deliveries of webhooks are checked with are
kept for some seconds, so that strangers who send many make us ask the API server once.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence

from springtide.provider.kubernetes.manifests.keys import MANAGED_BY, OPENFAAS
from springtide.provider.kubernetes.manifests.secrets import is_listed, is_pull_secret, secret_of
from springtide.provider.spec import check_secret_name, missing_secrets
from springtide.runtime.errors import BadInput, NotFound
from springtide.runtime.kubernetes.api import Json, KubernetesApi, Where
from springtide.runtime.kubernetes.resources import SECRETS
from springtide.scaler.core.ports import Clock

KEPT_S = 5.0


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

    async def read(self, namespace: str, name: str) -> bytes:
        """The value under its own name, else the only one. Raises NotFound, and BadInput where that leaves it open."""
        data = (await self._ours(namespace, name)).get("data") or {}
        if name not in data and len(data) != 1:
            raise BadInput(f"has {len(data)} keys and none of its own name; name one of them {name}")
        return base64.b64decode((data[name] if name in data else next(iter(data.values()))) or "")

    async def pull_secrets(self, namespace: str, names: Sequence[str]) -> list[str]:
        """Those of the named secrets, whoever made them, that fetch images. Raises BadInput naming all that miss."""
        found = await asyncio.gather(*(self._get(namespace, name) for name in names))
        missing = [name for name, secret in zip(names, found, strict=True) if secret is None]
        if missing:
            raise missing_secrets(missing, namespace)
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


class SecretValues:
    """Kept for ``KEPT_S``, in which a value that was replaced is still told."""

    def __init__(self, secrets: Secrets, clock: Clock) -> None:
        self._secrets, self._clock = secrets, clock
        self._read: dict[tuple[str, str], tuple[float, bytes]] = {}

    def __repr__(self) -> str:
        return f"<SecretValues, {len(self._read)} kept>"

    async def read(self, namespace: str, name: str) -> bytes:
        """Raises as ``Secrets.read`` does."""
        now = self._clock.now()
        self._read = {key: kept for key, kept in self._read.items() if now - kept[0] < KEPT_S}
        if (kept := self._read.get((namespace, name))) is not None:
            return kept[1]
        value = await self._secrets.read(namespace, name)
        self._read[namespace, name] = now, value
        return value
