"""What Grafana does with a dashboard's queries: values in the place of variables, then a question to Prometheus."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

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
    least_interval_s: float = SCRAPE_S

    def __str__(self) -> str:
        return f"{self.board} / {self.panel} / {self.name}"

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.board, self.panel, self.name)


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
        interval_s = max(query.least_interval_s, math.ceil((self.end - self.start) / POINTS))
        expr = self._substituted(query.expr, chosen, interval_s)
        if query.instant:
            found = self._get("query", {"query": expr, "time": self.end})["result"]
            return [[float(series["value"][1])] for series in found]
        times = {"start": self.start, "end": self.end, "step": interval_s}
        found = self._get("query_range", {"query": expr, **times})["result"]
        return [[float(value) for _, value in series["values"]] for series in found]

    def _substituted(self, expr: str, chosen: Mapping[str, str], interval_s: float) -> str:
        range_s = round(self.end - self.start)
        values = {
            "__rate_interval": f"{max(interval_s + SCRAPE_S, 4 * SCRAPE_S):g}s",
            "__range": f"{range_s}s",
            "__interval_ms": f"{interval_s * 1000:g}",
            "__interval": f"{interval_s:g}s",
            **chosen,
        }
        return re.sub(r"\$(\w+)", lambda name: values[name[1]], expr)

    def _get(self, path: str, parameters: Mapping[str, Any]) -> Any:
        answer = self._http.get(f"/api/v1/{path}", params=dict(parameters)).json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]


def queries_of(board: Mapping[str, Any]) -> Iterator[Query]:
    title = board["title"]
    for annotation in board["annotations"]["list"]:
        interval_s = seconds(annotation["step"])
        yield Query(title, "annotations", annotation["name"], annotation["expr"], least_interval_s=interval_s)
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            name = target.get("legendFormat") or target["refId"]
            interval_s = seconds(target.get("interval", f"{SCRAPE_S:g}s"))
            yield Query(title, panel["title"], name, target["expr"], target.get("instant", False), interval_s)


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def variables_of(board: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [variable for variable in board["templating"]["list"] if variable["type"] == "query"]
