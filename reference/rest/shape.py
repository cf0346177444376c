"""A JSON schema in a few words, for the cell of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reference.markdown import code, codes
from reference.rest.operation import Schema

REFERENCE = "#/components/schemas/"
VALUES_PAGE = "api-values.md"


def shape(schema: Schema) -> str:
    """Nothing where anything goes. One with a name is a link to where it is told."""
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(REFERENCE)
        return f"[{name}]({VALUES_PAGE}#{name.lower()})"
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(map(shape, alternatives))
    if words := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return codes(map(str, words))
    kind = str(schema.get("type", ""))
    return _BY_KIND[kind](schema) if kind in _BY_KIND else kind


def _list(schema: Schema) -> str:
    return f"list of {shape(schema['items']) or 'anything'}"


def _object(schema: Schema) -> str:
    if properties := schema.get("properties"):
        return ", ".join(f"{code(name)} ({shape(inner)})" for name, inner in properties.items())
    inner = schema.get("additionalProperties")
    return f"by name: {shape(inner)}" if isinstance(inner, Mapping) else "object"


def _string(schema: Schema) -> str:
    return "instant" if schema.get("format") == "date-time" else "text"


def _integer(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if most is not None:
        return f"whole number, {least} to {most}"
    return f"whole number from {least}" if least else "whole number"


def _boolean(_schema: Schema) -> str:
    return "`true` or `false`"


_BY_KIND: Mapping[str, Callable[[Schema], str]] = {
    "array": _list,
    "object": _object,
    "string": _string,
    "integer": _integer,
    "boolean": _boolean,
}
