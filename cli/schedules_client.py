"""A gateway's schedules, as the command line uses them."""

from __future__ import annotations

from urllib.parse import quote

from springtide.cli.gateway_client import GatewayClient, Json
from springtide.runtime.errors import NotFound

PATH = "/system/schedules"


class SchedulesClient:
    def __init__(self, gateway: GatewayClient) -> None:
        self._gateway = gateway

    def __repr__(self) -> str:
        return f"<SchedulesClient {self._gateway!r}>"

    def all(self, *, namespace: str | None, function: str | None = None, number: int = 1) -> Json:
        """Raises NotFound for a function that has none."""
        asked = {"namespace": namespace, "function": function, "next": str(number)}
        params = {key: value for key, value in asked.items() if value}
        found = dict(self._gateway.json("GET", PATH, params=params))
        if function and not found["schedules"] and not found["problems"]:
            remedy = "give it the annotations topic=cron-function and schedule"
            raise NotFound(f"function {function} has no schedule, or there is no such function; {remedy}")
        return found

    def act(self, function: str, act: str, *, namespace: str | None, schedule: str | None = None) -> Json:
        given = {"namespace": namespace, "schedule": schedule}
        params = {key: value for key, value in given.items() if value}
        return dict(self._gateway.json("POST", f"{PATH}/{quote(function, safe='')}/{act}", params=params))
