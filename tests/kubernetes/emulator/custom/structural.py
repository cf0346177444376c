"""A structural schema at work: prunes unknown fields, fills in defaults, and says what is wrong."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.kubernetes.emulator.objects import Object, clone
from tests.kubernetes.emulator.statuses import Cause, duplicate, required, unsupported, wrong

PRESERVE = "x-kubernetes-preserve-unknown-fields"
_ROOT = ("apiVersion", "kind", "metadata")
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


def prune(value: Any, schema: Object, path: str = "") -> tuple[Any, list[str]]:
    """A copy without unknown fields, and their paths."""
    unknown: list[str] = []
    return _pruned(value, schema, path, unknown, root=not path), unknown


def _pruned(value: Any, schema: Object, path: str, unknown: list[str], *, root: bool) -> Any:
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_pruned(item, items, f"{path}[{index}]", unknown, root=False) for index, item in enumerate(value)]
    if not isinstance(value, dict) or schema.get("x-kubernetes-embedded-resource"):
        return clone(value)
    properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
    result = {}
    for key, item in value.items():
        at = f"{path}.{key}" if path else key
        if root and key in _ROOT:
            result[key] = item
        elif key in properties:
            result[key] = _pruned(item, properties[key], at, unknown, root=False)
        elif isinstance(extra, dict):
            result[key] = _pruned(item, extra, at, unknown, root=False)
        elif extra is True or schema.get(PRESERVE):
            result[key] = clone(item)
        else:
            unknown.append(at)
    return result


def fill(value: Any, schema: Object) -> Any:
    """A copy with defaults; a null where null is not allowed gives way to the default or vanishes."""
    if isinstance(value, list):
        return [fill(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    result = dict(value)
    properties = schema.get("properties", {})
    for key, inner in properties.items():
        if key in result and result[key] is None and not inner.get("nullable"):
            del result[key]
        if key not in result and "default" in inner:
            result[key] = clone(inner["default"])
        if key in result:
            result[key] = fill(result[key], inner)
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        for key in result.keys() - properties.keys():
            result[key] = fill(result[key], extra)
    return result


def causes(value: Any, schema: Object, path: str = "") -> list[Cause]:
    """All that the schema refuses."""
    if schema.get("x-kubernetes-int-or-string"):
        fits = isinstance(value, int | str) and not isinstance(value, bool)
        return [] if fits else [_type(path, value, "integer,string")]
    if value is None and schema.get("nullable"):
        return []
    kind = schema.get("type", "")
    if kind and not _is(value, kind):
        return [_type(path, value, kind)]
    found = _combined(value, schema, path) + _enumerated(value, schema, path)
    if isinstance(value, dict):
        found += _object(value, schema, path)
    elif isinstance(value, list):
        found += _list(value, schema, path)
    elif isinstance(value, str):
        found += _string(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found += _number(value, schema, path)
    return found


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _type(path: str, value: Any, kind: str) -> Cause:
    given = _NAMES.get(type(value), "null")
    text = f'Invalid value: "{given}": {path or "<nil>"} in body must be of type {kind}: "{given}"'
    return Cause(path or "<nil>", text, "FieldValueTypeInvalid")


def _combined(value: Any, schema: Object, path: str) -> list[Cause]:
    found = [cause for one in schema.get("allOf", ()) for cause in causes(value, one, path)]
    for word, least, most in (("anyOf", 1, None), ("oneOf", 1, 1)):
        options = schema.get(word)
        if options:
            fitting = sum(1 for one in options if not causes(value, one, path))
            if fitting < least or (most is not None and fitting > most):
                found.append(wrong(path, value, f'"{path}" must validate {_least(word)} schema ({word})'))
    if "not" in schema and not causes(value, schema["not"], path):
        found.append(wrong(path, value, f'"{path}" must not validate the schema (not)'))
    return found


def _least(word: str) -> str:
    return "at least one" if word == "anyOf" else "one and only one"


def _enumerated(value: Any, schema: Object, path: str) -> list[Cause]:
    if "enum" in schema and value not in schema["enum"]:
        return [unsupported(path, value, [str(one) for one in schema["enum"]])]
    return []


def _object(value: Object, schema: Object, path: str) -> list[Cause]:
    found = [required(_at(path, key)) for key in schema.get("required", ()) if key not in value]
    properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
    for key, item in value.items():
        if key in properties:
            found += causes(item, properties[key], _at(path, key))
        elif isinstance(extra, dict):
            found += causes(item, extra, _at(path, key))
    if len(value) > schema.get("maxProperties", len(value)):
        found.append(Cause(path, f"Too many: {len(value)}: must have at most {schema['maxProperties']} items"))
    if len(value) < schema.get("minProperties", 0):
        found.append(wrong(path, len(value), f"should have at least {schema['minProperties']} properties"))
    return found


def _list(value: list[Any], schema: Object, path: str) -> list[Cause]:
    found = [
        cause for index, item in enumerate(value) for cause in causes(item, schema.get("items", {}), f"{path}[{index}]")
    ]
    if len(value) > schema.get("maxItems", len(value)):
        found.append(Cause(path, f"Too many: {len(value)}: must have at most {schema['maxItems']} items"))
    if len(value) < schema.get("minItems", 0):
        found.append(wrong(path, len(value), f"{path} in body should have at least {schema['minItems']} items"))
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys", ())
    seen: set[str] = set()
    for index, item in enumerate(value if kind in ("set", "map") else ()):
        identity = {key: item.get(key) for key in keys} if kind == "map" and isinstance(item, dict) else item
        text = json.dumps(identity, sort_keys=True)
        if text in seen:
            found.append(duplicate(f"{path}[{index}]", text))
        seen.add(text)
    return found


def _string(value: str, schema: Object, path: str) -> list[Cause]:
    found = []
    if len(value) > schema.get("maxLength", len(value)):
        found.append(Cause(path, f"Too long: may not be more than {schema['maxLength']} bytes", "FieldValueTooLong"))
    if len(value) < schema.get("minLength", 0):
        found.append(wrong(path, value, f"{path} in body should be at least {schema['minLength']} chars long"))
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(wrong(path, value, f"{path} in body should match '{schema['pattern']}'"))
    return found


def _number(value: float, schema: Object, path: str) -> list[Cause]:
    found = []
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and (value < least or (schema.get("exclusiveMinimum") and value == least)):
        found.append(wrong(path, value, f"{path} in body should be greater than or equal to {least}"))
    if most is not None and (value > most or (schema.get("exclusiveMaximum") and value == most)):
        found.append(wrong(path, value, f"{path} in body should be less than or equal to {most}"))
    if "multipleOf" in schema and value % schema["multipleOf"]:
        found.append(wrong(path, value, f"{path} in body should be a multiple of {schema['multipleOf']}"))
    if schema.get("format") == "int32" and not -(1 << 31) <= value < 1 << 31:
        found.append(wrong(path, value, f"{path} in body must be of type int32"))
    return found


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
