"""Prometheus's HTTP API, as far as the suite asks it: instant vectors, ranges, and what else it knows of itself.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from springtide.runtime import bounded_json
from springtide.runtime.errors import Unavailable, reason_of

NONSENSE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
"""What reading an answer of another shape raises."""


@dataclass(frozen=True, slots=True)
class VectorSample:
    """One series at one instant; ``at`` is when the query was evaluated, not when the sample was taken."""

    labels: Mapping[str, str]
    value: float
    at: float


class PrometheusClient:
    """Asks once and does not retry. Whatever is wrong is Unavailable, with one sentence."""

    def __init__(self, http: httpx.AsyncClient, url: str, *, deadline_s: float) -> None:
        self._http = http
        self.url = url.rstrip("/")
        self._deadline_s = deadline_s

    def __repr__(self) -> str:
        return f"<PrometheusClient {self.url}>"

    async def vector(self, query: str, *, at: float | None = None) -> list[VectorSample]:
        """An instant query, evaluated ``at`` that time or at Prometheus's own."""
        time = {} if at is None else {"time": f"{at:.3f}"}
        data = await self.data("query", {"query": query, **time})
        try:
            return [_vector_sample(series) for series in data["result"]]
        except NONSENSE as error:
            raise _senseless(error) from error

    async def first_of_range(self, query: str, *, start: int, end: int, step_s: int) -> dict[float, float]:
        """Values by time of the first series in the answer to a range query; empty when there is none."""
        data = await self.data("query_range", {"query": query, "start": start, "end": end, "step": step_s})
        try:
            return {float(at): float(value) for series in data["result"][:1] for at, value in series["values"]}
        except NONSENSE as error:
            raise _senseless(error) from error

    async def data(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """What the API answers under ``data`` to one question, such as ``status/buildinfo``."""
        try:
            async with asyncio.timeout(self._deadline_s):
                response = await self._http.get(
                    f"{self.url}/api/v1/{path}", params=dict(params or {}), timeout=self._deadline_s
                )
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unavailable(f"Prometheus at {self.url} did not answer within {self._deadline_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = reason_of(error)
            raise Unavailable(f"Prometheus at {self.url} cannot be asked: {why}") from error
        if response.status_code != 200:
            raise Unavailable(f"Prometheus answered {response.status_code}: {response.text[:200]}")
        try:
            return bounded_json.loads(response.content)["data"]
        except NONSENSE as error:
            raise _senseless(error) from error


def quoted(text: str) -> str:
    """A PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _vector_sample(series: Any) -> VectorSample:
    at, value = series["value"]
    return VectorSample(dict(series["metric"]), float(value), float(at))


def _senseless(error: Exception) -> Unavailable:
    return Unavailable(f"Prometheus's answer makes no sense: {error!r:.200}")
