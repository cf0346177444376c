"""The console as a Service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry

from springtide.console.application import Parts, application
from springtide.console.assets import Assets
from springtide.console.decisions import Decisions
from springtide.console.feed import Feed
from springtide.console.functions import FunctionInfo
from springtide.console.gateway_api import GatewayApi
from springtide.console.gateway_poller import GatewayPoller
from springtide.console.guard import Guard
from springtide.console.health import Probes
from springtide.console.invocation import Invoker
from springtide.console.pages import Pages
from springtide.console.prometheus import PrometheusHistory
from springtide.console.queue_api import QueueApi
from springtide.console.queues import Queues
from springtide.console.settings import ConsoleSettings
from springtide.console.sleep_curve import SleepCurve
from springtide.console.streams import Board
from springtide.console.trigger_api import TriggerApi
from springtide.console.triggers import Triggers
from springtide.console.view import Json
from springtide.console.what_if import WhatIf
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.exposition import exposition
from springtide.runtime.service import BackgroundTask, first_end
from springtide.runtime.tls import client_context
from springtide.scaler.core.ports import Clock
from springtide.wire import instruments
from springtide.wire.prometheus import PrometheusClient

GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class ConsoleDeps:
    """``credentials`` are asked for and shown to the gateway; None switches both off.

    ``replay`` and ``advise``: the words of commands that replay what Prometheus recorded, and advise by it; empty where
    there are none.
    """

    credentials: Credentials | None
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    clock: Clock = field(default_factory=SystemClock)
    replay: tuple[str, ...] = ()
    advise: tuple[str, ...] = ()
    set_aside: Callable[[], Sequence[Path]] = tuple
    """What was found damaged, or in the way, and is there for somebody to look at."""


class Console:
    """See ``runtime.service.Service``."""

    name = "console"

    def __init__(self, settings: ConsoleSettings, deps: ConsoleDeps) -> None:
        self._stopping = asyncio.Event()
        self._feed = Feed(settings.max_viewers, "pages with live updates")
        self._log_feed = Feed(settings.max_log_viewers, "pages that follow a log")
        self._clock = deps.clock
        self._api = GatewayApi(settings.gateway_url, deps.credentials, deadline_s=settings.deadline_s)
        self._http = httpx.AsyncClient(
            trust_env=False, verify=client_context(), headers={"User-Agent": "springtide-console"}
        )
        self._decisions = Decisions(self._api, self._feed.notify)
        self._watch = GatewayPoller(
            self._api,
            settings.gateway_metrics_urls,
            step_s=settings.step_s,
            clock=deps.clock,
            changed=self._feed.notify,
        )
        self._sleep_curve = SleepCurve(
            deps.advise,
            settings.prometheus_url,
            settings.monitoring_secret_path,
            functions=self._listed,
            clock=deps.clock,
        )
        app = application(self._parts(settings, deps), deps.credentials, instruments.wrong_credentials(deps.registry))
        self._server = AsgiServer(
            exposition(deps.registry, app),
            name=self.name,
            host=settings.host,
            port=settings.port,
            grace_s=GRACE_S,
            leave_s=settings.leave_s,
            allowed_origins=settings.allowed_origins,
        )
        self._looking = BackgroundTask("look at the gateway")
        self._following = BackgroundTask("follow decisions")

    def __repr__(self) -> str:
        return f"<Console {self._server!r} {self._watch!r} {self._decisions!r} {self._feed!r}>"

    @property
    def port(self) -> int:
        """The port really bound, also when 0 was asked for."""
        return self._server.port

    async def start(self) -> None:
        await self._server.start()
        self._looking.start(self._watch.run())
        self._following.start(self._decisions.follow())

    async def stop(self) -> None:
        await self._server.leave()
        self._stopping.set()
        await self._looking.stop()
        await self._following.stop()
        await self._sleep_curve.aclose()
        await self._server.stop()
        await self._http.aclose()
        await self._api.aclose()

    async def wait(self) -> None:
        await first_end(self._server.wait(), self._looking.wait(), self._following.wait())

    def _parts(self, settings: ConsoleSettings, deps: ConsoleDeps) -> Parts:
        assets, guard = Assets(), Guard(deps.credentials)
        board = Board(self._watch, self._decisions, self._feed)
        url, deadline_s = settings.prometheus_url, settings.deadline_s
        shown = Credentials.of_setting(settings.monitoring_secret_path)
        prometheus = PrometheusClient(self._http, url, deadline_s=deadline_s, credentials=shown) if url else None
        queue_api = QueueApi(self._api)
        trigger_api = TriggerApi(self._api)
        return Parts(
            api=self._api,
            watch=self._watch,
            decisions=self._decisions,
            feed=self._feed,
            log_feed=self._log_feed,
            board=board,
            probes=Probes(
                settings,
                self._api,
                trigger_api,
                prometheus,
                http=self._http,
                clock=deps.clock,
                monitoring_credentials=shown,
                set_aside=deps.set_aside,
            ),
            invoker=Invoker(self._api.http, self._api.url, clock=deps.clock, deadline_s=settings.invoke_deadline_s),
            prometheus=PrometheusHistory(prometheus),
            what_if=WhatIf(deps.replay, url, settings.monitoring_secret_path),
            sleep_curve=self._sleep_curve,
            queue_api=queue_api,
            queues=Queues(queue_api, prometheus, deps.clock),
            triggers=Triggers(trigger_api, deps.clock, lambda: self._watch.functions),
            pages=Pages(assets, guard, board, self._watch, self._decisions),
            assets=assets,
            guard=guard,
            clock=deps.clock,
            stopping=self._stopping,
            about=self._about,
        )

    def _listed(self) -> Mapping[str, FunctionInfo] | None:
        return None if self._watch.freshness().list_age_s is None else self._watch.functions

    def _about(self) -> Json:
        """The console's own condition, for the page of the system."""
        fresh = self._watch.freshness()
        return {
            "data": [
                _data("Numbers of the gateway", fresh.numbers_age_s, fresh.numbers_problem),
                _data("List of functions", fresh.list_age_s, fresh.list_problem),
                {"name": "Stream of decisions", "age": None, "problem": self._decisions.problem},
            ],
            "connected": self._watch.connected,
            "readers": self._feed.readers,
        }


def _data(name: str, age_s: float | None, problem: str | None) -> Json:
    return {"name": name, "age": None if age_s is None else round(age_s, 1), "problem": problem}


def build(settings: ConsoleSettings, deps: ConsoleDeps) -> Console:
    """A Service; it listens and looks around from its start on."""
    return Console(settings, deps)
