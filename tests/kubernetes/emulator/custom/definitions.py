"""CustomResourceDefinitions: what is wrong with one, and the resources it adds."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.emulator.objects import Object, dig, name_of, timestamp
from tests.kubernetes.emulator.resources import Resource
from tests.kubernetes.emulator.statuses import Cause, not_allowed, required, unsupported, wrong
from tests.kubernetes.emulator.validation import names

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_SCALAR_TYPES = ("array", "boolean", "integer", "number", "object", "string")


def causes(definition: Object) -> list[Cause]:
    spec = definition.get("spec", {})
    plural, group = dig(spec, "names", "plural", default=""), spec.get("group", "")
    found = []
    if name_of(definition) != f"{plural}.{group}":
        found.append(wrong("metadata.name", name_of(definition), 'must be spec.names.plural+"."+spec.group'))
    if "." not in group:
        found.append(wrong("spec.group", group, "should be a domain with at least one dot"))
    if problem := names.service_problem(plural):
        found.append(wrong("spec.names.plural", plural, problem))
    if not dig(spec, "names", "kind"):
        found.append(required("spec.names.kind"))
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        found.append(unsupported("spec.scope", spec.get("scope", ""), ("Cluster", "Namespaced")))
    versions = spec.get("versions", [])
    if sum(1 for one in versions if one.get("storage")) != 1:
        found.append(wrong("spec.versions", versions, "must have exactly one version marked as storage version"))
    for index, version in enumerate(versions):
        at = f"spec.versions[{index}]"
        schema = dig(version, "schema", "openAPIV3Schema")
        if schema is None:
            found.append(required(f"{at}.schema.openAPIV3Schema", "schemas are required"))
            continue
        found += _structural(schema, f"{at}.schema.openAPIV3Schema", root=True)
        if (scale := dig(version, "subresources", "scale")) is not None:
            found += _scale(scale, f"{at}.subresources.scale")
    return found


def _scale(scale: Object, path: str) -> list[Cause]:
    found = []
    for field, start in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        value = scale.get(field, "")
        if not value:
            found.append(required(f"{path}.{field}"))
        elif not value.startswith(start):
            found.append(wrong(f"{path}.{field}", value, f"should be a json path under {start.rstrip('.')}"))
    return found


def _structural(schema: Any, path: str, *, root: bool = False) -> list[Cause]:
    """A type everywhere, and nothing that would make pruning ambiguous."""
    if not isinstance(schema, dict):
        return [wrong(path, schema, "must be a schema")]
    found = _type(schema, path, root=root) + _refused_words(schema, path)
    if schema.get("type") == "array":
        missing = [required(f"{path}.items", "must be specified")]
        found += _structural(schema["items"], f"{path}.items") if "items" in schema else missing
    for name, inner in schema.get("properties", {}).items():
        if not root or name not in ("apiVersion", "kind", "metadata"):
            found += _structural(inner, f"{path}.properties[{name}]")
    if isinstance(schema.get("additionalProperties"), dict):
        found += _structural(schema["additionalProperties"], f"{path}.additionalProperties")
    return found


def _type(schema: Object, path: str, *, root: bool) -> list[Cause]:
    free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    kind = schema.get("type", "")
    if root and kind != "object":
        return [wrong(f"{path}.type", kind, "must be object at the root")]
    if not kind and not free:
        return [required(f"{path}.type", "must not be empty for specified object fields")]
    if kind and kind not in _SCALAR_TYPES:
        return [unsupported(f"{path}.type", kind, _SCALAR_TYPES)]
    return []


def _refused_words(schema: Object, path: str) -> list[Cause]:
    found = [
        not_allowed(f"{path}.{word}", "must not be used in a structural schema")
        for word in ("$ref", "definitions", "dependencies", "patternProperties", "additionalItems")
        if word in schema
    ]
    extra = f"{path}.additionalProperties"
    if "properties" in schema and "additionalProperties" in schema:
        found.append(not_allowed(extra, "additionalProperties and properties are mutual exclusive"))
    if schema.get("additionalProperties") is False:
        found.append(not_allowed(extra, "additionalProperties cannot be set to false"))
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.append(not_allowed(f"{path}.uniqueItems", why))
    return found


def resources(definition: Object) -> list[Resource]:
    """One for each served version; all are kept in one place."""
    spec, given = definition["spec"], definition["spec"]["names"]
    found = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        subresources = version.get("subresources", {})
        found.append(
            Resource(
                group=spec["group"],
                version=version["name"],
                kind=given["kind"],
                plural=given["plural"],
                singular=given.get("singular", given["kind"].lower()),
                short=tuple(given.get("shortNames", ())),
                namespaced=spec["scope"] == "Namespaced",
                subresources=tuple(name for name in ("status", "scale") if name in subresources),
                generation=True,
                unconditional_update=False,
                categories=tuple(given.get("categories", ())),
                schema=version["schema"]["openAPIV3Schema"],
                scale_paths=subresources.get("scale"),
            )
        )
    return found


def typed(schema: Object) -> Object:
    """A custom schema as ownership needs it: with the type of the metadata."""
    properties = schema.get("properties", {})
    fixed = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"$ref": f"#/$defs/{_META}"}}
    return schema | {"type": "object", "properties": properties | fixed}


def established(definition: Object) -> Object:
    """The status that the server gives at once."""
    now = timestamp()
    conditions = [
        {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"},
        {"type": "Established", "status": "True", "reason": "InitialNamesAccepted"},
    ]
    conditions[1]["message"] = "the initial names have been accepted"
    storage = [version["name"] for version in definition["spec"]["versions"] if version.get("storage")]
    return {
        "acceptedNames": definition["spec"]["names"],
        "storedVersions": storage,
        "conditions": [condition | {"lastTransitionTime": now} for condition in conditions],
    }
