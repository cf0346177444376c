"""Every time-out of the data plane in one place: how long each lasts, what it is for, and who is told at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakValueDictionary

from springtide.gateway.call_limits import CallBounds, patience_s
from springtide.gateway.deadlines import DeadlineQueue
from springtide.gateway.settings import GatewaySettings
from springtide.gateway.time_limit import TimeLimit
from springtide.scaler.core.call_timeout import CallTimeout

LINGER_S = 2.0
"""How long a connection that we have ended is still read, so that its client sees our answer."""


class TimedClient(Hashable, Protocol):
    def head_timed_out(self) -> None: ...

    def idle_timed_out(self) -> None: ...

    def linger_timed_out(self) -> None: ...

    def write_timed_out(self) -> None: ...


class TimedBody(Hashable, Protocol):
    def body_timed_out(self) -> None:
        """Its client is silent in the middle of a request's body."""


class TimedCall(Hashable, Protocol):
    def timed_out(self) -> None:
        """Its answer has not begun, or is silent, for too long."""

    def first_byte_timed_out(self) -> None: ...


class TimedTunnel(Hashable, Protocol):
    def timed_out(self) -> None: ...


class TimedReplicaConnection(Hashable, Protocol):
    def close(self) -> None: ...


class CallLimit:
    """How long the calls of some functions may take, alike for all whose ``limit`` is the same.

    A call keeps the one it began with. ``start`` again, while its body keeps coming, is a new beginning; ``stream`` is
    told when its answer has begun and is not whole yet, and with each further piece: from then on it may be silent for
    ``idle_s`` and last for as long as it will.
    """

    __slots__ = ("__weakref__", "idle_s", "limit", "start", "stop", "stream")

    def __init__(self, limit: TimeLimit, queues: _Queues) -> None:
        self.limit = limit
        self.idle_s = queues.idle.seconds
        # Every call comes by here, and nearly always one queue is all there is.
        alone = queues.idle is queues.answer and queues.first_byte is None
        self.start = queues.answer.start if queues.first_byte is None else queues.start
        self.stop = queues.answer.stop if alone else queues.stop
        self.stream = queues.answer.start if alone else queues.stream

    def __repr__(self) -> str:
        return f"<CallLimit {self.limit}, idle {self.idle_s:g} s>"


@dataclass(frozen=True, slots=True)
class _Queues:
    """A call is in ``answer`` and ``first_byte`` (if that is timed) until its answer begins, and then in ``idle``."""

    answer: DeadlineQueue[TimedCall]
    idle: DeadlineQueue[TimedCall]
    first_byte: DeadlineQueue[TimedCall] | None

    def start(self, call: TimedCall) -> None:
        self.answer.start(call)
        if self.first_byte is not None:
            self.first_byte.start(call)

    def stream(self, call: TimedCall) -> None:
        self.stop(call)
        self.idle.start(call)

    def stop(self, call: TimedCall) -> None:
        self.answer.stop(call)
        self.idle.stop(call)
        if self.first_byte is not None:
            self.first_byte.stop(call)


class Timeouts:
    """One queue for each length of each time-out; ``stop_client`` ends all that one client has."""

    __slots__ = (
        "_all",
        "_by_seconds",
        "_first_byte",
        "_limits",
        "_loop",
        "_of_clients",
        "_stream_idle_s",
        "body",
        "bounds",
        "first_byte",
        "head",
        "keep_alive",
        "linger",
        "max_call",
        "replica_idle",
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
        self.body = DeadlineQueue[TimedBody](loop, settings.read_timeout_s, lambda one: one.body_timed_out())
        self._loop = loop
        self.bounds = CallBounds(settings.upstream_timeout_s, settings.max_call_duration_s)
        self._first_byte = DeadlineQueue[TimedCall](
            loop, settings.first_byte_timeout_s, lambda one: one.first_byte_timed_out()
        )
        self.first_byte = TimeLimit(
            "first_byte_timeout", settings.first_byte_timeout_s, remedy="set first_byte_timeout"
        )
        self.max_call = self.bounds.most
        self._stream_idle_s = settings.stream_idle_s
        # Weak: the functions and the calls that have a limit keep it, and no others are remembered.
        self._limits = WeakValueDictionary[TimeLimit, CallLimit]()
        self._by_seconds = WeakValueDictionary[float, DeadlineQueue[TimedCall]]()
        self.tunnel = DeadlineQueue[TimedTunnel](loop, settings.tunnel_idle_s, lambda one: one.timed_out())
        # A replica's connection.
        self.replica_idle = DeadlineQueue[TimedReplicaConnection](
            loop, settings.replica_idle_s, lambda one: one.close()
        )
        self._of_clients = (self.head, self.keep_alive, self.linger, self.write)
        self._all = (*self._of_clients, self.body, self._first_byte, self.tunnel, self.replica_idle)

    def __repr__(self) -> str:
        return f"<Timeouts {len(self)} running>"

    def __len__(self) -> int:
        return sum(len(queue) for queue in self)

    def __iter__(self) -> Iterator[DeadlineQueue[Any]]:
        yield from self._all
        yield from self._by_seconds.values()

    def call_limit(self, own: CallTimeout | None) -> CallLimit:
        """What holds for the calls of a function that says ``own`` of itself."""
        limit = self.bounds.of(own)
        known = self._limits.get(limit)
        if known is None:
            answer_s = patience_s(limit)
            idle_s = self._stream_idle_s or self.bounds.idle_s(answer_s)
            queues = _Queues(
                self._queue(answer_s), self._queue(idle_s), self._first_byte if self._first_byte.seconds else None
            )
            known = self._limits[limit] = CallLimit(limit, queues)
        return known

    def stop_client(self, client: TimedClient) -> None:
        for queue in self._of_clients:
            queue.stop(client)

    def close(self) -> None:
        for queue in self:
            queue.close()

    def _queue(self, seconds: float) -> DeadlineQueue[TimedCall]:
        known = self._by_seconds.get(seconds)
        if known is None:
            queue = DeadlineQueue[TimedCall](self._loop, seconds, lambda one: one.timed_out())
            known = self._by_seconds[seconds] = queue
        return known
