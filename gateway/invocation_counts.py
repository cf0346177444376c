"""How often each function was called, as the list of functions shows it: from Prometheus, or from our own counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import structlog

from springtide.gateway.route_table import RouteTable
from springtide.runtime.errors import Unavailable
from springtide.runtime.outage import Outage
from springtide.scaler.core import catalogue
from springtide.wire.prometheus import PrometheusClient

COUNTS_DEADLINE_S = 2.0
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

    def __init__(self, prometheus: PrometheusClient) -> None:
        self._prometheus = prometheus
        self._outage = Outage("no invocation counts from Prometheus")

    async def counts(self) -> Mapping[str, float]:
        try:
            samples = await self._prometheus.vector(QUERY)
        except Unavailable as error:
            self._outage.failed(str(error))
            return {}
        self._outage.over()
        return {sample.labels["function_name"]: sample.value for sample in samples if "function_name" in sample.labels}
