"""Whether every part of the suite is up: asked when somebody looks, once for everybody who does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from springtide.console.fresh_answer import FreshAnswer
from springtide.console.gateway_api import GatewayApi, why
from springtide.console.settings import ConsoleSettings
from springtide.console.trigger_api import TriggerApi
from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import SpringtideError, Unsupported
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Clock
from springtide.wire.prometheus import PrometheusClient

FRESH_FOR_S = 3.0
MAX_SET_ASIDE = 50
LATE_S = 5.0
"""A tick takes a moment to be sent."""
_VERSION = re.compile(r'_build_info\{[^}]*\bversion="([^"]*)"')
_OVERDUE = re.compile(rf"^{catalogue.TICKS_OVERDUE.name} (\S+)$", re.MULTILINE)
_SWEEP = re.compile(rf"^{catalogue.LAST_SWEEP.name} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Part:
    """``up`` is None for a part that this installation does not have. ``detail`` is one sentence."""

    name: str
    does: str
    up: bool | None
    detail: str
    version: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    name: str
    severity: str
    state: str
    summary: str
    since: str


@dataclass(frozen=True, slots=True)
class Health:
    at: float
    parts: tuple[Part, ...]
    alerts: tuple[Alert, ...] | None
    """None when they cannot be known."""
    set_aside: tuple[str, ...] = ()
    """Files that were found damaged, or in the way."""


class Probes:
    def __init__(
        self,
        settings: ConsoleSettings,
        api: GatewayApi,
        triggers: TriggerApi,
        prometheus: PrometheusClient | None,
        *,
        http: httpx.AsyncClient,
        clock: Clock,
        monitoring_credentials: Credentials | None = None,
        set_aside: Callable[[], Sequence[Path]] = tuple,
    ) -> None:
        self._set_aside = set_aside
        self._monitoring = {} if monitoring_credentials is None else {"Authorization": monitoring_credentials.header}
        self._settings = settings
        self._api = api
        self._triggers = triggers
        self._prometheus = prometheus
        self._http = http
        self._clock = clock
        self._answer = FreshAnswer(self._ask, FRESH_FOR_S, clock)

    async def health(self) -> Health:
        """At most a few seconds old."""
        return await self._answer.get()

    async def _ask(self) -> Health:
        probes: tuple[Callable[[], Awaitable[Part]], ...] = (
            self._gateway,
            self._provider,
            self._alert_receiver,
            self._scaler,
            self._queue_worker,
            self._cron,
            self._idler,
            self._prometheus_part,
            self._alertmanager,
        )
        parts, connectors, alerts, kept = await asyncio.gather(
            asyncio.gather(*(probe() for probe in probes)),
            self._connectors(),
            self._alerts(),
            asyncio.to_thread(self._set_aside),
        )
        told = tuple(str(path) for path in kept[:MAX_SET_ASIDE])
        return Health(self._clock.wall(), (*parts, *connectors), _as_alerts(alerts), told)

    async def _gateway(self) -> Part:
        part = _Draft("Gateway", "answers calls, holds them while a function wakes", self._settings.gateway_url)
        try:
            # Its start page, for /system and /healthz speak of the provider: a gateway without one still answers calls.
            async with asyncio.timeout(self._settings.deadline_s):
                answer = await self._get(f"{part.address}/")
            if answer.is_server_error:
                return part.down(f"answers {answer.status_code}; see the log gateway.log, and restart it")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return part.down(f"does not answer ({why(error)}); see the log gateway.log, and restart it")
        try:
            return part.up("answers", (await self._api.releases())[0])
        except SpringtideError:
            return part.up("answers", "")

    async def _provider(self) -> Part:
        part = _Draft("Provider", "runs the functions", self._settings.provider_url)
        found = await self._ours(part, "calls go on, but nothing can be deployed, scaled or woken")
        if not found.up or found.version:
            return found
        try:
            return replace(found, version=(await self._api.releases())[1])
        except SpringtideError:
            return found

    async def _alert_receiver(self) -> Part:
        part = _Draft("Alert receiver", "turns alerts into replicas", self._settings.alert_receiver_url)
        return await self._ours(part, "functions do not scale with their load")

    async def _scaler(self) -> Part:
        part = _Draft("Scaler", "follows the load of functions that name one", self._settings.scaler_url)
        return await self._ours(part, "these functions keep their replicas, whatever their load does")

    async def _queue_worker(self) -> Part:
        part = _Draft("Queue worker", "makes asynchronous calls", self._settings.queue_worker_url)
        return await self._ours(part, "asynchronous calls are kept, and none is made")

    async def _cron(self) -> Part:
        part = _Draft("Cron", "calls functions by their schedules, and wakes them ahead", self._settings.cron_url)
        return await self._ours(part, "schedules wait; what is due meanwhile is sent when it is back")

    async def _connectors(self) -> list[Part]:
        """Those that the gateway knows."""
        part = _Draft("Connector", "calls functions for events of other systems", "")
        try:
            told = (await self._triggers.events())["connectors"]
            drafts = [(replace(part, address=str(one["url"])), one["problem"]) for one in told]
        except Unsupported as error:
            return [part.absent(str(error))]
        except (SpringtideError, KeyError, TypeError) as error:
            return [part.down(f"cannot be asked by the gateway ({why(error)}): what became of events is not known")]
        if not drafts:
            return [part.absent("none runs: springtide connector FILE is one")]
        return [
            draft.up("answers", "") if problem is None else draft.down(f"does not answer ({problem}): events wait")
            for draft, problem in drafts
        ]

    async def _idler(self) -> Part:
        part = _Draft("Idler", "takes functions that nobody calls to zero", self._settings.idler_url)
        return await self._ours(part, "functions that nobody calls stay up")

    async def _ours(self, part: _Draft, consequence: str) -> Part:
        if not part.address:
            return part.absent("its address is not set, or this suite runs without it")
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                (await self._get(f"{part.address}/healthz")).raise_for_status()
                text = (await self._get(f"{part.address}/metrics")).text
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return part.down(f"does not answer ({why(error)}): {consequence}")
        version = _VERSION.search(text)
        swept = _SWEEP.search(text)
        detail = "answers"
        overdue = _OVERDUE.search(text)
        if overdue is not None and float(overdue[1]) >= LATE_S:
            detail = f"answers; the oldest tick that is not sent is {float(overdue[1]):.0f} s late"
        if swept is not None:
            ago = self._clock.wall() - float(swept[1])
            detail = "has not swept yet" if float(swept[1]) <= 0 else f"swept {ago:.0f} s ago"
        return part.up(detail, version[1] if version else "")

    async def _prometheus_part(self) -> Part:
        part = _Draft("Prometheus", "keeps the history, fires alerts", self._settings.prometheus_url)
        if self._prometheus is None:
            return part.absent("not configured: charts show the last minutes only, and no alert scales a function")
        try:
            info = await self._prometheus.data("status/buildinfo")
            targets = (await self._prometheus.data("targets", {"state": "active"}))["activeTargets"]
            healthy = sum(target["health"] == "up" for target in targets)
            detail = f"{healthy} of {len(targets)} scrape targets are up"
            return part.up(detail, str(info["version"]))
        except SpringtideError as error:
            return part.down(f"{error}; nothing scales until it is back")
        except (KeyError, TypeError) as error:
            return part.down(f"answers something unexpected ({error!r})")

    async def _alertmanager(self) -> Part:
        part = _Draft("Alertmanager", "delivers alerts", self._settings.alertmanager_url)
        if not part.address:
            return part.absent("not configured: no alert scales a function")
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                response = await self._get(f"{part.address}/api/v2/status", self._monitoring)
            response.raise_for_status()
            return part.up("answers", str(bounded_json.loads(response.content)["versionInfo"]["version"]))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, KeyError, TypeError, ValueError) as error:
            return part.down(f"does not answer ({why(error)}): no alert is delivered")

    async def _alerts(self) -> object:
        if self._prometheus is None:
            return None
        try:
            return (await self._prometheus.data("alerts"))["alerts"]
        except (SpringtideError, KeyError, TypeError):
            return None

    async def _get(self, url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self._http.get(url, headers=headers, timeout=self._settings.deadline_s)


@dataclass(frozen=True, slots=True)
class _Draft:
    name: str
    does: str
    address: str

    def up(self, detail: str, version: str) -> Part:
        return Part(self.name, self.does, up=True, detail=detail, version=version, address=self.address)

    def down(self, detail: str) -> Part:
        return Part(self.name, self.does, up=False, detail=detail, address=self.address)

    def absent(self, detail: str) -> Part:
        return Part(self.name, self.does, up=None, detail=detail)


def _as_alerts(rows: object) -> tuple[Alert, ...] | None:
    if not isinstance(rows, list):
        return None
    found = []
    for row in rows:
        labels, notes = row.get("labels") or {}, row.get("annotations") or {}
        function = labels.get("function_name")
        summary = str(notes.get("summary") or notes.get("description") or function or "")
        found.append(
            Alert(
                str(labels.get("alertname", "")),
                str(labels.get("severity", "")),
                str(row.get("state", "")),
                summary,
                str(row.get("activeAt", "")),
            )
        )
    return tuple(sorted(found, key=lambda alert: (alert.state, alert.name)))
