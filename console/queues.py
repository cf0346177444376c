"""What is in the queues now, by function: asked when somebody looks, once for everybody who does.

How many wait is the gateway's to say; how many run, end and are repeated is read from Prometheus, which hears every
copy of the worker. What is not known is None.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from springtide.console.fresh_answer import FreshAnswer
from springtide.console.queue_api import QueueApi
from springtide.console.view import Json
from springtide.runtime.errors import SpringtideError, Unsupported
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.prometheus import PrometheusClient

FRESH_FOR_S = 2.0
MAX_ROWS = 200
"""Functions that are listed, those with most calls in a queue first."""

WINDOW = "1m"
"""Over which rates are taken: some scrapes of every part."""

_BY = "by (queue_name, function_name)"
MEASURES: Mapping[str, str] = {
    "running": f"sum {_BY} ({catalogue.JOBS_RUNNING.name}) > 0",
    "rate": f"sum {_BY} (rate({catalogue.JOBS_ENDED.name}[{WINDOW}])) > 0",
    "repeated": f"sum {_BY} (rate({catalogue.JOBS_RETRIED.name}[{WINDOW}])) > 0",
}
"""By name of a row's column."""

Key = tuple[str, str]
"""A queue and a function, ``name.namespace``."""


class Queues:
    def __init__(self, api: QueueApi, prometheus: PrometheusClient | None, clock: Clock) -> None:
        self._api = api
        self._prometheus = prometheus
        self._answer = FreshAnswer(self._ask, FRESH_FOR_S, clock)

    def __repr__(self) -> str:
        return "<Queues>"

    async def seen(self) -> Json:
        """``off``: why there are none; ``problem``: why they are not known now."""
        return await self._answer.get()

    async def of_function(self, key: str) -> Json:
        """What one function's page shows: its rows."""
        seen = await self.seen()
        return {**seen, "rows": [row for row in seen["rows"] if row["key"] == key]}

    async def _ask(self) -> Json:
        try:
            depths = await self._api.depths()
        except Unsupported as error:
            return _nothing(off=str(error))
        except SpringtideError as error:
            return _nothing(problem=str(error))
        measured = await self._measured()
        try:
            return _told(depths, measured)
        except (KeyError, TypeError, ValueError) as error:
            return _nothing(problem=f"the gateway's answer makes no sense: {error!r}")

    async def _measured(self) -> Mapping[str, Mapping[Key, float]] | None:
        """None: there is no Prometheus, or it does not answer."""
        prometheus = self._prometheus
        if prometheus is None:
            return None
        try:
            answers = await asyncio.gather(*(prometheus.vector(query) for query in MEASURES.values()))
        except SpringtideError:
            return None
        return {
            name: {(one.labels.get("queue_name", ""), one.labels.get("function_name", "")): one.value for one in answer}
            for name, answer in zip(MEASURES, answers, strict=True)
        }


def _nothing(*, off: str | None = None, problem: str | None = None) -> Json:
    totals = dict.fromkeys(("pending", "running", "rate", "repeated", "dead", "delayed", "callbacks", "oldestAge"))
    return {"off": off, "problem": problem, "measured": False, "queues": [], "rows": [], "more": 0, "totals": totals}


def _told(depths: Mapping[str, Any], measured: Mapping[str, Mapping[Key, float]] | None) -> Json:
    """Raises KeyError, TypeError or ValueError for an answer of another shape."""
    queues = [
        {"name": one["name"], "pending": one["pending"], "dead": one["dead"], "oldestAge": one["oldest_age_s"]}
        for one in depths["queues"]
    ]
    pending: dict[Key, int] = {
        (queue["name"], str(FunctionRef(one["namespace"], one["function"]))): int(one["pending"])
        for queue in depths["queues"]
        for one in queue["functions"]
    }
    active = {key for values in (measured or {}).values() for key in values}
    keys = sorted(pending.keys() | active, key=lambda key: (-pending.get(key, 0), key))
    rows = [_row(key, pending.get(key, 0), measured) for key in keys]
    ages = [queue["oldestAge"] for queue in queues if queue["oldestAge"] is not None]
    return {
        "off": None,
        "problem": None,
        "measured": measured is not None,
        "queues": queues,
        "rows": rows[:MAX_ROWS],
        "more": max(0, len(rows) - MAX_ROWS),
        "totals": {
            "pending": sum(pending.values()),
            **{name: None if measured is None else sum(measured[name].values()) for name in MEASURES},
            "dead": sum(queue["dead"] for queue in queues),
            "delayed": int(depths["delayed"]),
            "callbacks": int(depths["callbacks"]),
            "oldestAge": max(ages, default=None),
        },
    }


def _row(key: Key, pending: int, measured: Mapping[str, Mapping[Key, float]] | None) -> Json:
    queue, function = key
    values = {name: None if measured is None else measured[name].get(key, 0.0) for name in MEASURES}
    return {"queue": queue, "key": function, "pending": pending, **values}
