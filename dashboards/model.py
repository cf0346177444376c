"""A Grafana dashboard as values, and the JSON it becomes (the schema of Grafana 10 and later)."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Json = Mapping[str, object]

SCHEMA_VERSION = 39
COLUMNS = 24
BAR_INTERVAL = "15s"
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


class Style(enum.StrEnum):
    """How a panel draws its series."""

    LINES = "lines"
    STEPS = "steps"
    """For counts that jump."""
    BARS = "bars"
    """For events, counted and stacked."""
    NUMBER = "number"
    """The present value, with a small line of its past."""


_SIZE = {Style.LINES: (12, 8), Style.STEPS: (12, 8), Style.BARS: (12, 8), Style.NUMBER: (6, 4)}


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL with Grafana's variables, and how each of its series is called in the legend."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """From ``value`` on a number is shown in ``colour``; None is the lowest."""

    value: float | None
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """``unit`` is one of Grafana's unit ids; ``decimals`` None leaves them to Grafana."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    style: Style = Style.LINES
    decimals: int | None = None
    thresholds: tuple[Threshold, ...] = (Threshold(None, "text"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice of values of one label, several or all at once. ``regex`` keeps a part of each value."""

    name: str
    label: str
    selector: str
    of: str
    regex: str = ""
    all_value: str

    @property
    def query(self) -> str:
        return f"label_values({self.selector}, {self.of})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]

    def as_json(self) -> str:
        document = {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["springtide", "openfaas"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "5s",
            "time": {"from": "now-30m", "to": "now"},
            "timezone": "browser",
            "annotations": {"list": []},
            "links": [],
            "templating": {"list": [_datasource_variable(), *map(_variable, self.variables)]},
            "panels": [_panel(number, panel, place) for number, (panel, place) in enumerate(placed(self.panels), 1)],
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def placed(panels: Sequence[Panel]) -> Iterator[tuple[Panel, dict[str, int]]]:
    """Each panel with its place: from left to right, in rows as high as their highest panel."""
    x = y = row_height = 0
    for panel in panels:
        width, height = _SIZE[panel.style]
        if x + width > COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        yield panel, {"x": x, "y": y, "w": width, "h": height}
        x, row_height = x + width, max(row_height, height)


def _panel(number: int, panel: Panel, place: dict[str, int]) -> Json:
    return {
        "id": number,
        "type": "stat" if panel.style is Style.NUMBER else "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": [_target(index, query, panel.style) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel.style),
    }


def _target(index: int, query: Query, style: Style) -> Json:
    return {
        "refId": chr(ord("A") + index),
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend,
        "range": True,
        # Each bar counts what happened since the one before it, over $__interval; that must hold some scrapes.
        **({"interval": BAR_INTERVAL} if style is Style.BARS else {}),
    }


def _field(panel: Panel) -> Json:
    steps = [{"value": step.value, "color": step.colour} for step in panel.thresholds]
    decimals = {} if panel.decimals is None else {"decimals": panel.decimals}
    field = {"unit": panel.unit, "min": 0, **decimals, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.style is Style.NUMBER:
        return {**field, "color": {"mode": "thresholds"}}
    bars = panel.style is Style.BARS
    drawing = {
        "drawStyle": "bars" if bars else "line",
        "lineInterpolation": "stepAfter" if panel.style is Style.STEPS else "linear",
        "fillOpacity": 60 if bars else 0,
        "stacking": {"mode": "normal" if bars else "none"},
        "showPoints": "never",
        "spanNulls": False,
    }
    return {**field, "color": {"mode": "palette-classic"}, "custom": drawing}


def _options(style: Style) -> Json:
    if style is Style.NUMBER:
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "area", "colorMode": "value"}
    return {
        "legend": {"displayMode": "table", "placement": "right", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _datasource_variable() -> Json:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _variable(variable: Variable) -> Json:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "definition": variable.query,
        "regex": variable.regex,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": variable.all_value,
        "current": {"text": ["All"], "value": ["$__all"]},
    }
