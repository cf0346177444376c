"""The ``scale`` subresource: replicas of any scalable object as one small object."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.emulator.objects import Object, dig, name_of, namespace_of
from tests.kubernetes.emulator.options import WriteOptions
from tests.kubernetes.emulator.patches import json_patch, merge_patch
from tests.kubernetes.emulator.resources import Resource
from tests.kubernetes.emulator.schemas import Schemas, TypeMismatch
from tests.kubernetes.emulator.statuses import (
    ApiError,
    bad_request,
    conflict,
    invalid,
    not_found,
    unsupported_media_type,
    wrong,
)
from tests.kubernetes.emulator.store import Store, edited
from tests.kubernetes.emulator.writes import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Writes

_SCALE = "io.k8s.api.autoscaling.v1.Scale"
_BUILT_IN_PATHS = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
}


class Scales:
    def __init__(self, store: Store, writes: Writes, schemas: Schemas) -> None:
        self._store, self._writes, self._schemas = store, writes, schemas

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Raises ApiError 404; and 500 for a custom object that says no count, which can be scaled nevertheless."""
        parent = self._existing(resource, namespace, name)
        path = _paths(resource)["specReplicasPath"]
        if resource.custom and _get(parent, path) is None:
            why = f'Internal error occurred: the spec replicas field "{path}" does not exist'
            raise ApiError(500, "InternalError", why)
        return _scale(resource, parent)

    def update(self, resource: Resource, namespace: str, name: str, body: Any, chosen: WriteOptions) -> Object:
        """Raises ApiError."""
        parent = self._existing(resource, namespace, name)
        wanted = self._decoded(body, chosen)
        if name_of(wanted) not in ("", name):
            raise bad_request(f"the name of the object ({name_of(wanted)}) does not match the name on the URL ({name})")
        return self._write(resource, parent, wanted, chosen)

    def patch(
        self, resource: Resource, namespace: str, name: str, patch: Any, kind: str, chosen: WriteOptions
    ) -> Object:
        """Raises ApiError."""
        parent = self._existing(resource, namespace, name)
        if kind == APPLY_PATCH:
            return self._apply(resource, parent, patch, chosen)
        current = _scale(resource, parent)
        if kind == JSON_PATCH:
            patched = json_patch.apply(current, patch)
        elif kind in (MERGE_PATCH, STRATEGIC_PATCH):
            patched = merge_patch.apply(current, patch)
        else:
            raise unsupported_media_type([JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH])
        return self._write(resource, parent, self._decoded(patched, chosen), chosen)

    def _existing(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self._store.get(resource.key, namespace, name)
        if found is None:
            raise not_found(resource.group, resource.plural, name)
        return found

    def _decoded(self, body: Any, chosen: WriteOptions) -> Object:
        if not isinstance(body, dict):
            raise bad_request("the object provided is unrecognized (must be of type Scale)")
        if body.get("kind", "Scale") != "Scale" or body.get("apiVersion", "autoscaling/v1") != "autoscaling/v1":
            raise bad_request(f"the object is no Scale of autoscaling/v1 but a {body.get('kind')}")
        try:
            decoded = self._schemas.decode(body, self._schemas.named(_SCALE))
        except TypeMismatch as error:
            raise bad_request(f'Scale in version "v1" cannot be handled as a Scale: {error}') from error
        if decoded.unknown and chosen.validation == "Strict":
            listing = ", ".join(f'unknown field "{one}"' for one in decoded.unknown)
            raise bad_request(f'Scale in version "v1" cannot be handled as a Scale: strict decoding error: {listing}')
        scale: Object = decoded.value
        return scale

    def _write(self, resource: Resource, parent: Object, wanted: Object, chosen: WriteOptions) -> Object:
        replicas = dig(wanted, "spec", "replicas", default=0)
        if replicas < 0:
            problem = wrong("spec.replicas", replicas, "must be greater than or equal to 0")
            raise invalid("autoscaling", "Scale", name_of(parent), [problem])
        meta = wanted.get("metadata", {})
        if meta.get("resourceVersion", parent["metadata"]["resourceVersion"]) != parent["metadata"]["resourceVersion"]:
            raise conflict(resource.group, resource.plural, name_of(parent))
        if meta.get("uid", parent["metadata"]["uid"]) != parent["metadata"]["uid"]:
            raise conflict(resource.group, resource.plural, name_of(parent), "Precondition failed: UID in precondition")
        new = edited(parent)
        _put(new, _paths(resource)["specReplicasPath"], replicas)
        return _scale(resource, self._writes.replace(resource, new, parent, chosen))

    def _apply(self, resource: Resource, parent: Object, config: Any, chosen: WriteOptions) -> Object:
        replicas = dig(config, "spec", "replicas")
        if not isinstance(replicas, int):
            raise bad_request("a Scale is applied with spec.replicas")
        meta = {"name": name_of(parent)}
        for field in ("resourceVersion", "uid"):
            if value := dig(config, "metadata", field):
                meta[field] = value
        body: Object = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
        _put(body, _paths(resource)["specReplicasPath"], replicas)
        new = self._writes.patch(resource, namespace_of(parent), name_of(parent), body, APPLY_PATCH, chosen)
        return _scale(resource, new)


def _paths(resource: Resource) -> Object:
    return resource.scale_paths or _BUILT_IN_PATHS


def _scale(resource: Resource, parent: Object) -> Object:
    paths, meta = _paths(resource), parent["metadata"]
    status: Object = {"replicas": _get(parent, paths["statusReplicasPath"]) or 0}
    selector = _selector(resource, parent)
    if selector:
        status["selector"] = selector
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = _get(parent, paths["specReplicasPath"])
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: meta[key] for key in kept if key in meta},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _selector(resource: Resource, parent: Object) -> str:
    if resource.custom:
        path = _paths(resource).get("labelSelectorPath")
        return str(_get(parent, path) or "") if path else ""
    parts = [
        f"{key}={value}" for key, value in sorted(dig(parent, "spec", "selector", "matchLabels", default={}).items())
    ]
    parts += [
        f"{one['key']} {one['operator'].lower()} ({','.join(one.get('values', ()))})"
        for one in dig(parent, "spec", "selector", "matchExpressions", default=[])
    ]
    return ",".join(parts)


def _get(thing: Object, path: str) -> Any:
    return dig(thing, *path.strip(".").split("."))


def _put(thing: Object, path: str, value: Any) -> None:
    *steps, last = path.strip(".").split(".")
    for step in steps:
        thing = thing.setdefault(step, {})
    thing[last] = value
