"""The gateway as a service: what it is made of, and the order in which it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from dataclasses import dataclass
from functools import partial

import httpx
import structlog
from prometheus_client import CollectorRegistry

from springtide.gateway.access_log import AccessLines
from springtide.gateway.busy_periods import BusyPeriods, look, look_for_ever, periods_app
from springtide.gateway.call_record import Observer
from springtide.gateway.coldstart.limit_metrics import show_held_limits
from springtide.gateway.data_plane import DataPlane, DataPlaneDeps
from springtide.gateway.endpoint_source import EndpointSource
from springtide.gateway.invocation_counts import COUNTS_DEADLINE_S, InvocationCounts, OwnCounts, PrometheusCounts
from springtide.gateway.load_counts import LoadFeed, OwnLoad
from springtide.gateway.load_streams import LoadStreams
from springtide.gateway.metrics import WRONG_CREDENTIALS, GatewayCollector
from springtide.gateway.open_files import raise_limit
from springtide.gateway.settings import BACKLOG, GatewaySettings
from springtide.gateway.shared_room import SharedRooms
from springtide.gateway.system_api import SystemDeps, SystemTargets, build_app
from springtide.runtime.asgi_server import AsgiServer, bind
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.concurrency_limit import ConcurrencyLimit
from springtide.runtime.errors import Unsupported
from springtide.runtime.exposition import exposition
from springtide.runtime.service import BackgroundTask, Opened, first_end
from springtide.runtime.tls import client_context
from springtide.runtime.wrong_credentials import WrongCredentials
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import Writer
from springtide.wire.instruments import DecisionCounter
from springtide.wire.polled_endpoints import PolledEndpoints
from springtide.wire.prometheus import PrometheusClient
from springtide.wire.provider_client import ProviderClient
from springtide.wire.webhooks.checks import ProviderChecks

_log = structlog.get_logger(__name__)

MAX_SYSTEM_CONNECTIONS = 200
"""Of one worker, to the other parts; streams and the console have others."""

CONSOLE_LIMITS = httpx.Limits(max_connections=400)
"""An open page holds one or two."""

MAX_STREAM_READS = 100
"""Logs and decisions read at once without following them."""

STREAM_SILENCE_S = 3600.0
"""How long a followed log or decision stream may be silent."""


@dataclass(frozen=True, slots=True)
class GatewayDeps:
    """``credentials`` protect the system API and are sent to the provider; None switches both off."""

    credentials: Credentials | None
    registry: CollectorRegistry
    clock: Clock


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Where a gateway is one of several workers: the socket it serves, and who knows the calls of all of them.

    Their metrics are then served by the master, not here.
    """

    listener: socket.socket
    counts: InvocationCounts
    load: LoadFeed
    rooms: SharedRooms | None = None


class Gateway:
    """See ``runtime.service.Service``."""

    name = "gateway"

    def __init__(self, settings: GatewaySettings, deps: GatewayDeps, worker: WorkerContext | None = None) -> None:
        self._settings = settings
        self._deps = deps
        self._worker = worker
        self._recorder = DecisionCounter(deps.registry, Writer.WAKE)
        self._periods = BusyPeriods(deps.clock)
        self._metrics = AsgiServer(
            exposition(deps.registry, periods_app(self._periods, self._looked)),
            name="gateway metrics",
            host=settings.metrics_host,
            port=settings.metrics_port,
            grace_s=1.0,
        )
        self._plane: DataPlane | None = None
        self._load: LoadStreams | None = None
        self._listener: asyncio.Server | None = None
        self._follower, self._looking = BackgroundTask("endpoint stream"), BackgroundTask("busy periods")
        self._opened = Opened()
        self._port = settings.port
        deps.registry.register(GatewayCollector(lambda: self._plane))
        show_held_limits(settings, deps.registry)

    def __repr__(self) -> str:
        return f"<Gateway {self._settings.host}:{self._port} {self._plane}>"

    @property
    def port(self) -> int:
        """The public port really bound, also when 0 was asked for."""
        return self._port

    @property
    def plane(self) -> DataPlane:
        """The data plane; there is one from the start of the service on."""
        assert self._plane is not None
        return self._plane

    @property
    def plane_if_started(self) -> DataPlane | None:
        return self._plane

    @property
    def metrics_port(self) -> int:
        return self._metrics.port

    async def start(self) -> None:
        await self._opened.start(self._start)

    async def stop(self) -> None:
        await self._opened.stop()

    async def wait(self) -> None:
        await first_end(self._follower.wait(), *([self._looking.wait()] if self._worker is None else []))

    async def leave(self) -> None:
        """Another gateway has taken over the socket: finish with the callers we have, before ``stop``."""
        assert self._listener is not None
        assert self._load is not None
        self._load.leave()
        self._listener.close()
        await self.plane.draining.leave(self._settings.grace_s)

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        """Stopped in reverse: the public listener closes, calls in flight finish, then the rest."""
        settings, deps = self._settings, self._deps
        if self._worker is None:
            raise_limit(settings.max_connections)
        listener = stack.enter_context(self._worker.listener if self._worker else bind(settings.host, settings.port))
        self._port = int(listener.getsockname()[1])
        client = ProviderClient(settings.provider_url, deps.credentials)
        stack.push_async_callback(client.aclose)
        source = EndpointSource(client, lambda: self._polled(client))
        stack.push_async_callback(source.aclose)
        observer = await _observer(settings, stack)
        checks = ProviderChecks(settings.provider_url, deps.credentials)
        stack.push_async_callback(checks.aclose)

        async def connect_system() -> socket.socket:
            return await system.connect()  # which is made later: the plane's table is a part of it

        plane = self._plane = DataPlane(
            settings,
            DataPlaneDeps(
                clock=deps.clock,
                target=client,
                recorder=self._recorder,
                connect_system=connect_system,
                readiness=source,
                observer=observer,
                credentials=deps.credentials,
                checks=checks,
                rooms=self._worker.rooms if self._worker else None,
            ),
        )
        feed = self._worker.load if self._worker else OwnLoad(plane.table, deps.clock, uuid.uuid4().hex)
        load = self._load = LoadStreams(feed)
        stack.push_async_callback(load.stop)
        if self._worker is None:
            await self._start_server(stack, self._metrics)
            self._looking.start(look_for_ever(self._periods, lambda: plane.table))
            stack.push_async_callback(self._looking.stop)
        http = await stack.enter_async_context(_client(httpx.Limits(max_connections=MAX_SYSTEM_CONNECTIONS)))
        stream_limits = httpx.Limits(max_connections=settings.max_streams + MAX_STREAM_READS)
        stream_http = await stack.enter_async_context(_client(stream_limits))
        console_http = await stack.enter_async_context(_client(CONSOLE_LIMITS))
        app = build_app(
            SystemTargets(
                provider_url=settings.provider_url,
                alert_receiver_url=settings.alert_receiver_url,
                cron_url=settings.cron_url,
                connector_urls=settings.connector_urls,
                connectors_dir=settings.connectors_dir,
                console_url=settings.console_url,
                timeout_s=settings.upstream_timeout_s,
                deploy_timeout_s=settings.deploy_timeout_s,
                stream_timeout_s=STREAM_SILENCE_S,
            ),
            SystemDeps(
                http=http,
                stream_http=stream_http,
                console_http=console_http,
                streams=ConcurrencyLimit(settings.max_streams, "streams of logs, decisions and endpoints"),
                credentials=deps.credentials,
                counts=self._counts(http, plane),
                load=load,
                requests=plane.requests,
                clock=deps.clock,
                bounds=plane.timeouts.bounds,
                table=plane.table,
                readiness=source,
                wrong=WrongCredentials(partial(plane.unknown.metrics.refuse, WRONG_CREDENTIALS)),
                stores=plane.stores,
                stopping=lambda: plane.draining.stopping,
            ),
        )
        system = AsgiServer(
            app,
            name="gateway system API",
            private=True,
            grace_s=2.0,
            allowed_origins=settings.allowed_origins,
        )
        await self._start_server(stack, system)
        stack.push_async_callback(plane.close)
        self._follower.start(plane.table.follow(source))
        stack.push_async_callback(self._follower.stop)
        await self._listen(stack, plane, listener)
        stack.callback(load.leave if self._worker else load.end)

    async def _looked(self) -> float:
        """All that happened until now is seen; the instant of that."""
        if self._plane is not None:
            look(self._periods, self._plane.table)
        return self._deps.clock.wall()

    def _counts(self, http: httpx.AsyncClient, plane: DataPlane) -> InvocationCounts:
        if self._settings.prometheus_url:
            shown = Credentials.of_setting(self._settings.monitoring_secret_path)
            url = self._settings.prometheus_url
            return PrometheusCounts(PrometheusClient(http, url, deadline_s=COUNTS_DEADLINE_S, credentials=shown))
        return OwnCounts(plane.table) if self._worker is None else self._worker.counts

    def _polled(self, client: ProviderClient) -> PolledEndpoints:
        settings = self._settings
        return PolledEndpoints(
            client, settings.provider_url, clock=self._deps.clock, interval_s=settings.poll_interval_s
        )

    async def _listen(self, stack: contextlib.AsyncExitStack, plane: DataPlane, listener: socket.socket) -> None:
        """Open the public port once the functions are known, or the provider did not answer in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.first_snapshot_s):
                # To follow ends only by an error, such as credentials that are not the provider's.
                await first_end(plane.table.first_snapshot.wait(), self._follower.wait())
        self._listener = await asyncio.get_running_loop().create_server(plane.accept, sock=listener, backlog=BACKLOG)
        stack.push_async_callback(self._drain, plane)
        stack.callback(self._listener.close)

    async def _drain(self, plane: DataPlane) -> None:
        calls = {route.label: route.metrics.in_flight for route in plane.table if route.metrics.in_flight}
        if calls:
            _log.info("stopping; calls under way may finish", calls=calls, at_most_s=self._settings.grace_s)
        await plane.draining.drain(self._settings.grace_s)

    async def _start_server(self, stack: contextlib.AsyncExitStack, server: AsgiServer) -> None:
        await server.start()
        stack.push_async_callback(server.stop)


async def _observer(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> Observer | None:
    """What records each call; None, as nearly always, when the settings ask for no record."""
    tracer = None
    if settings.otlp_endpoint:
        try:
            from springtide.gateway.tracing import SpanTracer  # noqa: PLC0415 - an extra, and a heavy one
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("opentelemetry"):
                raise
            raise Unsupported("traces need OpenTelemetry; run: pip install 'springtide[otel]'") from error
        tracer = SpanTracer(settings.otlp_endpoint, settings.trace_sample_ratio, settings.trace_max_per_s)
        stack.push_async_callback(tracer.aclose)
    access_log = AccessLines() if settings.access_log else None
    return Observer(tracer, access_log) if tracer or access_log else None


def _client(limits: httpx.Limits) -> httpx.AsyncClient:
    return httpx.AsyncClient(limits=limits, trust_env=False, verify=client_context())


def build(settings: GatewaySettings, deps: GatewayDeps, worker: WorkerContext | None = None) -> Gateway:
    """A Service of one process; nothing is opened before its start."""
    return Gateway(settings, deps, worker)
