"""Which alerts fire, by Alertmanager, and by the Prometheus whose rules they come from.

Both are asked, because each forgets: a restarted Alertmanager knows nothing until Prometheus sends again, and other
senders than this Prometheus may have told Alertmanager of alerts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import Unavailable
from springtide.runtime.tls import client_context
from springtide.scaler.core.alert_review import ActiveAlert, ActiveAlerts
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef, Instant, NoData
from springtide.wire.alertmanager import AlertmanagerClient
from springtide.wire.prometheus import PrometheusClient

FIRING = 'ALERTS{alertstate="firing",function_name!=""}'


class KnownAlerts:
    """Implements AlertSource. A question that fails is not repeated: the next one is the retry."""

    def __init__(
        self,
        alertmanager_url: str,
        *,
        prometheus_url: str = "",
        deadline_s: float = 5.0,
        default_namespace: str = DEFAULT_NAMESPACE,
        credentials: Credentials | None = None,
    ) -> None:
        """Without ``prometheus_url`` Alertmanager alone knows. ``default_namespace`` is that of bare names."""
        # Proxies and .netrc of the environment are not ours to use; entry points alone read the environment.
        self._http = httpx.AsyncClient(trust_env=False, verify=client_context(), headers={"User-Agent": "springtide"})
        self._alertmanager = AlertmanagerClient(
            self._http, alertmanager_url, deadline_s=deadline_s, credentials=credentials
        )
        self._prometheus = (
            PrometheusClient(self._http, prometheus_url, deadline_s=deadline_s, credentials=credentials)
            if prometheus_url
            else None
        )
        self._default_namespace = default_namespace

    def __repr__(self) -> str:
        return f"<KnownAlerts {self._alertmanager!r} {self._prometheus!r}>"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def active(self, now: Instant) -> ActiveAlerts | NoData:
        try:
            told = await asyncio.gather(self._of_alertmanager(), self._of_prometheus())
        except Unavailable as error:
            return NoData(str(error))
        return ActiveAlerts.of([alert for alerts in told for alert in alerts if alert is not None], now)

    async def _of_alertmanager(self) -> list[ActiveAlert | None]:
        alerts = await self._alertmanager.about_functions()
        return [self._alert(alert.labels, alert.fingerprint) for alert in alerts]

    async def _of_prometheus(self) -> list[ActiveAlert | None]:
        if self._prometheus is None:
            return []
        return [self._alert(series.labels) for series in await self._prometheus.vector(FIRING)]

    def _alert(self, labels: Mapping[str, str], fingerprint: str = "") -> ActiveAlert | None:
        ref = FunctionRef.parse(labels.get("function_name", ""), self._default_namespace)
        return ActiveAlert(ref, labels, fingerprint) if ref.name and ref.namespace else None
