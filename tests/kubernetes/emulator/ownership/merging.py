"""Merging an applied configuration into a live object, and taking fields out again."""

from __future__ import annotations

import json
from typing import Any

from tests.kubernetes.emulator.objects import Object, clone
from tests.kubernetes.emulator.ownership.field_sets import FieldSet, Path, Shapes, text, value_step


class NotTyped(ValueError):
    """The configuration does not fit the schema."""


def check(shapes: Shapes, config: Any, schema: Object, path: Path = ()) -> None:
    """Every field is known and no item comes twice; raises NotTyped."""
    if isinstance(config, dict):
        for name, inner in config.items():
            field = shapes.field(schema, name)
            if field is None:
                raise NotTyped(f"{text((*path, f'f:{name}'))}: field not declared in schema")
            check(shapes, inner, field, (*path, f"f:{name}"))
    elif isinstance(config, list):
        kind = shapes.list_type(schema)
        seen: set[str] = set()
        for item in config:
            step = value_step(item)
            if kind == "map":
                try:
                    step = shapes.key_step(schema, item)
                except (ValueError, AttributeError) as error:
                    raise NotTyped(f"{text(path)}: {error}") from error
            if step in seen and kind in ("map", "set"):
                raise NotTyped(f"{text(path)}: duplicate entries for key {text((step,))}")
            seen.add(step)
            check(shapes, item, shapes.items(schema), (*path, step))


def merge(shapes: Shapes, live: Any, config: Any, schema: Object) -> Any:
    """``live`` with the configuration on top."""
    if isinstance(live, dict) and isinstance(config, dict) and shapes.granular(schema):
        merged = dict(live)
        for name, value in config.items():
            field = shapes.field(schema, name) or {}
            merged[name] = merge(shapes, live[name], value, field) if name in live else clone(value)
        return merged
    if isinstance(live, list) and isinstance(config, list):
        kind = shapes.list_type(schema)
        if kind == "map":
            return _merge_by_key(shapes, live, config, schema)
        if kind == "set":
            return [*live, *(item for item in config if item not in live)]
    return clone(config)


def _merge_by_key(shapes: Shapes, live: list[Object], config: list[Object], schema: Object) -> list[Object]:
    items = shapes.items(schema)
    wanted = {shapes.key_step(schema, item): item for item in config}
    merged = []
    for item in live:
        applied = wanted.pop(shapes.key_step(schema, item), None)
        merged.append(item if applied is None else merge(shapes, item, applied, items))
    return merged + [clone(item) for item in wanted.values()]


def remove(value: Any, gone: FieldSet, kept: FieldSet) -> Any:
    """A copy without the paths ``gone``; an item goes whole unless something below it is ``kept``."""
    result = clone(value)
    # Items first, deepest last: what is inside a removed item needs no removal.
    for path in sorted(gone, key=len):
        if any(other[: len(path)] == path for other in kept):
            continue
        _remove_path(result, path)
    return result


def _remove_path(value: Any, path: Path) -> None:
    for step in path[:-1]:
        value = _child(value, step)
        if value is None:
            return
    last = path[-1]
    if isinstance(value, dict) and last.startswith("f:"):
        value.pop(last[2:], None)
    elif isinstance(value, list):
        found = _child(value, last)
        if found is not None:
            value.remove(found)


def _child(value: Any, step: str) -> Any:
    kind, rest = step[0], step[2:]
    if kind == "f":
        return value.get(rest) if isinstance(value, dict) else None
    if not isinstance(value, list):
        return None
    wanted = json.loads(rest)
    if kind == "v":
        return wanted if wanted in value else None
    return next((item for item in value if _has_keys(item, wanted)), None)


def _has_keys(item: Object, keys: Object) -> bool:
    return all(item.get(name, "TCP" if name == "protocol" else None) == value for name, value in keys.items())
