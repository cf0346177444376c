"""The published schemas of the built-in kinds, and decoding by them as the server's decoder does.

Decoding drops unknown fields and says which; refuses values of another type; and normalises as a round trip through
the server's own types would: null and empty optional values vanish.
"""

from __future__ import annotations

import base64
import binascii
import functools
import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kubernetes.emulator.objects import Object, parse_time, timestamp

PREFIX = "#/$defs/"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
TIME, MICRO_TIME = META + "Time", META + "MicroTime"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"

_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

_ZERO_MEANS_ABSENT = {
    "io.k8s.api.apps.v1.DeploymentStatus": None,
    "io.k8s.api.apps.v1.ReplicaSetStatus": ("replicas",),
    "io.k8s.api.autoscaling.v1.ScaleSpec": None,
    "io.k8s.api.autoscaling.v1.ScaleStatus": ("replicas",),
    "io.k8s.api.core.v1.Probe": ("terminationGracePeriodSeconds",),
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": ("deletionGracePeriodSeconds",),
    "io.k8s.api.apps.v1.DeploymentSpec": ("replicas", "revisionHistoryLimit", "progressDeadlineSeconds"),
}
"""Types whose whole numbers are plain ones in the server, with the exceptions: a zero is not sent back."""


class TypeMismatch(ValueError):
    """A value that the server's decoder cannot take."""


@dataclass(slots=True)
class Decoded:
    """An object in the server's terms, and what of it the server does not know."""

    value: Any
    unknown: list[str] = field(default_factory=list)


class Schemas:
    """All published definitions of one version of Kubernetes."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._definitions: Mapping[str, Object] = _load(version)
        self._by_kind = {
            (kind["group"], kind["version"], kind["kind"]): name
            for name, definition in self._definitions.items()
            for kind in definition.get("x-kubernetes-group-version-kind", ())
        }

    def of_kind(self, group: str, version: str, kind: str) -> Object:
        return {"$ref": PREFIX + self._by_kind[group, version, kind]}

    def named(self, name: str) -> Object:
        return {"$ref": PREFIX + name}

    def resolve(self, schema: Object) -> tuple[str, Object]:
        """The definition a schema refers to and its name, or the schema itself and no name."""
        name = ""
        while "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            schema = self._definitions[name]
        return name, schema

    def decode(self, value: Any, schema: Object) -> Decoded:
        """Raises TypeMismatch."""
        decoded = Decoded(None)
        decoded.value = self._decode(value, schema, "", decoded.unknown)
        return decoded

    def _decode(self, value: Any, schema: Object, path: str, unknown: list[str]) -> Any:
        name, schema = self.resolve(schema)
        if value is None:
            return None
        if name in _SCALARS:
            return _SCALARS[name](value, path)
        kind = _type_of(schema)
        if kind == "object":
            return self._object(value, name, schema, path, unknown)
        if kind == "array":
            if not isinstance(value, list):
                raise _mismatch(value, path, "array")
            items = (
                self._decode(item, schema.get("items", {}), f"{path}[{index}]", unknown)
                for index, item in enumerate(value)
            )
            return [item for item in items if item is not None]
        return _scalar(value, kind, schema.get("format", ""), path)

    def _object(self, value: Any, name: str, schema: Object, path: str, unknown: list[str]) -> Object:
        if not isinstance(value, dict):
            raise _mismatch(value, path, "object")
        properties: Object | None = schema.get("properties")
        if properties is None:
            inner = schema.get("additionalProperties")
            if not isinstance(inner, dict):
                return value
            return {
                key: "" if (new := self._decode(item, inner, _join(path, key), unknown)) is None else new
                for key, item in value.items()
            }
        required = schema.get("required", ())
        result: Object = {}
        for key, item in value.items():
            inner_path = _join(path, key)
            if key not in properties:
                unknown.append(inner_path)
                continue
            new = self._decode(item, properties[key], inner_path, unknown)
            if new is None or (key not in required and self._vanishes(new, name, key, properties[key])):
                continue
            result[key] = new
        return result

    def _vanishes(self, value: Any, owner: str, key: str, schema: Object) -> bool:
        """Whether the server's encoder leaves out this optional value."""
        if value in ("", []):
            return True
        if value == {}:
            _, resolved = self.resolve(schema)
            return "properties" not in resolved and isinstance(resolved.get("additionalProperties"), dict)
        if value == 0 and type(value) is int and owner in _ZERO_MEANS_ABSENT:
            return key not in (_ZERO_MEANS_ABSENT[owner] or ())
        return False

    def list_keys(self, schema: Object) -> tuple[str, ...] | None:
        """The keys of a list that is merged by key; None for any other."""
        if schema.get("x-kubernetes-list-type") == "map":
            return tuple(schema["x-kubernetes-list-map-keys"])
        return None

    def group_versions(self) -> Iterator[tuple[str, str, str]]:
        yield from self._by_kind

    def definitions(self) -> Mapping[str, Object]:
        return self._definitions


@functools.cache
def shared(version: str) -> Schemas:
    """One for all emulators of this process."""
    return Schemas(version)


def _load(version: str) -> Mapping[str, Object]:
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local"
    definitions: Mapping[str, Object] = json.loads((folder / "_definitions.json").read_text())["$defs"]
    return definitions


def _type_of(schema: Object) -> str:
    kinds = schema.get("type", "")
    if isinstance(kinds, list):
        kinds = next(kind for kind in kinds if kind != "null")
    return str(kinds)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _mismatch(value: Any, path: str, wanted: str) -> TypeMismatch:
    names = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}
    return TypeMismatch(
        f"json: cannot unmarshal {names.get(type(value), 'value')} into Go struct field {path} of type {wanted}"
    )


def _scalar(value: Any, kind: str, form: str, path: str) -> Any:
    if kind == "string":
        if not isinstance(value, str):
            raise _mismatch(value, path, "string")
        return _bytes(value, path) if form == "byte" else value
    if kind == "boolean":
        if not isinstance(value, bool):
            raise _mismatch(value, path, "bool")
        return value
    if kind == "integer":
        return _integer(value, form or "int64", path)
    if kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _mismatch(value, path, "float64")
        return value
    return value


def _integer(value: Any, form: str, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise _mismatch(value, path, form)
    limit = 1 << (31 if form == "int32" else 63)
    if not -limit <= value < limit:
        raise _mismatch(value, path, form)
    return int(value)


def _bytes(value: str, path: str) -> str:
    try:
        base64.b64decode(value.replace("\n", ""), validate=True)
    except binascii.Error as error:
        raise TypeMismatch(f"{path}: illegal base64 data: {error}") from error
    return value


def _time(value: Any, path: str) -> str:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise TypeMismatch(f'{path}: parsing time {json.dumps(value)} as "2006-01-02T15:04:05Z07:00": cannot parse')
    return timestamp(parse_time(value))


def _micro_time(value: Any, path: str) -> str:
    if not isinstance(value, str) or not _MICRO_TIME.fullmatch(value):
        raise TypeMismatch(
            f'{path}: parsing time {json.dumps(value)} as "2006-01-02T15:04:05.000000Z07:00": cannot parse'
        )
    return value


def _quantity(value: Any, path: str) -> str:
    """Its syntax is checked here; quantities.py knows its meaning."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _mismatch(value, path, "resource.Quantity")
    text = str(value)
    if not re.fullmatch(r"[+-]?(\d+|\d+\.\d*|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE])?", text):
        raise TypeMismatch(
            "unable to parse quantity's suffix"
            if re.fullmatch(r"[+-]?[0-9.]+[eEinumkKMGTP]*[-+]?[0-9]*", text)
            else "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    return text


def _int_or_string(value: Any, path: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _mismatch(value, path, "intstr.IntOrString")
    return value


_SCALARS = {TIME: _time, MICRO_TIME: _micro_time, QUANTITY: _quantity, INT_OR_STRING: _int_or_string}
