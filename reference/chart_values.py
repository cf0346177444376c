"""Values of the chart, from ``values.yaml`` with its comments and the schema that Helm checks them by."""

from __future__ import annotations

from deploy.values import CHOICES, LEAST, MOST, PARTS, PATTERNS, SHAPES, Value, chart_values, shown
from reference.markdown import code, codes, page, table, text


def values() -> str:
    parts = ", ".join(code(f"{part}.settings") for part in PARTS)
    return page(
        "Values of the chart",
        "A key that is not known is refused, and so is a value of another shape. What has no value of its own is set "
        f"by the name of its [environment variable](settings.md) below {parts}.",
        table(("value", "shape", "default", "meaning"), map(_cells, chart_values())),
    )


def _cells(value: Value) -> tuple[str, str, str, str]:
    return code(value.path), _shape(value), code(shown(value.default)), text(value.comment)


def _shape(value: Value) -> str:
    if value.path in CHOICES:
        return codes(map(str, CHOICES[value.path]))
    if value.path in PATTERNS:
        return code(PATTERNS[value.path])
    shape = SHAPES[type(value.default)]
    if shape != "integer":
        return shape
    least, most = LEAST.get(value.path, 0), MOST.get(value.path)
    return f"integer, at least {least}" if most is None else f"integer, {least} to {most}"
