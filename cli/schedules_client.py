"""A gateway's schedules, as the command line uses them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from springtide.cli.gateway_client import GatewayClient, Json
from springtide.runtime.errors import NotFound
from springtide.scaler.core.vocabulary import FunctionRef

PATH = "/system/schedules"
BESIDE_S = 8.0
"""For an answer that is told beside others."""


class SchedulesClient:
    def __init__(self, gateway: GatewayClient) -> None:
        self._gateway = gateway

    def __repr__(self) -> str:
        return f"<SchedulesClient {self._gateway!r}>"

    def all(self, *, namespace: str | None, function: str | None = None, number: int = 1) -> Json:
        """Raises NotFound for a function that has none."""
        found = self._found(namespace=namespace, function=function, number=number)
        if function and not found["schedules"] and not found["problems"]:
            remedy = "give it the annotations topic=cron-function and schedule"
            raise NotFound(f"function {function} has no schedule, or there is no such function; {remedy}")
        return found

    def of(self, ref: FunctionRef, *, number: int) -> Json:
        """Those of one function, of which it may have none. Raises SpringtideError where that is not known."""
        return self._found(namespace=ref.namespace, function=ref.name, number=number, timeout=BESIDE_S)

    def _found(self, *, namespace: str | None, function: str | None, number: int, **more: Any) -> Json:
        asked = {"namespace": namespace, "function": function, "next": str(number)}
        params = {key: value for key, value in asked.items() if value}
        return dict(self._gateway.json("GET", PATH, params=params, **more))

    def act(self, function: str, act: str, *, namespace: str | None, schedule: str | None = None) -> Json:
        given = {"namespace": namespace, "schedule": schedule}
        params = {key: value for key, value in given.items() if value}
        return dict(self._gateway.json("POST", f"{PATH}/{quote(function, safe='')}/{act}", params=params))
