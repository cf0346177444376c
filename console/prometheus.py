"""Histories of hours and days, read from Prometheus when there is one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from springtide.console.gateway_api import why
from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput, Unavailable, Unsupported
from springtide.scaler.core import catalogue

RANGES = {"1h": 3600, "6h": 6 * 3600, "24h": 24 * 3600, "7d": 7 * 24 * 3600}
POINTS = 240
MIN_WINDOW_S = 30
"""Rates over less see too few scrapes."""


@dataclass(frozen=True, slots=True)
class Series:
    """Evenly spaced columns that end at ``until``; None where Prometheus has nothing."""

    until: float
    step_s: float
    columns: Mapping[str, list[float | None]]


class PrometheusHistory:
    """``url`` empty: there is none, and every question is Unsupported."""

    def __init__(self, http: httpx.AsyncClient, url: str, *, deadline_s: float) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._deadline_s = deadline_s

    @property
    def configured(self) -> bool:
        return bool(self._url)

    async def read(self, function: str, span: str, now: float) -> Series:
        """Raises Unsupported without a Prometheus, BadInput for a span it does not know, or Unavailable."""
        if not self._url:
            raise Unsupported("only the last minutes are known, for no Prometheus is configured; set prometheus_url")
        if span not in RANGES:
            raise BadInput(f"range: {span!r} is none of {', '.join(RANGES)}")
        step = RANGES[span] // POINTS
        until = int(now) // step * step
        first = until - (POINTS - 1) * step
        queries = _queries(function, max(MIN_WINDOW_S, 2 * step))
        answers = await asyncio.gather(*(self._range(query, first, until, step=step) for query in queries.values()))
        columns = {
            name: [samples.get(first + number * step) for number in range(POINTS)]
            for name, samples in zip(queries, answers, strict=True)
        }
        return Series(until, step, columns)

    async def _range(self, query: str, first: int, until: int, *, step: int) -> dict[int, float]:
        params: dict[str, str | int] = {"query": query, "start": first, "end": until, "step": step}
        value = await self.ask("/api/v1/query_range", params)
        try:
            rows = value["data"]["result"]
            samples = [(int(at), float(number)) for row in rows[:1] for at, number in row["values"]]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise Unavailable("Prometheus answered something unexpected") from error
        return {at: number for at, number in samples if math.isfinite(number)}

    async def ask(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The JSON of one question. Raises Unavailable."""
        try:
            async with asyncio.timeout(self._deadline_s):
                response = await self._http.get(self._url + path, params=dict(params or {}), timeout=self._deadline_s)
            response.raise_for_status()
            return bounded_json.loads(response.content)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            raise Unavailable(f"Prometheus at {self._url} cannot be asked: {why(error)}") from error


def _queries(function: str, window_s: int) -> dict[str, str]:
    """By column. A name is letters, digits, '-' and '.', checked where functions are deployed; quoted all the same."""
    quoted = function.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    one = f'function_name="{quoted}"'
    calls, seconds = catalogue.INVOCATIONS.name, catalogue.SECONDS.name
    return {
        "desired": f"max({catalogue.DESIRED.name}{{{one}}})",
        "ready": f"max({catalogue.READY.name}{{{one}}})",
        "rate": f"sum(rate({calls}{{{one}}}[{window_s}s]))",
        "errors": f'sum(rate({calls}{{{one},code=~"5.."}}[{window_s}s])) or 0 * max({catalogue.DESIRED.name}{{{one}}})',
        "p95_s": f"histogram_quantile(0.95, sum by (le) (rate({seconds}_bucket{{{one}}}[{window_s}s])))",
        "in_flight": f"sum({catalogue.IN_FLIGHT.name}{{{one}}})",
    }
