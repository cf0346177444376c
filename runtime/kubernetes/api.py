"""The verbs we need of an API server, over plain JSON objects.

Every write is strictly validated (``fieldValidation=Strict``: an unknown field is refused, not dropped) and carries our
field manager. Every call ends within the deadline, repetitions after 429, 5xx and broken connections included; a create
is repeated only when the server said that it did not do it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

from springtide.runtime.errors import Unavailable
from springtide.runtime.kubernetes import faults, lines
from springtide.runtime.kubernetes.requests import Call, Requests
from springtide.runtime.kubernetes.resources import PODS, Resource
from springtide.runtime.kubernetes.settings import KubernetesSettings
from springtide.runtime.kubernetes.values import Json, Listing, LogWish, Scale, WatchEvent, Where, delete_options

__all__ = [
    "FIELD_MANAGER",
    "Json",
    "KubernetesApi",
    "Listing",
    "LogWish",
    "Scale",
    "WatchEvent",
    "Where",
    "connected",
    "delete_options",
]

FIELD_MANAGER = "springtide"
PAGE = 500
SILENCE_S = 5.0
"""Beyond a watch's time-out, by which the server should have ended it."""

_STRICT = {"fieldValidation": "Strict", "fieldManager": FIELD_MANAGER}
_MERGE, _APPLY = "application/merge-patch+json", "application/apply-patch+yaml"


class KubernetesApi:
    """A connection to one cluster. Errors: those of ``runtime.errors``, and Expired (410) of ``faults``."""

    def __init__(self, requests: Requests, guard: Callable[[], None] | None = None) -> None:
        self._requests, self._guard = requests, guard

    def __repr__(self) -> str:
        return f"<KubernetesApi {self._requests!r}>"

    async def aclose(self) -> None:
        await self._requests.aclose()

    def guarded(self, guard: Callable[[], None]) -> KubernetesApi:
        """The same connection, for one who may write for a time only: ``guard`` is called right before each write is
        sent, repetitions too, and raises when that time is over."""
        return KubernetesApi(self._requests, guard)

    # Reading.

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Json:
        return await self._call("GET", f"get {resource} {_shown(namespace, name)}", resource, namespace, name)

    async def list(self, resource: Resource, where: Where | None = None) -> Listing:
        """All objects there are, as of now. Raises Expired when the pages took so long that the first one's state is
        gone; list again then."""
        items: list[Json] = []
        version = ""
        async for page in self.pages(resource, where):
            items += page.items
            version = page.resource_version
        return Listing(items, version)

    async def pages(self, resource: Resource, where: Where | None = None) -> AsyncGenerator[Listing, None]:
        """The same, a few hundred at a time, for who keeps only part of each object. The version is in each page."""
        where = where or Where()
        params = {**where.params, "limit": str(PAGE)}
        what = f"list {resource} {_shown(where.namespace)}"
        token: str | None = ""
        while token is not None:
            path = resource.path(namespace=where.namespace)
            page = await self._requests.json(Call("GET", path, what, params=params))
            metadata = page.get("metadata") or {}
            yield Listing(_complete(resource, page), str(metadata.get("resourceVersion", "")))
            token = metadata.get("continue") or None
            params["continue"] = str(token)

    @contextlib.asynccontextmanager
    async def watch(
        self, resource: Resource, where: Where | None = None, *, resource_version: str, timeout_s: float = 300.0
    ) -> AsyncIterator[AsyncGenerator[WatchEvent, None]]:
        """Once connected: every change after ``resource_version``, bookmarks included, until the server ends it.

        The server ends it after ``timeout_s``; one that stays silent a little longer counts as broken. Raises Expired
        when the version is too old, Unavailable when the connection breaks.
        """
        where = where or Where()
        params = {
            **where.params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(max(1, int(timeout_s))),
        }
        what = f"watch {resource} {_shown(where.namespace)}"
        call = Call("GET", resource.path(namespace=where.namespace), what, params=params)
        async with (
            self._requests.stream(call, silence_s=timeout_s + SILENCE_S) as chunks,
            contextlib.aclosing(_events(resource, chunks, what)) as events,
        ):
            yield events

    @contextlib.asynccontextmanager
    async def logs(self, pod: str, *, namespace: str, wish: LogWish) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """Once connected: lines of one pod, each beginning with its RFC 3339 time and a space, without the line end."""
        what = f"read the log of pods {_shown(namespace, pod)}"
        path = PODS.path(namespace=namespace, name=pod, subresource="log")
        call = Call("GET", path, what, params=wish.params)
        async with (
            self._requests.stream(call, silence_s=None) as chunks,
            contextlib.aclosing(lines.split(chunks, what, cut=True)) as split,
        ):
            yield split

    # Writing. The object's own metadata says name and namespace.

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> Json:
        """AlreadyExists when there is one of that name."""
        namespace, name = _named(resource, body)
        what = f"create {resource} {_shown(namespace, name)}"
        path = resource.path(namespace=namespace)
        call = Call("POST", path, what, params=_STRICT, body=_typed(resource, body), repeatable=False)
        return await self._write(call)

    async def replace(self, resource: Resource, body: Mapping[str, Any], *, subresource: str = "") -> Json:
        """Compare-and-set by the body's ``metadata.resourceVersion``: Conflict when the object moved on."""
        namespace, name = _named(resource, body)
        what = f"replace {resource} {_shown(namespace, name)}"
        path = resource.path(namespace=namespace, name=name, subresource=subresource)
        return await self._write(Call("PUT", path, what, params=_STRICT, body=_typed(resource, body)))

    async def write_status(self, resource: Resource, body: Mapping[str, Any]) -> Json:
        return await self.replace(resource, body, subresource="status")

    async def apply(
        self, resource: Resource, body: Mapping[str, Any], *, force: bool, manager: str = FIELD_MANAGER
    ) -> Json:
        """Server-side apply. Without ``force`` a field that another manager owns and that differs is a Conflict."""
        namespace, name = _named(resource, body)
        params = {**_STRICT, "fieldManager": manager, "force": "true" if force else "false"}
        path = resource.path(namespace=namespace, name=name)
        what = f"apply {resource} {_shown(namespace, name)}"
        return await self._write(
            Call("PATCH", path, what, params=params, body=_typed(resource, body), content_type=_APPLY)
        )

    async def merge_patch(
        self,
        resource: Resource,
        name: str,
        patch: Mapping[str, Any],
        *,
        namespace: str | None = None,
        subresource: str = "",
    ) -> Json:
        """With ``metadata.resourceVersion`` in the patch: compare-and-set."""
        path = resource.path(namespace=namespace, name=name, subresource=subresource)
        what = f"patch {resource} {_shown(namespace, name)}"
        return await self._write(Call("PATCH", path, what, params=_STRICT, body=dict(patch), content_type=_MERGE))

    async def delete(
        self, resource: Resource, name: str, *, namespace: str | None = None, options: Mapping[str, Any] | None = None
    ) -> Json | None:
        """The object, when finalizers or a grace period keep it for now; None when it is gone.

        ``options`` from ``delete_options``. NotFound when it was gone already, Conflict when a precondition fails.
        """
        body = {"kind": "DeleteOptions", "apiVersion": "v1", **(options or delete_options())}
        path = resource.path(namespace=namespace, name=name)
        what = f"delete {resource} {_shown(namespace, name)}"
        answer = await self._write(Call("DELETE", path, what, body=body))
        return answer if answer.get("kind") == resource.kind and _ends_later(answer) else None

    # The scale subresource.

    async def read_scale(self, resource: Resource, name: str, *, namespace: str) -> Scale:
        what = f"get {resource}/scale {_shown(namespace, name)}"
        return _scale(await self._call("GET", what, resource, namespace, name, "scale"), what)

    async def write_scale(
        self, resource: Resource, name: str, replicas: int, *, namespace: str, version: str | None
    ) -> Scale:
        """Conflict when the object's resourceVersion no longer is ``version``; None writes whatever it is."""
        what = f"scale {resource} {_shown(namespace, name)}"
        if version is None:
            # Custom resources refuse an unconditional PUT, so without a version it is a patch.
            patch = {"spec": {"replicas": replicas}}
            return _scale(await self.merge_patch(resource, name, patch, namespace=namespace, subresource="scale"), what)
        body = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": version},
            "spec": {"replicas": replicas},
        }
        path = resource.path(namespace=namespace, name=name, subresource="scale")
        return _scale(await self._write(Call("PUT", path, what, params=_STRICT, body=body)), what)

    async def version(self) -> str:
        """The API server's version, such as ``v1.36.0``."""
        return str((await self._requests.json(Call("GET", "/version", "read the version"))).get("gitVersion", ""))

    async def _call(
        self, method: str, what: str, resource: Resource, namespace: str | None, name: str, subresource: str = ""
    ) -> Json:
        path = resource.path(namespace=namespace, name=name, subresource=subresource)
        return await self._requests.json(Call(method, path, what))

    async def _write(self, call: Call) -> Json:
        return await self._requests.json(replace(call, guard=self._guard))


@contextlib.asynccontextmanager
async def connected(settings: KubernetesSettings) -> AsyncIterator[KubernetesApi]:
    """A connection as the settings say, closed on leaving. Raises BadInput when they lead nowhere."""
    async with Requests.opened(settings) as requests:
        yield KubernetesApi(requests)


def _complete(resource: Resource, page: Json) -> list[Json]:
    """The items of a page; a list leaves out of each what the list itself says."""
    items: list[Json] = page.get("items") or []
    for item in items:
        item.setdefault("apiVersion", resource.api_version)
        item.setdefault("kind", resource.kind)
    return items


async def _events(
    resource: Resource, chunks: AsyncGenerator[bytes, None], what: str
) -> AsyncGenerator[WatchEvent, None]:
    async for line in lines.split(chunks, what):
        yield _event(resource, lines.decoded(line, what), what)


def _event(resource: Resource, value: Any, what: str) -> WatchEvent:
    kind, found = value.get("type"), value.get("object")
    if not isinstance(found, dict):
        raise Unavailable(f"{what}: not a watch event: {str(value)[:200]}")
    if kind == "ERROR":
        raise faults.error_from(int(found.get("code") or 500), lines.encoded(found), what)
    found.setdefault("apiVersion", resource.api_version)
    found.setdefault("kind", resource.kind)
    return WatchEvent(str(kind), found)


def _ends_later(answer: Json) -> bool:
    return bool((answer.get("metadata") or {}).get("deletionTimestamp"))


def _scale(value: Json, what: str) -> Scale:
    try:
        spec, status = value.get("spec") or {}, value.get("status") or {}
        return Scale(
            int(spec.get("replicas") or 0),
            int(status.get("replicas") or 0),
            str(value["metadata"].get("resourceVersion", "")),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unavailable(f"{what}: not a Scale: {str(value)[:200]}") from error


def _named(resource: Resource, body: Mapping[str, Any]) -> tuple[str | None, str]:
    metadata = body["metadata"]
    return (metadata["namespace"] if resource.namespaced else None), str(metadata.get("name", ""))


def _typed(resource: Resource, body: Mapping[str, Any]) -> Json:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}


def _shown(namespace: str | None, name: str = "") -> str:
    return f"{namespace}/{name}".rstrip("/") if namespace else name or "of every namespace"
