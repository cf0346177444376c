"""Every operation on resources that a request can ask for, by verb and subresource."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from tests.kubernetes.emulator import watching
from tests.kubernetes.emulator.deletion import Deletions, delete_options
from tests.kubernetes.emulator.objects import Object, name_of, namespace_of
from tests.kubernetes.emulator.options import WriteOptions
from tests.kubernetes.emulator.reading import Lists, seen, selection
from tests.kubernetes.emulator.request_info import RequestInfo
from tests.kubernetes.emulator.resources import Resource, Resources
from tests.kubernetes.emulator.scale import Scales
from tests.kubernetes.emulator.schemas import Schemas
from tests.kubernetes.emulator.settings import EmulatorSettings
from tests.kubernetes.emulator.statuses import ApiError, method_not_allowed, no_such_path, not_found
from tests.kubernetes.emulator.store import Store
from tests.kubernetes.emulator.watching import WatchRequest
from tests.kubernetes.emulator.writes import Writes

Logs = Callable[[Object, Mapping[str, str]], AsyncGenerator[bytes]]
Metrics = Callable[[RequestInfo], Object]


class Operations:
    """``read_logs`` and ``pod_metrics`` are the node's, which comes later."""

    def __init__(self, store: Store, resources: Resources, schemas: Schemas, settings: EmulatorSettings) -> None:
        self.store, self.resources, self._schemas, self._settings = store, resources, schemas, settings
        self.writes = Writes(store, schemas)
        self._lists, self._deletions = Lists(store), Deletions(store)
        self._scales = Scales(store, self.writes, schemas)
        self.read_logs: Logs | None = None
        self.pod_metrics: Metrics | None = None

    def resource(self, info: RequestInfo) -> Resource:
        """Raises ApiError 404 for what is not served, 405 for what cannot be done to it."""
        found = self.resources.find(info.group, info.version, info.resource)
        if found is None or (info.subresource and info.subresource not in found.subresources):
            raise no_such_path()
        across = found.namespaced and not info.namespace
        if across and (info.name or info.verb not in ("list", "watch", "create")):
            raise no_such_path() if info.name else method_not_allowed()
        if info.verb == "create" and (info.name or across):
            raise method_not_allowed()
        if info.verb in ("update", "patch") and not info.name:
            raise method_not_allowed()
        return found

    def read(self, resource: Resource, info: RequestInfo, query: Mapping[str, str]) -> Object:
        """One object, its scale, or a list. Raises ApiError."""
        if not info.name:
            return self._lists.read(resource, _namespace(resource, info), query)
        if info.subresource == "scale":
            return self._scales.get(resource, info.namespace, info.name)
        found = self.store.get(resource.key, _namespace(resource, info), info.name)
        if found is None:
            raise not_found(resource.group, resource.plural, info.name)
        return seen(resource, found)

    def version_of(self, resource: Resource, info: RequestInfo) -> str:
        """Of the object as stored; empty when there is none."""
        found = self.store.get(resource.key, _namespace(resource, info), info.name)
        return str(found["metadata"]["resourceVersion"]) if found else ""

    def create(self, resource: Resource, info: RequestInfo, body: Any, chosen: WriteOptions) -> Object:
        return seen(resource, self.writes.create(resource, _namespace(resource, info), body, chosen))

    def update(self, resource: Resource, info: RequestInfo, body: Any, chosen: WriteOptions) -> Object:
        place = _namespace(resource, info)
        if info.subresource == "scale":
            return self._scales.update(resource, place, info.name, body, chosen)
        if info.subresource == "finalize":
            return self._finalize(resource, info.name, body)
        return seen(resource, self.writes.update(resource, place, info.name, body, chosen))

    def patch(self, resource: Resource, info: RequestInfo, body: Any, kind: str, chosen: WriteOptions) -> Object:
        place = _namespace(resource, info)
        if info.subresource == "scale":
            return self._scales.patch(resource, place, info.name, body, kind, chosen)
        return seen(resource, self.writes.patch(resource, place, info.name, body, kind, chosen))

    def delete(self, resource: Resource, info: RequestInfo, body: Any, query: Mapping[str, str]) -> Object:
        chosen, place = delete_options(self._schemas, body, query), _namespace(resource, info)
        if info.subresource:
            raise method_not_allowed()
        if info.name:
            return _answered(resource, self._deletions.delete(resource, place, info.name, chosen))
        matches = selection(resource, query)
        gone = [thing for thing in self.store.objects(resource.key, place) if matches(thing)]
        for thing in gone:
            self._deletions.delete(resource, namespace_of(thing), name_of(thing), chosen)
        meta = {"resourceVersion": str(self.store.version)}
        items = [seen(resource, thing) for thing in gone]
        return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta, "items": items}

    def watch_request(self, info: RequestInfo, query: Mapping[str, str]) -> WatchRequest:
        resource = self.resource(info)
        place = _namespace(resource, info)
        if info.name:
            query = {**query, "fieldSelector": f"metadata.name={info.name}"}
        return watching.watch_request(resource, place, query, self._settings)

    def logs(self, info: RequestInfo, query: Mapping[str, str]) -> AsyncGenerator[bytes]:
        pod = self.store.get(self.resource(info).key, info.namespace, info.name)
        if pod is None:
            raise not_found("", "pods", info.name)
        if self.read_logs is None:
            raise ApiError(500, "", "no node")
        return self.read_logs(pod, query)

    def metrics(self, info: RequestInfo) -> Object:
        if self.pod_metrics is None or info.verb not in ("get", "list") or info.resource != "pods":
            raise no_such_path()
        return self.pod_metrics(info)

    def _finalize(self, resource: Resource, name: str, body: Any) -> Object:
        old = self.store.get(resource.key, "", name)
        if old is None:
            raise not_found("", "namespaces", name)
        new = old | {"spec": dict(body.get("spec", {}))}
        return self.writes.replace(resource, new | {"metadata": dict(new["metadata"])}, old, WriteOptions())


def _namespace(resource: Resource, info: RequestInfo) -> str:
    return info.namespace if resource.namespaced else ""


def _answered(resource: Resource, result: Object) -> Object:
    return result if result.get("kind") == "Status" else seen(resource, result)
