"""A small HTTP server that answers the idler's queries as Prometheus does, or in any way it should not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from tests.fakes.http import HttpServer

IN_FLIGHT = "gateway_function_invocation_inflight"
LAST_ACTIVE = "gateway_function_last_active_timestamp_seconds"


@dataclass(slots=True)
class Series:
    """One gateway's last scraped sample of one function."""

    function_name: str
    in_flight: float | str = 0
    last_active: float | str = 0
    at: float | str = 0


@dataclass(slots=True)
class Stored:
    """What it has scraped. ``up`` by instance; ``clock`` is its own."""

    clock: Callable[[], float]
    up: dict[str, float] = field(default_factory=lambda: {"gateway:8082": 1})
    series: list[Series] = field(default_factory=list)

    def result(self, query: str, at: float) -> list[dict[str, object]]:
        """The vector for each query there is; a query not known here fails the test that sends it."""
        by = {
            f"sum by (function_name) ({IN_FLIGHT})": ("in_flight", _sum),
            f"max by (function_name) ({LAST_ACTIVE})": ("last_active", _max),
            f"min by (function_name) (timestamp({IN_FLIGHT}))": ("at", _min),
            f"min by (function_name) (timestamp({LAST_ACTIVE}))": ("at", _min),
        }
        if query == 'min by (instance) (up{job="gateway"})':
            return [_sample({"instance": name}, at, value) for name, value in self.up.items()]
        attribute, aggregate = by[query]
        names = dict.fromkeys(series.function_name for series in self.series)
        return [
            _sample(
                {"function_name": name},
                at,
                aggregate([getattr(one, attribute) for one in self.series if one.function_name == name]),
            )
            for name in names
        ]


class FakePrometheus:
    """``broken`` None: answers from ``stored``. Otherwise a status and a body for every query, or a hang."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.broken: tuple[int, bytes] | asyncio.Event | None = None
        self.queries: list[tuple[str, float | None]] = []
        self.asked = asyncio.Event()
        self._server = HttpServer(self._answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def __aenter__(self) -> FakePrometheus:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()

    async def _answer(self, path: str) -> tuple[int, bytes]:
        route, _, query_string = path.partition("?")
        assert route == "/api/v1/query", route
        given = parse_qs(query_string)
        query, time = given["query"][0], given.get("time")
        self.queries.append((query, float(time[0]) if time else None))
        self.asked.set()
        if isinstance(self.broken, asyncio.Event):
            await self.broken.wait()
        elif self.broken is not None:
            return self.broken
        at = float(time[0]) if time else self.stored.clock()
        data = {"resultType": "vector", "result": self.stored.result(query, at)}
        return 200, json.dumps({"status": "success", "data": data}).encode()


def _sample(labels: dict[str, str], at: float, value: float | str) -> dict[str, object]:
    return {"metric": labels, "value": [at, str(value)]}


def _sum(values: list[float | str]) -> float:
    return sum(map(float, values))


def _max(values: list[float | str]) -> float:
    return max(map(float, values))


def _min(values: list[float | str]) -> float:
    return min(map(float, values))
