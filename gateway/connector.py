"""From endpoints to replicas that can be called: how connections are opened, and what all replicas share of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from springtide.gateway.backend_replica import BackendReplica
from springtide.gateway.replica_connection import ReplicaConnection
from springtide.gateway.settings import GatewaySettings
from springtide.gateway.shared_room import SharedRooms
from springtide.gateway.timeouts import Timeouts
from springtide.scaler.core.ports import Clock
from springtide.wire.endpoint_stream import Endpoint


class Connector:
    """The ``Connections`` of every replica of one data plane."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: GatewaySettings,
        *,
        clock: Clock,
        timeouts: Timeouts,
        rooms: SharedRooms | None = None,
    ) -> None:
        self._loop = loop
        self._rooms = rooms
        self._sharers = settings.sharers
        self._tasks: set[asyncio.Task[None]] = set()
        self.now = clock.now
        self.idle = timeouts.replica_idle
        self.max_idle = settings.max_idle_per_replica
        self.connect_timeout_s = settings.connect_timeout_s

    def __repr__(self) -> str:
        return f"<Connector {len(self._tasks)} connections being opened>"

    def replica(self, endpoint: Endpoint) -> BackendReplica:
        """The replica at an endpoint that the provider has pushed."""

        async def open_(replica: BackendReplica) -> ReplicaConnection:
            _, connection = await self._loop.create_connection(
                lambda: ReplicaConnection(replica), endpoint.host, endpoint.port
            )
            return connection

        return BackendReplica(
            f"{endpoint.host}:{endpoint.port}",
            open_,
            self,
            limit=endpoint.max_inflight,
            prefix=endpoint.prefix.encode(),
            sharers=self._sharers,
            rooms=self._rooms,
        )

    def system(self, connect: Callable[[], Awaitable[socket.socket]]) -> BackendReplica:
        """This process's own system API, behind socket pairs that ``connect`` makes."""

        async def open_(replica: BackendReplica) -> ReplicaConnection:
            end = await connect()
            _, connection = await self._loop.create_unix_connection(lambda: ReplicaConnection(replica), sock=end)
            return connection

        return BackendReplica("this process", open_, self)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up the connections that are being opened."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
