"""What clients ask to learn what there is: versions, groups, resources, schemas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.kubernetes.emulator.objects import Object
from tests.kubernetes.emulator.resources import Resource, Resources
from tests.kubernetes.emulator.schemas import Schemas

HEALTH = ("/healthz", "/livez", "/readyz")
EXTRA_GROUPS = {"authorization.k8s.io": "v1", "metrics.k8s.io": "v1beta1"}
"""Groups without stored objects."""


class Discovery:
    def __init__(self, resources: Resources, schemas: Schemas) -> None:
        self._resources, self._schemas = resources, schemas

    def answer(self, path: str) -> Object | None:
        """For a path that is no resource; None where there is nothing."""
        parts = tuple(part for part in path.split("/") if part)
        fixed: dict[tuple[str, ...], Callable[[], Object]] = {
            (): lambda: {"paths": ["/api", "/apis", *HEALTH, "/openapi/v3", "/version"]},
            ("version",): self._version,
            ("api",): lambda: {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
            ("apis",): lambda: {"kind": "APIGroupList", "apiVersion": "v1", "groups": self._groups()},
        }
        if parts in fixed:
            return fixed[parts]()
        match parts:
            case ("api", "v1"):
                return self._resource_list("", "v1")
            case ("apis", group):
                return next((one for one in self._groups() if one["name"] == group), None)
            case ("apis", group, version):
                return self._resource_list(group, version)
            case ("openapi", "v3", *rest):
                return self._open_api(tuple(rest))
        return None

    def _version(self) -> Object:
        major, minor = self._schemas.version.split(".")
        return {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{self._schemas.version}.0",
            "gitCommit": "",
            "gitTreeState": "clean",
            "platform": "linux/amd64",
        }

    def _group_versions(self) -> list[tuple[str, str]]:
        found = dict.fromkeys((one.group, one.version) for one in self._resources)
        return [*found, *EXTRA_GROUPS.items()]

    def _groups(self) -> list[Object]:
        groups: dict[str, list[Object]] = {}
        for group, version in self._group_versions():
            if group:
                groups.setdefault(group, []).append({"groupVersion": f"{group}/{version}", "version": version})
        return [{"name": name, "versions": known, "preferredVersion": known[0]} for name, known in groups.items()]

    def _resource_list(self, group: str, version: str) -> Object | None:
        if (group, version) not in self._group_versions():
            return None
        entries: list[Object] = []
        for one in self._resources:
            if (one.group, one.version) == (group, version):
                entries += _entries(one)
        if group == "authorization.k8s.io":
            entries.append(
                _virtual("selfsubjectaccessreviews", "SelfSubjectAccessReview", ["create"], namespaced=False)
            )
        if group == "metrics.k8s.io":
            entries.append(_virtual("pods", "PodMetrics", ["get", "list"], namespaced=True))
        group_version = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}

    def _open_api(self, rest: tuple[str, ...]) -> Object | None:
        """OpenAPI v3 of one group and version: enough for kubectl to find and check a kind."""
        places = {
            (f"apis/{group}/{version}" if group else f"api/{version}"): (group, version)
            for group, version in self._group_versions()
        }
        if not rest:
            return {"paths": {place: {"serverRelativeURL": f"/openapi/v3/{place}"} for place in places}}
        found = places.get("/".join(rest))
        if found is None:
            return None
        served = [one for one in self._resources if (one.group, one.version) == found]
        schemas = dict(_plain_schemas(self._schemas))
        for one in served:
            if one.schema is not None:
                kind = {"group": one.group, "version": one.version, "kind": one.kind}
                schemas[f"{one.group}.{one.version}.{one.kind}"] = one.schema | {
                    "x-kubernetes-group-version-kind": [kind]
                }
        info = {"title": "Kubernetes", "version": f"v{self._schemas.version}.0"}
        return {"openapi": "3.0.0", "info": info, "paths": _paths(served), "components": {"schemas": schemas}}


def _entries(one: Resource) -> list[Object]:
    main: Object = {
        "name": one.plural,
        "singularName": one.singular or one.kind.lower(),
        "namespaced": one.namespaced,
        "kind": one.kind,
        "verbs": list(one.verbs),
    }
    if one.short:
        main["shortNames"] = list(one.short)
    if one.categories:
        main["categories"] = list(one.categories)
    entries = [main]
    for subresource in one.subresources:
        entry = _virtual(f"{one.plural}/{subresource}", one.kind, ["get", "patch", "update"], namespaced=one.namespaced)
        if subresource == "scale":
            entry |= {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        if subresource == "log":
            entry["verbs"] = ["get"]
        entries.append(entry)
    return entries


def _virtual(name: str, kind: str, verbs: list[str], *, namespaced: bool) -> Object:
    return {"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": verbs}


def _paths(served: list[Resource]) -> Object:
    """PATCH operations say which parameters are known; kubectl looks for fieldValidation there."""
    found: Object = {}
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}}
        for name in ("fieldValidation", "dryRun", "fieldManager")
    ]
    for one in served:
        kind = {"group": one.group, "version": one.version, "kind": one.kind}
        base = f"/apis/{one.group}/{one.version}" if one.group else f"/api/{one.version}"
        place = (
            f"{base}/namespaces/{{namespace}}/{one.plural}/{{name}}"
            if one.namespaced
            else f"{base}/{one.plural}/{{name}}"
        )
        operation = {"parameters": parameters, "x-kubernetes-group-version-kind": kind, "x-kubernetes-action": "patch"}
        found[place] = {"patch": operation}
    return found


def _plain_schemas(schemas: Schemas) -> Mapping[str, Any]:
    plain: Mapping[str, Any] = _plain(dict(schemas.definitions()))
    return plain


def _plain(value: Any) -> Any:
    """References and types as OpenAPI has them."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: _plain(item) for key, item in value.items()}
    if isinstance(result.get("$ref"), str):
        result["$ref"] = result["$ref"].replace("#/$defs/", "#/components/schemas/")
    if isinstance(result.get("type"), list):
        result["type"] = next(kind for kind in result["type"] if kind != "null")
    return result
