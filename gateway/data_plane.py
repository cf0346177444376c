"""The data plane put together: every part is made here and given what it needs; none of them knows the whole."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from springtide.gateway.asynchronous.accepting import AsyncCalls, callback_rules
from springtide.gateway.asynchronous.async_call import AsyncPorts, Held
from springtide.gateway.asynchronous.stores import Stores
from springtide.gateway.broken_answers import BrokenAnswers
from springtide.gateway.call import CallPorts
from springtide.gateway.call_metrics import CallMetrics
from springtide.gateway.call_record import Observer
from springtide.gateway.client_connection import ClientConnection, ClientPorts
from springtide.gateway.coldstart.admission import Admission, WaitLimits
from springtide.gateway.coldstart.queue import QueueBounds
from springtide.gateway.coldstart.wake import FunctionWaker
from springtide.gateway.connector import Connector
from springtide.gateway.disconnect_watcher import DisconnectWatcher
from springtide.gateway.dispatcher import Dispatcher
from springtide.gateway.draining import Draining
from springtide.gateway.endpoint_source import Pushed, Readiness
from springtide.gateway.metrics import WRONG_CREDENTIALS
from springtide.gateway.request_counts import RequestCounts
from springtide.gateway.resend import ResendRules
from springtide.gateway.route import Route
from springtide.gateway.route_table import RouteTable
from springtide.gateway.settings import GatewaySettings
from springtide.gateway.shared_room import SharedRooms
from springtide.gateway.timeouts import Timeouts
from springtide.gateway.webhooks.incoming import WebhookPorts
from springtide.gateway.webhooks.seen import Seen
from springtide.gateway.webhooks.webhooks import COUNTED_AS as WEBHOOKS_COUNTED_AS
from springtide.gateway.webhooks.webhooks import Told, Webhooks
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.wrong_credentials import WrongCredentials
from springtide.scaler.core.ports import Clock, Recorder, ScaleTarget
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.webhooks.checks import NoChecks, WebhookChecks

UNKNOWN = "_unknown"
"""The label of calls that name no function there is, so that nobody grows the label set by calling nonsense."""


@dataclass(frozen=True, slots=True)
class DataPlaneDeps:
    clock: Clock
    target: ScaleTarget
    recorder: Recorder
    connect_system: Callable[[], Awaitable[socket.socket]]
    """A new connection to where everything that is not an invocation is answered. Raises OSError when there is none."""
    readiness: Readiness = field(default_factory=Pushed)
    observer: Observer | None = None
    credentials: Credentials | None = None
    """Of the system API."""
    checks: WebhookChecks = field(default_factory=NoChecks)
    rooms: SharedRooms | None = None
    """What other processes give replicas that have a limit, where there are others."""


class DataPlane:
    """One per process and event loop."""

    def __init__(self, settings: GatewaySettings, deps: DataPlaneDeps) -> None:
        loop, clock = asyncio.get_running_loop(), deps.clock
        self.timeouts = Timeouts(loop, settings)
        self.disconnects = DisconnectWatcher(loop)
        self._connector = Connector(loop, settings, clock=clock, timeouts=self.timeouts, rooms=deps.rooms)
        self.table = RouteTable(
            clock=clock,
            open_replica=self._connector.replica,
            call_limit=self.timeouts.call_limit,
            namespace=settings.namespace,
        )
        self._waker = FunctionWaker(
            deps.target, clock=clock, recorder=deps.recorder, max_retry_s=settings.wake_patience_s
        )
        self.admission = Admission(
            QueueBounds(settings.max_held_per_function, settings.max_held, settings.max_held_bytes),
            WaitLimits(settings.hold_timeout_s, settings.reroute_timeout_s, settings.problem_grace_s),
            loop=loop,
            clock=clock,
            wakes=self._waker,
            readiness=deps.readiness,
        )
        self._waker.listen(self.admission)
        self.table.listen(self.admission)
        self.draining = Draining(self.admission, max_connections=settings.max_connections)
        self.requests = RequestCounts()
        self.unknown = Route(FunctionRef("", UNKNOWN), CallMetrics(last_active=0.0))
        self.system = Route(FunctionRef("", "the system API"), CallMetrics(last_active=0.0), is_system=True)
        self.system.desired = 1
        self.system.ready = [self._connector.system(deps.connect_system)]
        calls = CallPorts(
            clock=clock,
            admission=self.admission,
            timeouts=self.timeouts,
            draining=self.draining,
            observer=deps.observer,
            broken=BrokenAnswers(clock),
            resend=ResendRules(settings.replay_bytes, settings.retry_posts),
        )
        self.stores = Stores(settings.broker, name="springtide gateway")
        asynchronous = AsyncCalls(
            AsyncPorts(
                clock=clock,
                stopping=lambda: self.draining.stopping,
                body_timeout=self.timeouts.body,
                counts=self.requests,
                held=Held(settings.max_async_held_bytes),
                max_inline=settings.max_async_inline,
                max_body=settings.max_async_body,
            ),
            self.stores,
            rules=callback_rules(settings),
            credentials=deps.credentials,
        )
        self.clients = ClientPorts(
            loop=loop,
            requests=Dispatcher(
                self.table,
                calls,
                asynchronous=asynchronous,
                webhooks=self._webhooks(settings, deps),
                system=self.system,
                unknown=self.unknown,
            ),
            connections=self.draining,
            timeouts=self.timeouts,
            disconnects=self.disconnects,
        )

    def _webhooks(self, settings: GatewaySettings, deps: DataPlaneDeps) -> Webhooks:
        taking = AsyncPorts(
            clock=deps.clock,
            stopping=lambda: self.draining.stopping,
            body_timeout=self.timeouts.body,
            counts=self.requests,
            held=Held(settings.max_webhook_held_bytes),
            max_inline=settings.max_webhook_body,
            max_body=settings.max_webhook_body,
            body_setting="max_webhook_body",
            max_upload_s=settings.read_timeout_s,
            counted_as=WEBHOOKS_COUNTED_AS,
        )
        ports = WebhookPorts(
            clock=deps.clock,
            stores=self.stores,
            checks=deps.checks,
            seen=Seen(deps.clock),
            wrong=WrongCredentials(partial(self.unknown.metrics.refuse, WRONG_CREDENTIALS)),
            credentials=deps.credentials,
            tell=Told(),
            max_inline=settings.max_async_inline,
        )
        return Webhooks(taking, ports, tolerance_s=settings.webhook_tolerance_s)

    def __repr__(self) -> str:
        return f"<DataPlane {self.draining!r}, {self.admission!r}, {self.table!r}>"

    @property
    def broker_reconnects(self) -> int:
        return self.stores.reconnects

    def accept(self) -> ClientConnection:
        """The protocol of a connection that a client has just opened."""
        return ClientConnection(self.clients)

    async def close(self) -> None:
        """Stop wakes and connections being made; close every connection to a replica."""
        await self._waker.stop()
        await self.stores.aclose()
        await self._connector.close()
        self.admission.close()
        self.disconnects.close()
        for route in (*self.table, self.system):
            for replica in route.ready:
                replica.retire()
        self.timeouts.close()
