"""One replica as the gateway sees it: calls in flight, idle connections, and connections being made."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from springtide.gateway.replica_connection import ReplicaConnection
from springtide.gateway.shared_room import SharedRoom, SharedRooms
from springtide.gateway.time_limit import TimeLimit
from springtide.runtime.backoff import Backoff

MAX_CONNECTING = 64
"""Connections to one replica being opened at once: many calls let in at once must not overrun its accept queue."""

PAUSE = Backoff(min_s=0.05, max_s=1.0)
"""How long a replica that refused a connection gets no calls."""


class ConnectionRequest(Protocol):
    """What wants a connection to this replica."""

    def connected(self, connection: ReplicaConnection) -> None:
        """Here is a connection."""

    def rejected(self, why: str) -> None:
        """None can be had."""

    def still_wants(self, replica: BackendReplica) -> bool: ...


class IdleTimeout(Protocol):
    """Closes connections that were idle for too long."""

    def start(self, item: ReplicaConnection, /) -> None: ...

    def stop(self, item: ReplicaConnection, /) -> None: ...


class Connections(Protocol):
    """How connections are opened and how long idle ones are kept; shared by all replicas."""

    @property
    def idle(self) -> IdleTimeout: ...

    @property
    def max_idle(self) -> int: ...

    @property
    def connect_timeout_s(self) -> float: ...

    def now(self) -> float: ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...


class BackendReplica:
    """Counts what it is given, at most ``limit`` calls at once (0: any number).

    A ``retired`` one finishes its calls and gets no new ones.
    """

    __slots__ = (
        "_connecting",
        "_connections",
        "_open",
        "_own_limit",
        "_room",
        "_rooms",
        "_sharers",
        "_waiting",
        "address",
        "failures",
        "idle",
        "in_flight",
        "limit",
        "paused_until",
        "prefix",
        "retired",
    )

    def __init__(
        self,
        address: str,
        open_: Callable[[BackendReplica], Coroutine[Any, Any, ReplicaConnection]],
        connections: Connections,
        *,
        limit: int = 0,
        prefix: bytes = b"",
        sharers: int = 1,
        rooms: SharedRooms | None = None,
    ) -> None:
        """``limit`` is its own, which it refuses calls beyond; ``prefix`` goes in front of the path of each request.

        ``sharers`` is how many processes like this one give it calls. By ``rooms`` they know what the others give it;
        without them each gives it an equal part of what it may get.
        """
        self.address = address
        self._sharers = sharers
        self._rooms = rooms
        self._room: SharedRoom | None = None
        self._own_limit = limit
        self.prefix = prefix
        self.in_flight = 0
        self.idle: list[ReplicaConnection] = []
        self.retired = False
        self.failures = 0
        self.paused_until = 0.0
        self._open = open_
        self._connections = connections
        self._waiting: deque[ConnectionRequest] = deque()
        self._connecting = 0
        self.limit = self._part(limit)

    def __repr__(self) -> str:
        state = "retired" if self.retired else "paused" if self.failures else "ready"
        return f"<BackendReplica {self.address} {state}, {self.in_flight} in flight, {len(self.idle)} idle>"

    @property
    def full(self) -> bool:
        """It has all the calls that it may be given."""
        return 0 < self.limit <= (self.in_flight if self._room is None else self._room.in_use())

    def restrict(self, limit: int) -> None:
        """Give it at most ``limit`` calls at once, or what it takes itself if that is less; 0 means the latter."""
        # A provider's proxy stands for all replicas of a function, and chooses among them itself.
        if not self.prefix:
            self.limit = self._part(min(limit or self._own_limit, self._own_limit or limit))

    def has_room(self, now: float) -> bool:
        if self.failures and now < self.paused_until:
            return False
        limit, room = self.limit, self._room
        return not limit or (self.in_flight < limit if room is None else room.has_room(limit, now))

    def want(self, *, on: bool) -> None:
        """Calls wait for room here, or none do any more."""
        if self._room is not None:
            self._room.want(on=on)

    @property
    def shared(self) -> bool:
        """Whether room may come without a call of ours having ended."""
        return self._room is not None and self._room.concerns_others()

    def take(self, request: ConnectionRequest, *, fresh: bool = False) -> None:
        """Count a call in and give it a connection now or soon. ``fresh`` wants one that was never used."""
        self.in_flight += 1
        if self._room is not None:
            self._room.take()
        if self.idle and not fresh:
            connection = self.idle.pop()
            self._connections.idle.stop(connection)
            request.connected(connection)
            return
        self._waiting.append(request)
        self._connect_more()

    def leave(self) -> None:
        """Count a call out."""
        self.in_flight -= 1
        if self._room is not None:
            self._room.leave()
            if self.retired and not self.in_flight:
                self._close_room()

    def put_back(self, connection: ReplicaConnection) -> None:
        """A connection whose call is over and that may carry another."""
        while self._waiting:
            request = self._waiting.popleft()
            if request.still_wants(self):
                request.connected(connection)
                return
        if self.retired or len(self.idle) >= self._connections.max_idle:
            connection.close()
            return
        self.idle.append(connection)
        self._connections.idle.start(connection)

    def lost(self, connection: ReplicaConnection) -> None:
        """An idle connection ended."""
        with contextlib.suppress(ValueError):
            self.idle.remove(connection)
        self._connections.idle.stop(connection)

    def end_later(self, connection: ReplicaConnection) -> None:
        """A closed connection has something left to send: it gets as long for that as an idle one is kept."""
        self._connections.idle.start(connection)

    def retire(self) -> None:
        """Give it nothing new; what it is doing goes on. Who waits for a connection to it goes elsewhere."""
        self.retired = True
        self.want(on=False)
        if not self.in_flight:
            self._close_room()
        idle, self.idle = self.idle, []
        for connection in idle:
            self._connections.idle.stop(connection)
            connection.close()
        self._reject_waiting("it is being stopped")

    def mark_healthy(self) -> None:
        """It answered."""
        self.failures = 0

    def pause(self) -> None:
        """It said that it can answer nothing just now. Said by many calls at once it is still the same thing."""
        if not self.failures or self._connections.now() >= self.paused_until:
            self._pause()

    def _part(self, limit: int) -> int:
        """Of what all processes may give it this one's; all of it where each knows of the others."""
        if limit and self._room is None and self._rooms is not None and not self.retired:
            self._room = self._rooms.open(self.address)
            if self._room is not None:
                self._room.take(self.in_flight)
        return limit if self._room is not None else -(-limit // self._sharers)

    def _close_room(self) -> None:
        if self._room is not None:
            self._room.close()
            self._room = None

    def _connect_more(self) -> None:
        while self._connecting < min(len(self._waiting), MAX_CONNECTING):
            self._connecting += 1
            self._connections.spawn(self._connect())

    async def _connect(self) -> None:
        try:
            connection = await asyncio.wait_for(self._open(self), self._connections.connect_timeout_s)
            if connection.transport.is_closing():
                # It ended before we came to use it, and nobody would be told once more.
                raise ConnectionResetError("it closed the connection at once")
        except (OSError, TimeoutError) as error:
            self._connecting -= 1
            self._pause()
            limit = TimeLimit("connect_timeout", self._connections.connect_timeout_s)
            self._reject_waiting(str(error) or f"no connection within {limit}")
            return
        self._connecting -= 1
        self.put_back(connection)
        self._connect_more()

    def _reject_waiting(self, why: str) -> None:
        """Who waits for a connection cannot have one: what is true of one connection is true of the replica."""
        waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            if request.still_wants(self):
                request.rejected(why)

    def _pause(self) -> None:
        self.failures += 1
        self.paused_until = self._connections.now() + PAUSE.delay_s(self.failures)
