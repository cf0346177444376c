"""A worker's numbers as messages: of thousands of functions only those that something happened to meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from prometheus_client import CollectorRegistry

from springtide.gateway.data_plane import DataPlane
from springtide.gateway.route import Route
from springtide.gateway.workers.messages import Kind, Message, Row
from springtide.runtime.loop_lag import LoopLag
from springtide.scaler.core import catalogue

ROWS_AT_ONCE = 100
"""Calls are served between two messages of so many functions."""


class Reporter:
    """Remembers what it has told. ``plane`` is None until there is one."""

    def __init__(self, plane: Callable[[], DataPlane | None], registry: CollectorRegistry, lag: LoopLag) -> None:
        self._plane = plane
        self._registry = registry
        self._lag = lag
        self._told: dict[Route, tuple[Any, ...]] = {}
        self._summary: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Reporter {len(self._told)} functions told>"

    def tell_all(self) -> None:
        """The next report tells everything, whatever was told before."""
        self._told.clear()
        self._summary.clear()

    async def report(self, number: int) -> AsyncIterator[Message]:
        """What is gone and rows, in as many messages as it takes, then what has changed of the worker as a whole."""
        plane = self._plane()
        routes = list(plane.table) if plane is not None else []
        gone = self._forget_all_but(routes)
        if gone:
            yield Message(Kind.ROWS, number, {"gone": gone, "rows": []})
        for at in range(0, len(routes), ROWS_AT_ONCE):
            rows = [_row(route) for route in routes[at : at + ROWS_AT_ONCE] if self._is_news(route)]
            if rows:
                yield Message(Kind.ROWS, number, {"gone": [], "rows": rows})
            await asyncio.sleep(0)
        yield Message(Kind.NUMBERS, number, self._news_of(plane))

    def _news_of(self, plane: DataPlane | None) -> dict[str, Any]:
        before, self._summary = (
            self._summary,
            {
                "connected": plane is not None and plane.table.connected,
                "unknown": plane.unknown.metrics.as_numbers() if plane is not None else None,
                "requests": plane.requests.as_numbers() if plane is not None else [],
                "broker_reconnects": plane.broker_reconnects if plane is not None else 0,
                "decisions": self._decisions(),
                "loop_lag": self._lag.numbers(),
            },
        )
        return {key: value for key, value in self._summary.items() if key not in before or before[key] != value}

    def _forget_all_but(self, routes: list[Route]) -> list[list[str]]:
        """Functions that are deleted, or deleted and deployed again: their counters began anew."""
        left = set(routes)
        gone = [route for route in self._told if route not in left]
        for route in gone:
            del self._told[route]
        return [[route.ref.namespace, route.ref.name] for route in gone]

    def _is_news(self, route: Route) -> bool:
        """All else that is counted is counted between the beginning and the end of a call, which move ``last_active``;
        a delivery that is stored or refused is no call."""
        metrics = route.metrics
        mark = (metrics.last_active, route.desired, len(route.ready), route.policy, sum(metrics.webhooks.values()))
        if not metrics.in_flight and self._told.get(route) == mark:
            return False
        # With calls in flight the next report must look again, whatever the mark.
        self._told[route] = () if metrics.in_flight else mark
        return True

    def _decisions(self) -> list[tuple[str, str, float]]:
        families = self._registry.restricted_registry([catalogue.DECISIONS.name]).collect()
        samples = [
            sample for family in families for sample in family.samples if sample.name == catalogue.DECISIONS.name
        ]
        return [(sample.labels["writer"], sample.labels["reason"], sample.value) for sample in samples]


def _row(route: Route) -> Row:
    return Row(
        namespace=route.ref.namespace,
        name=route.ref.name,
        numbers=route.metrics.as_numbers(),
        completed=route.metrics.answered,
        desired=route.desired,
        ready=len(route.ready),
        least=route.policy.min,
        most=route.policy.max,
        scaling_type=route.policy.type,
        target=route.policy.target,
    )
