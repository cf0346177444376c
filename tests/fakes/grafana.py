"""What Grafana does with a dashboard's queries: values in the place of variables, then a question to Prometheus."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx

SCRAPE_S = 1.0
"""Of ``up --fast``: what a user of it sets at the data source."""
POINTS = 500
"""As many as a panel of half a screen asks for."""


@dataclass(frozen=True)
class Query:
    """One query of a dashboard, as Grafana would send it."""

    board: str
    panel: str
    name: str
    expr: str
    instant: bool = False
    exemplar: bool = False
    least_interval_s: float = SCRAPE_S

    def __str__(self) -> str:
        return f"{self.board} / {self.panel} / {self.name}"

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.board, self.panel, self.name)


class Mark(NamedTuple):
    """One annotation on the time axis."""

    name: str
    text: str


class Grafana:
    """Does with a query what Grafana does: puts values in the place of variables, and asks Prometheus."""

    def __init__(self, prometheus: str, start: float, end: float) -> None:
        self.start, self.end = start, end
        self._http = httpx.Client(base_url=prometheus, timeout=30)

    def values_of(self, variable: Mapping[str, Any], chosen: Mapping[str, str]) -> list[str]:
        """A ``label_values(selector, label)`` variable; its regular expression keeps a part of each value."""
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert found, variable["query"]
        selector, label = self._substituted(found[1], chosen, SCRAPE_S), found[2]
        values = self._get(f"label/{label}/values", {"match[]": selector})
        kept = re.compile(str(variable.get("regex") or "/(.*)/").strip("/"))
        return sorted({match[1] for value in values if (match := kept.search(value))})

    def ask(self, query: Query, chosen: Mapping[str, str]) -> list[list[float]]:
        """The values of each series."""
        return [values for _, values in self._series(query, chosen)]

    def marks(self, annotation: Mapping[str, Any], chosen: Mapping[str, str]) -> list[Mark]:
        """One for each series with a value above 0; the name of a label that it does not have stands for itself."""
        name, expr = annotation["name"], annotation["expr"]
        query = Query("", "annotations", name, expr, least_interval_s=_step_s(annotation))
        return [
            Mark(name, re.sub(r"{{(.+?)}}", _label(labels), annotation["textFormat"]))
            for labels, values in self._series(query, chosen)
            if any(value > 0 for value in values)
        ]

    def exemplars(self, query: Query, chosen: Mapping[str, str]) -> list[Mapping[str, str]]:
        """The labels of each exemplar that Grafana draws over what ``ask`` gives."""
        expr = self._substituted(query.expr, chosen, query.least_interval_s)
        found = self._get("query_exemplars", {"query": expr, "start": self.start, "end": self.end})
        return [exemplar["labels"] for series in found for exemplar in series["exemplars"]]

    def _series(self, query: Query, chosen: Mapping[str, str]) -> list[tuple[Mapping[str, str], list[float]]]:
        """Labels and values."""
        interval_s = max(query.least_interval_s, math.ceil((self.end - self.start) / POINTS))
        expr = self._substituted(query.expr, chosen, interval_s)
        if query.instant:
            found = self._get("query", {"query": expr, "time": self.end})["result"]
            return [(series["metric"], [float(series["value"][1])]) for series in found]
        times = {"start": self.start, "end": self.end, "step": interval_s}
        found = self._get("query_range", {"query": expr, **times})["result"]
        return [(series["metric"], [float(value) for _, value in series["values"]]) for series in found]

    def _substituted(self, expr: str, chosen: Mapping[str, str], interval_s: float) -> str:
        range_s = round(self.end - self.start)
        values = {
            "__rate_interval": f"{max(interval_s + SCRAPE_S, 4 * SCRAPE_S):g}s",
            "__range": f"{range_s}s",
            "__interval_ms": f"{interval_s * 1000:g}",
            "__interval": f"{interval_s:g}s",
            **chosen,
        }
        return substituted(expr, values)

    def _get(self, path: str, parameters: Mapping[str, Any]) -> Any:
        answer = self._http.get(f"/api/v1/{path}", params=dict(parameters)).json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]


def substituted(expr: str, values: Mapping[str, str]) -> str:
    """With values in the place of ``$name`` and ``${name}``; ``$1`` is a regular expression's."""
    return re.sub(r"\$(?:{(\w+)}|([A-Za-z_]\w*))", lambda name: values[name[1] or name[2]], expr)


def queries_of(board: Mapping[str, Any]) -> Iterator[Query]:
    title = board["title"]
    for annotation in board["annotations"]["list"]:
        name, expr = annotation["name"], annotation["expr"]
        yield Query(title, "annotations", name, expr, least_interval_s=_step_s(annotation))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            name = target.get("legendFormat") or target["refId"]
            yield Query(
                title,
                panel["title"],
                name,
                target["expr"],
                instant=target.get("instant", False),
                exemplar=target.get("exemplar", False),
                least_interval_s=seconds(target.get("interval", f"{SCRAPE_S:g}s")),
            )


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def _step_s(annotation: Mapping[str, Any]) -> float:
    return seconds(annotation["step"])


def _label(labels: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda name: labels.get(name[1]) or name[1]


def variables_of(board: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [variable for variable in board["templating"]["list"] if variable["type"] == "query"]
