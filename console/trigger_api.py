"""The gateway's API of what triggers functions, as the console uses it: schedules, and what became of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from springtide.console.gateway_api import GatewayApi
from springtide.console.view import Json
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.vocabulary import FunctionRef

MAX_LISTED = 50
"""Schedules of one page."""
MAX_NEXT = 3
"""Ticks to come that are told of each."""
MAX_EVENTS = 100
MAX_SCHEDULE = 1000
"""Characters; no schedule that can be read has as many."""
CHOICES = ("search", "state", "order")


class TriggerApi:
    """Values are the gateway's, as the cron part and connectors make them."""

    def __init__(self, gateway: GatewayApi) -> None:
        self._gateway = gateway

    def __repr__(self) -> str:
        return f"<TriggerApi of {self._gateway!r}>"

    async def schedules(self, asked: Mapping[str, str]) -> Json:
        """``asked`` may have a search, a state, an order and an offset; the other side says what is wrong of them."""
        chosen = {key: asked[key] for key in (*CHOICES, "offset") if asked.get(key)}
        chosen.setdefault("order", "next")
        params = {**chosen, "next": str(MAX_NEXT), "limit": str(MAX_LISTED)}
        return _object(await self._gateway.json("GET", "/system/schedules", params=params), "schedules")

    async def schedules_of(self, ref: FunctionRef) -> Json:
        params = {"function": ref.name, "namespace": ref.namespace, "next": str(MAX_NEXT)}
        return _object(await self._gateway.json("GET", "/system/schedules", params=params), "schedules")

    async def act(self, ref: FunctionRef, act: str, schedule: str) -> Json:
        """Pause, resume or run; ``schedule`` says as which one it is run."""
        params = {"namespace": ref.namespace} | ({"schedule": schedule[:MAX_SCHEDULE]} if schedule else {})
        path = f"/system/schedules/{quote(ref.name, safe='')}/{quote(act, safe='')}"
        answer = await self._gateway.json("POST", path, params=params)
        return answer if isinstance(answer, dict) else {}

    async def events(self, ref: FunctionRef | None = None) -> Json:
        """The newest first; of one function, or of all."""
        params = {"limit": str(MAX_EVENTS)} | ({"function": str(ref)} if ref is not None else {})
        return _object(await self._gateway.json("GET", "/system/events", params=params), "events")


def _object(value: Any, needed: str) -> Json:
    """Raises Unavailable for what has not the list that is needed."""
    if not isinstance(value, dict) or not isinstance(value.get(needed), list):
        raise Unavailable(f"the gateway's answer has no {needed}: {str(value)[:200]}")
    return value
