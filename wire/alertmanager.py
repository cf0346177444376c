"""Alertmanager, as far as the suite speaks with it: which alerts about functions are active, how much it may deliver.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from springtide.runtime.basic_auth import Credentials
from springtide.wire.json_api import NONSENSE, JsonApi

MAX_DELIVERY_BYTES = 8 * 1024 * 1024
"""Of one webhook delivery, wherever it comes in. Far above what one group holds, for Alertmanager takes a refusal as
final: 10,000 alerts with all their labels and annotations pass."""

ABOUT_FUNCTIONS = 'function_name!=""'


@dataclass(frozen=True, slots=True)
class AlertmanagerAlert:
    """One alert that fires. The fingerprint is the one that a webhook delivery of it names."""

    fingerprint: str
    labels: Mapping[str, str]


class AlertmanagerClient:
    """Asks once and does not retry. Whatever is wrong is Unavailable, with one sentence."""

    def __init__(
        self, http: httpx.AsyncClient, url: str, *, deadline_s: float, credentials: Credentials | None = None
    ) -> None:
        self._api = JsonApi("Alertmanager", http, url, deadline_s=deadline_s, credentials=credentials)

    def __repr__(self) -> str:
        return f"<AlertmanagerClient {self._api.url}>"

    async def about_functions(self) -> list[AlertmanagerAlert]:
        """Alerts that fire and name a function, silenced and inhibited ones among them: their load is there, too."""
        answer = await self._api.get("/api/v2/alerts", {"filter": ABOUT_FUNCTIONS})
        try:
            return [AlertmanagerAlert(str(alert["fingerprint"]), dict(alert["labels"])) for alert in answer]
        except NONSENSE as error:
            raise self._api.senseless(error) from error
