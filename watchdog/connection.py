"""One connection of the watchdog's server: one request at a time, answers in the order of requests."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol, cast

from .calls import CallerLeftError, own_limit
from .exchange import Exchange, own_answer
from .http1.fields import MAX_HEAD_BYTES, Malformed
from .http1.request import check_incomplete_request, parse_request
from .log import log

MAX_UNREAD_BYTES = 65_536
"""Of a body that the function does not read yet, or of requests that wait for the one before them."""
MAX_DROPPED_BYTES = 1 << 20
"""Of a body that nobody reads to its end; a longer one costs the connection."""
LEAVE_S = 2.0
"""How long a connection that ends reads on, so that what it still has to send is not lost by a reset."""


@dataclass(frozen=True)
class ServerTimeouts:
    """Seconds; 0 is no limit."""

    read_s: float
    """For a request to arrive: its head, and its body."""
    write_s: float
    """For a caller to take a piece of its answer."""
    keep_alive_s: float


class ConnectionOwner(Protocol):
    """What a connection needs of its server."""

    @property
    def timeouts(self) -> ServerTimeouts: ...

    @property
    def connections(self) -> set[HttpConnection]: ...

    def run(self, exchange: Exchange) -> None: ...

    def forget(self, connection: HttpConnection) -> None: ...

    def date(self) -> bytes: ...


class HttpConnection(asyncio.Protocol):
    """Cuts requests out of what a caller sends, and calls the application for one after the other."""

    __slots__ = (
        "_buffer",
        "_drained",
        "_dropped",
        "_ending",
        "_exchange",
        "_head_timer",
        "_idle_since",
        "_idle_timer",
        "_leaving",
        "_paused",
        "_seen",
        "_server",
        "_transport",
        "full",
        "loop",
    )

    def __init__(self, server: ConnectionOwner) -> None:
        self._server, self.loop = server, asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer, self._seen = b"", 0
        self._exchange: Exchange | None = None
        self._ending = self._leaving = self._paused = False
        self._dropped = 0
        self.full = False
        self._drained: asyncio.Future[None] | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0

    def __repr__(self) -> str:
        return f"<HttpConnection {'closed' if self.closed else self._exchange or 'idle'}>"

    @property
    def descriptor(self) -> int:
        """Of its socket; -1 once it is closed."""
        found = None if self._transport is None else self._transport.get_extra_info("socket")
        return -1 if found is None else int(found.fileno())

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)
        self._idle_since = self.loop.time()
        self._idle_timer = self.loop.call_later(self._server.timeouts.keep_alive_s, self._check_idle)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - nobody is told why
        self._transport = None
        self._server.forget(self)
        for timer in (self._head_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._wake_writer()
        if self._exchange is not None:
            self._exchange.caller_left()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._wake_writer()

    def data_received(self, data: bytes) -> None:
        if self._leaving:
            return
        self._buffer = self._buffer + data if self._buffer else data
        try:
            if self._exchange is None:
                self._next_request()
            else:
                self._more_body()
        except Malformed as problem:
            self._refuse(problem)

    # Requests.

    def _next_request(self) -> None:
        data = self._buffer
        start = 0
        while data.startswith(b"\r\n", start):  # RFC 9112, 2.2: an empty line before a request is nothing
            start += 2
        end = data.find(b"\r\n\r\n", max(start, self._seen - 3))
        if end < 0:
            self._await_head(data[start:])
            return
        self._unset_head_timer()
        self._seen = 0
        if end - start > MAX_HEAD_BYTES:
            raise Malformed("the headers are too large", 431)
        head = parse_request(data[start:end])
        self._buffer = data[end + 4 :]
        exchange = Exchange(self, head)
        self._exchange = exchange
        if self._buffer or not head.length:
            self._more_body()
        self._server.run(exchange)

    def _await_head(self, data: bytes) -> None:
        check_incomplete_request(data, self._seen)
        self._buffer, self._seen = data, len(data)
        if data and self._head_timer is None and self._server.timeouts.read_s:
            self._head_timer = self.loop.call_later(self._server.timeouts.read_s, self._head_timed_out)

    def _head_timed_out(self) -> None:
        limit = own_limit("read_timeout", self._server.timeouts.read_s)
        self._refuse(Malformed(f"the request's head did not arrive within {limit}", 408))

    def _more_body(self) -> None:
        exchange = self._exchange
        assert exchange is not None
        data = self._buffer
        if not exchange.body_complete:
            payload, self._buffer = exchange.body.feed(data)
            exchange.arrived(payload)
            self._bound_dropped(exchange, payload)
        if (exchange.unread > MAX_UNREAD_BYTES or len(self._buffer) > MAX_UNREAD_BYTES) and not self._paused:
            self._paused = True
            if self._transport is not None and not self._transport.is_closing():
                self._transport.pause_reading()
        if exchange.complete and exchange.body_complete:
            self._next()

    def _bound_dropped(self, exchange: Exchange, payload: bytes) -> None:
        if exchange.complete:
            self._dropped += len(payload)
            if self._dropped > MAX_DROPPED_BYTES:
                self._linger()

    def read_on(self) -> None:
        """The function has taken what was there."""
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def answered(self, exchange: Exchange, *, keep_alive: bool) -> None:
        """The last byte of the answer was written."""
        if exchange is not self._exchange or self.closed:
            return
        if not exchange.body_complete:
            self._answered_early(exchange, keep_alive=keep_alive)
        elif keep_alive and not self._ending:
            self._next()
        else:
            self._exchange = None
            self._close()

    def _answered_early(self, exchange: Exchange, *, keep_alive: bool) -> None:
        """Read the rest of the body for nothing, if that is soon done: a reset could lose what was just sent."""
        if not keep_alive or self._ending or exchange.awaits_permission:
            self._exchange = None
            self._linger()
            return
        self._dropped = 0
        self._head_timer = self.loop.call_later(LEAVE_S, self._linger)
        self.read_on()

    def _next(self) -> None:
        self._exchange = None
        self._idle_since = self.loop.time()
        self._unset_head_timer()
        self.read_on()
        if self._buffer:
            try:
                self._next_request()
            except Malformed as problem:
                self._refuse(problem)

    def _refuse(self, problem: Malformed) -> None:
        """Answer what is no request, once. An answer under way is broken off, and one that is sent stands."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            sent = exchange.complete
            exchange.refused()
            if sent:
                self._linger()
                return
            if exchange.answering:
                self.abort()
                return
        log(f"refused a request: {problem}")
        self.write(own_answer(problem.status, f"{problem}\n".encode(), self.date()))
        self._linger()

    def _unset_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    # Answers.

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def writable(self) -> None:
        """Wait until the caller has taken enough. Raises CallerLeftError when it does not, or has gone."""
        if self.full:
            timer = None
            if self._server.timeouts.write_s:
                timer = self.loop.call_later(self._server.timeouts.write_s, self._stalled)
            self._drained = self.loop.create_future()
            try:
                await self._drained
            finally:
                if timer is not None:
                    timer.cancel()
        if self.closed:
            raise CallerLeftError("the caller closed the connection")

    def date(self) -> bytes:
        return self._server.date()

    @property
    def read_timeout_s(self) -> float:
        return self._server.timeouts.read_s

    # Ends.

    def end_when_idle(self) -> None:
        self._ending = True
        if self._exchange is None:
            self._close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def detached(self) -> tuple[asyncio.Transport, bytes]:
        """For a tunnel: the transport, which the caller of this has from now on, and what was read of it already."""
        assert self._transport is not None
        transport, early = self._transport, self._buffer
        if self._paused:
            transport.resume_reading()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._transport, self._buffer = None, b""
        return transport, early

    def forget(self) -> None:
        """The tunnel is over."""
        self._server.forget(self)

    def _linger(self) -> None:
        """End the connection: what was written is sent, what still comes is dropped, for a moment."""
        if self.closed or self._leaving:
            return
        assert self._transport is not None
        self._leaving = True
        self._buffer = b""
        self.read_on()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._unset_head_timer()
        self._head_timer = self.loop.call_later(LEAVE_S, self._close)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _stalled(self) -> None:
        limit = own_limit("write_timeout", self._server.timeouts.write_s)
        log(f"gave up: the caller did not read its answer within {limit}")
        self.abort()

    def _check_idle(self) -> None:
        """One timer for all requests: to set and unset one for each would cost more than to look again."""
        kept_s = self._server.timeouts.keep_alive_s
        idle_s = self.loop.time() - self._idle_since if self._exchange is None else 0.0
        if idle_s >= kept_s:
            self._close()
        self._idle_timer = self.loop.call_later(max(kept_s - idle_s, 1.0), self._check_idle)

    def _wake_writer(self) -> None:
        waiter, self._drained = self._drained, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
