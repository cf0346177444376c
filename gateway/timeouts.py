"""Every time-out of the data plane in one place: how long each lasts, what it is for, and who is told at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator, Sized
from typing import Protocol

from springtide.gateway.deadlines import DeadlineQueue
from springtide.gateway.settings import GatewaySettings

LINGER_S = 2.0
"""How long a connection that we have ended is still read, so that its client sees our answer."""


class TimedClient(Hashable, Protocol):
    def head_timed_out(self) -> None: ...

    def idle_timed_out(self) -> None: ...

    def linger_timed_out(self) -> None: ...

    def write_timed_out(self) -> None: ...


class TimedCall(Hashable, Protocol):
    def timed_out(self) -> None: ...

    def body_timed_out(self) -> None: ...


class TimedTunnel(Hashable, Protocol):
    def timed_out(self) -> None: ...


class TimedReplicaConnection(Hashable, Protocol):
    def close(self) -> None: ...


class Timeouts:
    """One queue for each time-out; ``stop_client`` and ``stop_call`` end all that one client or call has."""

    __slots__ = (
        "_all",
        "_of_clients",
        "body",
        "call",
        "first_byte",
        "first_byte_timed",
        "head",
        "keep_alive",
        "linger",
        "replica_idle",
        "start_call",
        "stop_call",
        "tunnel",
        "write",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: GatewaySettings) -> None:
        # A client's connection.
        self.head = DeadlineQueue[TimedClient](loop, settings.head_timeout_s, lambda one: one.head_timed_out())
        self.keep_alive = DeadlineQueue[TimedClient](loop, settings.keep_alive_s, lambda one: one.idle_timed_out())
        self.linger = DeadlineQueue[TimedClient](loop, LINGER_S, lambda one: one.linger_timed_out())
        self.write = DeadlineQueue[TimedClient](loop, settings.write_timeout_s, lambda one: one.write_timed_out())
        # A call.
        self.body = DeadlineQueue[TimedCall](loop, settings.read_timeout_s, lambda one: one.body_timed_out())
        self.call = DeadlineQueue[TimedCall](loop, settings.upstream_timeout_s, lambda one: one.timed_out())
        self.first_byte = DeadlineQueue[TimedCall](loop, settings.first_byte_timeout_s, lambda one: one.timed_out())
        self.first_byte_timed = settings.first_byte_timeout_s > 0
        # Every call comes by here, and nearly always it has but one time-out.
        self.start_call = self._start_both if self.first_byte_timed else self.call.start
        self.stop_call = self._stop_both if self.first_byte_timed else self.call.stop
        self.tunnel = DeadlineQueue[TimedTunnel](loop, settings.tunnel_idle_s, lambda one: one.timed_out())
        # A replica's connection.
        self.replica_idle = DeadlineQueue[TimedReplicaConnection](
            loop, settings.replica_idle_s, lambda one: one.close()
        )
        self._of_clients = (self.head, self.keep_alive, self.linger, self.write)
        self._all = (*self._of_clients, self.body, self.call, self.first_byte, self.tunnel, self.replica_idle)

    def __repr__(self) -> str:
        return f"<Timeouts {len(self)} running>"

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._all)

    def __iter__(self) -> Iterator[Sized]:
        return iter(self._all)

    def stop_client(self, client: TimedClient) -> None:
        for queue in self._of_clients:
            queue.stop(client)

    def _start_both(self, call: TimedCall) -> None:
        self.call.start(call)
        self.first_byte.start(call)

    def _stop_both(self, call: TimedCall) -> None:
        self.call.stop(call)
        self.first_byte.stop(call)

    def close(self) -> None:
        for queue in self._all:
            queue.close()
