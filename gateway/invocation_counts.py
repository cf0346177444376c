"""How often each function was called, as the list of functions shows it: from Prometheus, or from our own counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import httpx
import structlog

from springtide.gateway.route_table import RouteTable
from springtide.runtime import bounded_json
from springtide.scaler.core import catalogue

DEADLINE_S = 2.0
QUERY = f"sum by (function_name) ({catalogue.INVOCATIONS.name})"

log = structlog.get_logger(__name__)


class InvocationCounts(Protocol):
    async def counts(self) -> Mapping[str, float]:
        """By ``name.namespace``; empty when it cannot be known now."""


class OwnCounts:
    """What this gateway has counted since it started."""

    def __init__(self, table: RouteTable) -> None:
        self._table = table

    async def counts(self) -> Mapping[str, float]:
        return {route.label: float(route.metrics.answered) for route in self._table}


class PrometheusCounts:
    """What Prometheus knows of all gateways."""

    def __init__(self, http: httpx.AsyncClient, prometheus_url: str) -> None:
        self._http = http
        self._url = prometheus_url.rstrip("/") + "/api/v1/query"

    async def counts(self) -> Mapping[str, float]:
        try:
            response = await self._http.get(self._url, params={"query": QUERY}, timeout=DEADLINE_S)
            response.raise_for_status()
            rows = bounded_json.loads(response.content)["data"]["result"]
            return {row["metric"]["function_name"]: float(row["value"][1]) for row in rows}
        except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError) as error:
            log.warning("no invocation counts from Prometheus", why=str(error))
            return {}
