"""Prometheus's HTTP API, as far as the suite asks it: instant vectors, ranges, and what else it knows of itself.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import Unavailable
from springtide.wire.json_api import NONSENSE, JsonApi


@dataclass(frozen=True, slots=True)
class VectorSample:
    """One series at one instant; ``at`` is when the query was evaluated, not when the sample was taken."""

    labels: Mapping[str, str]
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class RawSeries:
    """The samples of one series as they were scraped, in order; ``at`` in seconds since the epoch."""

    labels: Mapping[str, str]
    at: array[float]
    values: array[float]


class PrometheusClient:
    """Asks once and does not retry. Whatever is wrong is Unavailable, with one sentence."""

    def __init__(
        self, http: httpx.AsyncClient, url: str, *, deadline_s: float, credentials: Credentials | None = None
    ) -> None:
        self._api = JsonApi("Prometheus", http, url, deadline_s=deadline_s, credentials=credentials)

    def __repr__(self) -> str:
        return f"<PrometheusClient {self.url}>"

    @property
    def url(self) -> str:
        return self._api.url

    async def vector(self, query: str, *, at: float | None = None) -> list[VectorSample]:
        """An instant query, evaluated ``at`` that time or at Prometheus's own. A scalar has no labels."""
        time = {} if at is None else {"time": f"{at:.3f}"}
        data = await self.data("query", {"query": query, **time})
        try:
            kind, result = data.get("resultType", "vector"), data["result"]
            if kind == "scalar":
                return [_vector_sample({"metric": {}, "value": result})]
            if kind != "vector":
                raise Unavailable(f"Prometheus answered with a {kind}, not with values of one instant: {query:.200}")
            return [_vector_sample(series) for series in result]
        except NONSENSE as error:
            raise self._api.senseless(error) from error

    async def first_of_range(self, query: str, *, start: int, end: int, step_s: int) -> dict[float, float]:
        """Values by time of the first series in the answer to a range query; empty when there is none."""
        data = await self.data("query_range", {"query": query, "start": start, "end": end, "step": step_s})
        try:
            return {float(at): float(value) for series in data["result"][:1] for at, value in series["values"]}
        except NONSENSE as error:
            raise self._api.senseless(error) from error

    async def raw(self, selector: str, *, until: float, length_s: int) -> list[RawSeries]:
        """Every sample of the last ``length_s`` seconds before ``until``, by an instant query on a range selector."""
        data = await self.data("query", {"query": f"{selector}[{length_s}s]", "time": f"{until:.3f}"})
        try:
            return [_raw_series(series) for series in data["result"]]
        except NONSENSE as error:
            raise self._api.senseless(error) from error

    async def data(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """What the API answers under ``data`` to one question, such as ``status/buildinfo``."""
        answer = await self._api.get(f"/api/v1/{path}", params)
        try:
            return answer["data"]
        except NONSENSE as error:
            raise self._api.senseless(error) from error


def quoted(text: str) -> str:
    """A PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _vector_sample(series: Any) -> VectorSample:
    at, value = series["value"]
    return VectorSample(dict(series["metric"]), float(value), float(at))


def _raw_series(series: Any) -> RawSeries:
    values = series["values"]
    at, numbers = (array("d", (float(pair[place]) for pair in values)) for place in (0, 1))
    return RawSeries(dict(series["metric"]), at, numbers)
