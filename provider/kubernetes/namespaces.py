"""Namespaces that may hold functions: those marked ``openfaas``, and always the default one.

Written by server-side apply, so that a replacement takes away what we set before and nothing that others set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from springtide.provider.ports import Namespace
from springtide.runtime.errors import AlreadyExists, BadInput, NotFound, Unavailable, Unsupported
from springtide.runtime.kubernetes.api import Json, KubernetesApi
from springtide.runtime.kubernetes.resources import NAMESPACES
from springtide.runtime.kubernetes.watching import Cache

MARK = "openfaas"
_AUTOMATIC = "kubernetes.io/metadata.name"
GONE_S, GONE_PAUSE_S = 20.0, 0.1


class OneNamespace:
    """What a service account that may only see its own namespace has."""

    def __init__(self, name: str) -> None:
        self._name = name

    def all(self) -> list[Namespace]:
        return [Namespace(self._name)]

    async def put(self, namespace: Namespace, *, replace: bool) -> None:  # noqa: ARG002 - as the others have it
        raise _unsupported()

    async def delete(self, name: str) -> None:  # noqa: ARG002 - as the others have it
        raise _unsupported()


class MarkedNamespaces:
    """Followed by a watch; ``changed`` is called, synchronously, when one comes or goes."""

    def __init__(self, api: KubernetesApi, default: str, *, changed: Callable[[], None]) -> None:
        self._api, self._default = api, default
        self.cache = Cache(api, NAMESPACES)
        self.cache.subscribe(lambda _old, _new: changed())

    async def wait_synced(self, deadline_s: float) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                await self.cache.synced.wait()
        except TimeoutError:
            raise Unavailable(f"the API server did not list namespaces within {deadline_s:g} s") from None

    def all(self) -> list[Namespace]:
        found = {value["metadata"]["name"]: namespace_of(value) for value in self.cache if self._counts(value)}
        found.setdefault(self._default, Namespace(self._default))
        return [found[name] for name in sorted(found)]

    async def put(self, namespace: Namespace, *, replace: bool) -> None:
        there = await self._find(namespace.name)
        if there is not None and not replace and is_terminating(there):
            await self._until_gone(namespace.name)
            there = None
        if there is not None and not replace:
            raise AlreadyExists(f"namespace {namespace.name} exists already")
        if replace and (there is None or not self._counts(there)):
            raise NotFound(f"no namespace {namespace.name} for functions; one that exists is marked with openfaas=1")
        self.cache.observe(await self._api.apply(NAMESPACES, manifest(namespace), force=True))

    async def delete(self, name: str) -> None:
        there = await self._find(name)
        if there is None or not self._counts(there):
            raise NotFound(f"no namespace {name}")
        if name == self._default:
            raise BadInput(f"namespace {name} is the default one and stays")
        await self._api.delete(NAMESPACES, name)
        self.cache.gone(there)

    def _counts(self, value: Mapping[str, Any]) -> bool:
        return not is_terminating(value) and (is_marked(value) or value["metadata"]["name"] == self._default)

    async def _find(self, name: str) -> Json | None:
        try:
            return await self._api.get(NAMESPACES, name)
        except NotFound:
            return None

    async def _until_gone(self, name: str) -> None:
        try:
            async with asyncio.timeout(GONE_S):
                while await self._find(name) is not None:  # noqa: ASYNC110 - only the API server knows
                    await asyncio.sleep(GONE_PAUSE_S)
        except TimeoutError:
            raise Unavailable(f"namespace {name} is still being deleted; try again") from None


def namespace_of(value: Mapping[str, Any]) -> Namespace:
    metadata = value["metadata"]
    labels = {key: text for key, text in (metadata.get("labels") or {}).items() if key != _AUTOMATIC}
    return Namespace(metadata["name"], labels, dict(metadata.get("annotations") or {}))


def manifest(namespace: Namespace) -> Json:
    labels, annotations = dict(namespace.labels), dict(namespace.annotations)
    return {"metadata": {"name": namespace.name, "labels": labels, "annotations": annotations}}


def is_marked(value: Mapping[str, Any]) -> bool:
    """Whether functions may be there. OpenFaaS goes by the annotation's presence alone, so almost any value does."""
    metadata = value["metadata"]
    annotation, label = ((metadata.get(part) or {}).get(MARK) for part in ("annotations", "labels"))
    return label in ("1", "true") or annotation not in (None, "0", "false")


def is_terminating(value: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in value["metadata"]


def _unsupported() -> Unsupported:
    return Unsupported("this provider uses one namespace; several need its ClusterRole and the setting cluster_role")
