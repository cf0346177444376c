"""Histories of hours and days, read from Prometheus when there is one."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from springtide.runtime.errors import BadInput, Unsupported
from springtide.scaler.core import catalogue
from springtide.wire.prometheus import PrometheusClient, quoted

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
    """``prometheus`` None: there is none, and every question is Unsupported."""

    def __init__(self, prometheus: PrometheusClient | None) -> None:
        self._prometheus = prometheus

    @property
    def configured(self) -> bool:
        return self._prometheus is not None

    async def read(self, function: str, span: str, now: float) -> Series:
        """Raises Unsupported without a Prometheus, BadInput for a span it does not know, or Unavailable."""
        if self._prometheus is None:
            raise Unsupported("only the last minutes are known, for no Prometheus is configured; set prometheus_url")
        if span not in RANGES:
            raise BadInput(f"range: {span!r} is none of {', '.join(RANGES)}")
        step = RANGES[span] // POINTS
        until = int(now) // step * step
        first = until - (POINTS - 1) * step
        queries = _queries(function, max(MIN_WINDOW_S, 2 * step))
        ask = functools.partial(self._prometheus.first_of_range, start=first, end=until, step_s=step)
        answers = await asyncio.gather(*map(ask, queries.values()))
        columns = {
            name: [_finite(samples.get(first + number * step)) for number in range(POINTS)]
            for name, samples in zip(queries, answers, strict=True)
        }
        return Series(until, step, columns)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _queries(function: str, window_s: int) -> dict[str, str]:
    """By column. A name is letters, digits, '-' and '.', checked where functions are deployed; quoted all the same."""
    one = f"function_name={quoted(function)}"
    calls, seconds = catalogue.INVOCATIONS.name, catalogue.SECONDS.name
    return {
        "desired": f"max({catalogue.DESIRED.name}{{{one}}})",
        "ready": f"max({catalogue.READY.name}{{{one}}})",
        "rate": f"sum(rate({calls}{{{one}}}[{window_s}s]))",
        "errors": f'sum(rate({calls}{{{one},code=~"5.."}}[{window_s}s])) or 0 * max({catalogue.DESIRED.name}{{{one}}})',
        "p95_s": f"histogram_quantile(0.95, sum by (le) (rate({seconds}_bucket{{{one}}}[{window_s}s])))",
        "in_flight": f"sum({catalogue.IN_FLIGHT.name}{{{one}}})",
    }
