"""The connector as a service: its sources, and what is to be seen of it on a port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from springtide.runtime.asgi import App
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.basic_auth import Credentials, RequireBasicAuth
from springtide.runtime.errors import BadInput
from springtide.runtime.exposition import OPEN_PATHS, exposition
from springtide.runtime.query import whole_number
from springtide.runtime.service import BackgroundTask, first_end
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.connector_metrics import ConnectorMetrics
from springtide.triggers.connector_settings import ConnectorSettings
from springtide.triggers.delivery import NO_QUEUE_WARNING, Delivery, FunctionCaller
from springtide.triggers.gateway_requests import Queue
from springtide.triggers.intake import Intake, IntakeDeps, IntakeRules
from springtide.triggers.journal import MAX_ENTRIES, EventJournal
from springtide.triggers.source import Source
from springtide.triggers.topics import Topics
from springtide.wire.endpoint_following import EndpointStream
from springtide.wire.events.delivery_mode import DeliveryMode

_log = structlog.get_logger(__name__)


class ConnectorCaller(FunctionCaller, Protocol):
    async def has_queue(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSource:
    """``name`` is unique in a connector. ``content_type`` is that of its events that have none."""

    name: str
    source: Source
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorDeps:
    sources: Sequence[NamedSource]
    endpoints: EndpointStream
    caller: ConnectorCaller
    clock: Clock
    registry: CollectorRegistry
    credentials: Credentials | None = None
    """Asked for at /events and /sources."""


class Reading:
    """All that a connector does but for being served."""

    def __init__(self, settings: ConnectorSettings, deps: ConnectorDeps) -> None:
        self._caller = deps.caller
        self.journal = EventJournal()
        self._queue = Queue(deps.clock, warning=NO_QUEUE_WARNING)
        mode = DeliveryMode.ASYNC if settings.asynchronous else DeliveryMode.SYNC
        self._topics = Topics(deps.endpoints, delimiter=settings.topic_delimiter, default=mode)
        metrics = ConnectorMetrics(deps.registry, [each.name for each in deps.sources])
        self.intakes = tuple(self._intake(each, settings, deps, metrics) for each in deps.sources)

    def __repr__(self) -> str:
        return f"<Reading {', '.join(map(repr, self.intakes))}>"

    def _intake(
        self, each: NamedSource, settings: ConnectorSettings, deps: ConnectorDeps, metrics: ConnectorMetrics
    ) -> Intake:
        delivery = Delivery(
            deps.caller,
            self._topics,
            self._queue,
            connector=each.source.connector,
            retried=partial(metrics.retried, each.name),
        )
        of_intake = IntakeDeps(
            topics=self._topics, delivery=delivery, observer=metrics, journal=self.journal, clock=deps.clock
        )
        rules = IntakeRules(
            max_inflight=settings.max_inflight,
            max_inflight_bytes=settings.max_inflight_bytes,
            content_type=settings.content_type or each.content_type,
            grace_s=settings.grace_s,
        )
        return Intake(each.name, each.source, of_intake, rules)

    async def follow(self) -> None:
        await self._topics.follow()

    async def run(self) -> None:
        """Until all are stopped; raises what a source cannot begin with."""
        if not await self._caller.has_queue():
            self._queue.missing()
        reading = [asyncio.create_task(intake.run(), name=intake.name) for intake in self.intakes]
        try:
            await asyncio.gather(*reading)
        finally:
            for task in reading:
                task.cancel()
            await asyncio.wait(reading)

    def stop(self) -> None:
        for intake in self.intakes:
            intake.stop()


class Connector:
    """See ``runtime.service.Service``."""

    name = "connector"

    def __init__(self, settings: ConnectorSettings, deps: ConnectorDeps) -> None:
        self._reading = Reading(settings, deps)
        app = RequireBasicAuth(
            exposition(deps.registry, _told(self._reading)),
            credentials=deps.credentials,
            open_paths=OPEN_PATHS,
        )
        self._server = AsgiServer(app, name=self.name, host=settings.host, port=settings.port)
        self._grace_s = settings.grace_s
        self._following = BackgroundTask("endpoint stream")
        self._read = BackgroundTask("events")

    def __repr__(self) -> str:
        return f"<Connector {self._reading!r}>"

    @property
    def port(self) -> int:
        """The port really bound, also when 0 was asked for."""
        return self._server.port

    async def start(self) -> None:
        await self._server.start()
        _log.info("the connector runs", port=self.port, sources=[one.name for one in self._reading.intakes])
        self._following.start(self._reading.follow())
        self._read.start(self._reading.run())

    async def stop(self) -> None:
        """Deliveries under way may finish; what does not in time is given back."""
        self._reading.stop()
        if inflight := sum(intake.inflight for intake in self._reading.intakes):
            _log.info("events on their way may be delivered before the end", inflight=inflight, grace_s=self._grace_s)
        if self._read.state == "running":
            await asyncio.wait([asyncio.ensure_future(self._read.wait())], timeout=self._grace_s + RETURN_MARGIN_S)
        await self._read.stop()
        await self._following.stop()
        await self._server.stop()

    async def wait(self) -> None:
        await first_end(self._server.wait(), self._following.wait(), self._read.wait())


RETURN_MARGIN_S = 10.0
"""To give back what was not delivered, and to take leave of its systems."""


def build(settings: ConnectorSettings, deps: ConnectorDeps) -> Connector:
    """A Service; nothing is opened before its start."""
    return Connector(settings, deps)


def _told(reading: Reading) -> App:
    async def events(request: Request) -> Response:
        """``GET /events?function=NAME.NAMESPACE&limit=100``, the newest first."""
        limit, function = request.query_params.get("limit", "100"), request.query_params.get("function")
        try:
            most = whole_number("limit", limit, low=1, high=MAX_ENTRIES)
        except BadInput:
            return PlainTextResponse(f"limit: {limit[:20]!r} is not a number of 1 to {MAX_ENTRIES}\n", 400)
        ref = FunctionRef.parse(function) if function else None
        return JSONResponse([entry.to_json() for entry in reading.journal.newest(most, ref)])

    async def sources(_: Request) -> Response:
        """``GET /sources``: whether each is connected, since when, and why not."""
        return JSONResponse([intake.to_json() for intake in reading.intakes])

    return Starlette(routes=[Route("/events", events), Route("/sources", sources)])
