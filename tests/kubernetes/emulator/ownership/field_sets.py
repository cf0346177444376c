"""Sets of field paths, and their wire form FieldsV1.

A path is a tuple of steps: ``f:name`` a field, ``k:{...}`` an item of a list by its keys, ``v:...`` a member of a set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.kubernetes.emulator.objects import Object
from tests.kubernetes.emulator.schemas import Schemas

Path = tuple[str, ...]
FieldSet = frozenset[Path]

ITEM = object()
"""The value of an item's own path, in ``leaves``."""


class Shapes:
    """How lists and maps of a schema merge, for published and for custom schemas alike."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def resolve(self, schema: Object) -> Object:
        return self._schemas.resolve(schema)[1]

    def field(self, schema: Object, name: str) -> Object | None:
        """The schema of a field; None where the schema has no such field."""
        resolved = self.resolve(schema)
        properties = resolved.get("properties", {})
        if name in properties:
            found: Object = properties[name]
            return found
        inner = resolved.get("additionalProperties")
        if isinstance(inner, dict):
            return inner
        free = inner is True or not properties or resolved.get("x-kubernetes-preserve-unknown-fields")
        return {} if free else None

    def items(self, schema: Object) -> Object:
        items: Object = self.resolve(schema).get("items", {})
        return items

    def granular(self, schema: Object) -> bool:
        return bool(self.resolve(schema).get("x-kubernetes-map-type") != "atomic")

    def list_type(self, schema: Object) -> str:
        return str(self.resolve(schema).get("x-kubernetes-list-type", "atomic"))

    def key_step(self, schema: Object, item: Object) -> str:
        """Raises ValueError where the item lacks a key."""
        resolved = self.resolve(schema)
        keys = {}
        for key in resolved["x-kubernetes-list-map-keys"]:
            value = item.get(key, self._key_default(resolved, key))
            if value is None:
                raise ValueError(f"associative list with keys has an element that omits key field {json.dumps(key)}")
            keys[key] = value
        return "k:" + json.dumps(keys, separators=(",", ":"), sort_keys=True)

    def _key_default(self, schema: Object, key: str) -> Any:
        if key == "protocol":
            return "TCP"  # The server's own schema has this default; the published one lost it.
        return self.resolve(schema.get("items", {})).get("properties", {}).get(key, {}).get("default")


def value_step(value: Any) -> str:
    return "v:" + json.dumps(value, separators=(",", ":"))


def leaves(shapes: Shapes, value: Any, schema: Object) -> dict[Path, Any]:
    """Every path that can be owned, with what is there."""
    return dict(_leaves(shapes, value, schema, ()))


def _leaves(shapes: Shapes, value: Any, schema: Object, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value and shapes.granular(schema):
        for name, inner in value.items():
            yield from _leaves(shapes, inner, shapes.field(schema, name) or {}, (*path, f"f:{name}"))
    elif isinstance(value, list) and value and shapes.list_type(schema) == "map":
        items = shapes.items(schema)
        for item in value:
            at = (*path, shapes.key_step(schema, item))
            yield at, ITEM
            yield from _leaves(shapes, item, items, at)
    elif isinstance(value, list) and value and shapes.list_type(schema) == "set":
        for item in value:
            yield (*path, value_step(item)), item
    elif path:
        yield path, value


def to_fields(paths: FieldSet) -> Object:
    """FieldsV1."""
    root: Object = {}
    for path in sorted(paths):
        node = root
        for step in path:
            node = node.setdefault(step, {})
        node["."] = {}
    return _without_lone_dots(root)


def _without_lone_dots(node: Object) -> Object:
    if set(node) == {"."}:
        return {}
    return {step: _without_lone_dots(inner) if step != "." else inner for step, inner in node.items()}


def from_fields(fields: Object) -> FieldSet:
    return frozenset(_paths(fields, ()))


def _paths(node: Object, path: Path) -> Iterator[Path]:
    if not node and path:
        yield path
    for step, inner in node.items():
        if step == ".":
            yield path
        else:
            # Keys may come in any order; ours are sorted.
            canonical = step
            if step.startswith("k:"):
                canonical = "k:" + json.dumps(json.loads(step[2:]), separators=(",", ":"), sort_keys=True)
            yield from _paths(inner, (*path, canonical))


def text(path: Path) -> str:
    """As messages have it: ``.spec.containers[name="hello"].image``."""
    return "".join(_step_text(step) for step in path)


def _step_text(step: str) -> str:
    kind, rest = step[0], step[2:]
    if kind == "f":
        return f".{rest}"
    if kind == "v":
        return f"[={rest}]"
    keys = json.loads(rest)
    return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in keys.items()) + "]"
