"""The data plane: what every connection and every call shares, and where a request goes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from random import getrandbits
from typing import Any
from urllib.parse import unquote_to_bytes

from springtide.gateway.backend_replica import BackendReplica
from springtide.gateway.call import Call
from springtide.gateway.call_metrics import CallMetrics
from springtide.gateway.call_record import Observer
from springtide.gateway.client_connection import ClientConnection
from springtide.gateway.coldstart.admission import Admission, WaitLimits
from springtide.gateway.coldstart.queue import QueueBounds
from springtide.gateway.coldstart.wake import FunctionWaker
from springtide.gateway.deadlines import DeadlineQueue
from springtide.gateway.disconnect_watcher import DisconnectWatcher
from springtide.gateway.endpoint_source import Pushed, Readiness
from springtide.gateway.http1.fields import Malformed
from springtide.gateway.http1.request import RequestHead
from springtide.gateway.replica_connection import ReplicaConnection
from springtide.gateway.route import Route
from springtide.gateway.route_table import RouteTable
from springtide.gateway.settings import GatewaySettings
from springtide.gateway.tunnel import Tunnel
from springtide.scaler.core.ports import Clock, Recorder, ScaleTarget
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint

UNKNOWN = "_unknown"
"""The label of calls that name no function there is, so that nobody grows the label set by calling nonsense."""

ON_THE_WAY_S = 0.25
"""How long a gateway that stops waits for requests on connections that carry none: one may be on its way."""

_INVOCATION = re.compile(rb"/function/([^/?]*)(/[^?]*)?(\?.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DataPlaneDeps:
    clock: Clock
    target: ScaleTarget
    recorder: Recorder
    connect_system: Callable[[], Awaitable[socket.socket]]
    """A new connection to where everything that is not an invocation is answered. Raises OSError when there is none."""
    readiness: Readiness = field(default_factory=Pushed)
    observer: Observer | None = None


class DataPlane:
    """One per process and event loop."""

    def __init__(self, settings: GatewaySettings, deps: DataPlaneDeps) -> None:
        loop = self.loop = asyncio.get_running_loop()
        self.now, self.wall = deps.clock.now, deps.clock.wall
        self.readiness = deps.readiness
        self.observer = deps.observer
        self.stopping = False
        self.replay_bytes = settings.replay_bytes
        self.retry_posts = settings.retry_posts
        self._max_connections = settings.max_connections
        self._sharers = settings.sharers
        self._clients: set[ClientConnection] = set()
        self._quiet = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

        self.head_timeout = DeadlineQueue(loop, settings.head_timeout_s, ClientConnection.head_timed_out)
        self.keep_alive = DeadlineQueue(loop, settings.keep_alive_s, ClientConnection.idle_timed_out)
        self.linger = DeadlineQueue(loop, 2.0, ClientConnection.linger_timed_out)
        self.stalled = DeadlineQueue(loop, settings.write_timeout_s, ClientConnection.stalled)
        self.body_idle = DeadlineQueue(loop, settings.read_timeout_s, Call.body_timed_out)
        self.calls = DeadlineQueue(loop, settings.upstream_timeout_s, Call.timed_out)
        self.first_byte = DeadlineQueue(loop, settings.first_byte_timeout_s, Call.timed_out)
        self.first_byte_timed = settings.first_byte_timeout_s > 0
        self.tunnels = DeadlineQueue(loop, settings.tunnel_idle_s, Tunnel.timed_out)
        self.idle = DeadlineQueue(loop, settings.replica_idle_s, ReplicaConnection.close)
        self.disconnects = DisconnectWatcher(loop)
        self.max_idle = settings.max_idle_per_replica
        self.connect_timeout_s = settings.connect_timeout_s

        self.hold = Admission(
            self,
            QueueBounds(settings.max_held_per_function, settings.max_held, settings.max_held_bytes),
            WaitLimits(settings.hold_timeout_s, settings.reroute_timeout_s, settings.problem_grace_s),
        )
        self.waker = FunctionWaker(
            deps.target,
            clock=deps.clock,
            recorder=deps.recorder,
            sleepers=self.hold,
            patience_s=settings.wake_patience_s,
        )
        self.table = RouteTable(clock=deps.clock, open_replica=self._replica, namespace=settings.namespace)
        self.table.listen(self.hold)
        self.unknown = Route(FunctionRef("", UNKNOWN), CallMetrics(last_active=0.0))
        self.system = self._system_route(deps.connect_system)

    def __repr__(self) -> str:
        return f"<DataPlane {len(self._clients)} connections, {self.hold!r}, {self.table!r}>"

    # For connections.

    def admit(self, caller: ClientConnection) -> bool:
        """Count a connection in; False when there are too many."""
        self._clients.add(caller)
        return len(self._clients) <= self._max_connections

    def forget(self, caller: ClientConnection) -> None:
        self._clients.discard(caller)
        if self.stopping and not self._clients:
            self._quiet.set()
        for queue in (self.head_timeout, self.keep_alive, self.linger, self.stalled):
            queue.stop(caller)

    def begin(self, caller: ClientConnection, head: RequestHead) -> None:
        """A request has come."""
        target = head.target
        route: Route | None = self.system
        if target.startswith(b"/function/"):
            match = _INVOCATION.fullmatch(target)
            assert match is not None
            name, path, query = match.groups()
            target = (path or b"/") + (query or b"")
            route = self.table.by_name(name)
            if route is None and b"%" in name:
                route = self.table.by_name(unquote_to_bytes(name))
        call = Call(self, caller, route or self.unknown, head, target)
        caller.handle_with(call)
        if head.length:
            try:
                call.expect_body(head.length)
            except Malformed as error:
                call.refuse(error.status, str(error), "malformed")
                return
        if route is None:
            self._refuse_unknown(call, name)
        else:
            call.dispatch()

    def new_call_id(self) -> bytes:
        """A random (version 4) UUID as text."""
        text = f"{getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}".encode()

    def own_headers(self) -> bytes:
        """The two headers every reply carries, for a request that could not be read."""
        return b"\r\nX-Call-Id: %b\r\nX-Start-Time: %d" % (self.new_call_id(), self.wall() * 1e9)

    def count_refused(self, reason: str) -> None:
        self.unknown.metrics.refuse(reason)

    # For calls.

    def start_call(self, call: Call) -> None:
        """The time a call may take begins. The system API has deadlines of its own: it streams logs for hours."""
        if call.route is not self.system:
            self.calls.start(call)
            if self.first_byte_timed:
                self.first_byte.start(call)

    def stop_call(self, call: Call) -> None:
        self.calls.stop(call)
        if self.first_byte_timed:
            self.first_byte.stop(call)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Life.

    async def leave(self, max_s: float) -> None:
        """Another takes the new connections: return when those we have are closed, or after ``max_s``.

        Each answer from now on is its connection's last and says so. An idle connection is left open: if it were closed
        here, a request might be on its way. One that has been idle till the end is hardly in use any more.
        """
        self.stopping = True
        await self._until_quiet(max_s)

    async def drain(self, grace_s: float) -> None:
        """Take no new requests; return when every call is answered or ``grace_s`` is over, and cut what is left.

        Calls that are still held then are not cut but answered: they have not begun.
        """
        self.stopping = True
        # A connection closed under a request would lose it. Those answered from now on are told to close.
        await self._until_quiet(min(grace_s, ON_THE_WAY_S))
        for caller in list(self._clients):
            if not caller.busy:
                caller.close()
        await self._until_quiet(grace_s)
        if len(self.hold):
            self.hold.refuse_all_waiting()
            await self._until_quiet(min(grace_s, ON_THE_WAY_S))
        for caller in list(self._clients):
            caller.abort()
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop wakes and connections being made; close every connection to a replica."""
        await self.waker.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.hold.close()
        self.disconnects.close()
        for route in (*self.table, self.system):
            for replica in route.ready:
                replica.retire()
        for queue in (
            self.head_timeout,
            self.keep_alive,
            self.linger,
            self.stalled,
            self.body_idle,
            self.calls,
            self.first_byte,
            self.tunnels,
            self.idle,
        ):
            queue.close()

    # Inside.

    async def _until_quiet(self, max_s: float) -> None:
        if self._clients:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), max_s)

    def _refuse_unknown(self, call: Call, name: bytes) -> None:
        text = name.decode("latin-1")[:100]
        if not name or self.table.connected:
            call.refuse(404, f"there is no function {text!r}", "unknown_function")
        else:
            call.refuse(503, "which functions there are is not known: the provider is away", "provider_away")

    def _replica(self, endpoint: Endpoint) -> BackendReplica:
        async def open_(replica: BackendReplica) -> ReplicaConnection:
            _, connection = await self.loop.create_connection(
                lambda: ReplicaConnection(replica), endpoint.host, endpoint.port
            )
            return connection

        address = f"{endpoint.host}:{endpoint.port}"
        prefix = endpoint.prefix.encode()
        return BackendReplica(address, open_, self, limit=endpoint.max_inflight, prefix=prefix, sharers=self._sharers)

    def _system_route(self, connect: Callable[[], Awaitable[socket.socket]]) -> Route:
        async def open_(replica: BackendReplica) -> ReplicaConnection:
            end = await connect()
            _, connection = await self.loop.create_unix_connection(lambda: ReplicaConnection(replica), sock=end)
            return connection

        route = Route(FunctionRef("", "the system API"), CallMetrics(last_active=0.0))
        route.desired = 1
        route.ready = [BackendReplica("this process", open_, self)]
        return route
