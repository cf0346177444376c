"""The watchdog as an HTTP/1.1 server: connections, one request of each at a time, answers in the order of requests.

An application is called as ``app(scope, receive, send)``, in ASGI's shape. All of it is the standard library, so that
it runs in any interpreter a function may have.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote

from .calls import INTERIM, INTERNAL, UPGRADE, App, CallerLeftError, SlowCallerError, own_limit
from .http1.body import LAST_CHUNK, Body, body_of, chunk
from .http1.fields import CHUNKED, MAX_HEAD_BYTES, UNTIL_CLOSE, Malformed
from .http1.request import RequestHead, check_incomplete_request, parse_request
from .http1.response import NO_BODY, Unsendable, write_interim, write_response, write_switch
from .http_date import http_date
from .log import log, log_exception
from .tunnel import Tunnel

BACKLOG = 2048
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


class HttpServer:
    """Listens on a socket and calls the application for each request."""

    def __init__(self, app: App, listener: socket.socket, timeouts: ServerTimeouts) -> None:
        self.app, self.timeouts = app, timeouts
        self._listener, self._loop = listener, asyncio.get_running_loop()
        self._pid = os.getpid()
        self._server: asyncio.AbstractServer | None = None
        self.connections: set[HttpConnection] = set()
        self._none_left = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._date, self._second = b"", 0

    def __repr__(self) -> str:
        return f"<HttpServer {len(self.connections)} connections>"

    async def start(self) -> None:
        self._server = await self._loop.create_server(
            lambda: HttpConnection(self), sock=self._listener, backlog=BACKLOG
        )

    def stop_listening(self) -> None:
        """Take no more connections; those that are idle end now, the others with their answer."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.end_when_idle()

    def let_go(self) -> None:
        """In a process that a handler has forked: the connections are the replica's, which could not end them else.

        Their numbers stay taken, by nothing, for objects that are here, too, believe them theirs. In what such a
        process forks in turn they may be something else's by now.
        """
        if os.getppid() != self._pid:
            return
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (self._listener.fileno(), *(connection.descriptor for connection in self.connections)):
            if descriptor >= 0:
                os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)

    async def no_connections(self) -> None:
        """Wait until the last connection has ended."""
        while self.connections:
            self._none_left.clear()
            await self._none_left.wait()

    def run(self, exchange: Exchange) -> None:
        """Call the application. The loop itself holds tasks by weak references only."""
        task = self._loop.create_task(exchange.run(self.app))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, connection: HttpConnection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._none_left.set()

    def date(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, http_date(second).encode()
        return self._date


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

    def __init__(self, server: HttpServer) -> None:
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


class Exchange:
    """One request and its answer, as the application sees them."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_deadline",
        "_delivered",
        "_flushing",
        "_framing",
        "_gone",
        "_head",
        "_keep_alive",
        "_pending",
        "_waiter",
        "answering",
        "awaits_permission",
        "body",
        "complete",
        "scope",
        "unread",
    )

    def __init__(self, connection: HttpConnection, head: RequestHead) -> None:
        self._connection, self._head = connection, head
        self.body: Body = body_of(head.length)
        self._chunks: list[bytes] = []
        self.unread = 0
        self.awaits_permission = head.expects_continue
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._gone = self._delivered = False
        self._pending = b""
        self._flushing: asyncio.Handle | None = None
        self._framing = UNTIL_CLOSE
        self._keep_alive = head.keep_alive
        self.answering = self.complete = False
        self.scope = self._scope()

    def __repr__(self) -> str:
        state = "complete" if self.complete else "answering" if self.answering else "new"
        return f"<Exchange {self._head.method} {state}>"

    def _scope(self) -> dict[str, Any]:
        raw_path, _, query = self._head.target.partition(b"?")
        path = raw_path.decode("latin-1")
        extensions: dict[str, Any] = {INTERIM: {"send": self._interim}}
        if self._head.upgrade:
            extensions[UPGRADE] = {"protocols": self._head.upgrade, "switch": self._switch}
        return {
            "type": "http",
            "http_version": "1.1" if self._head.http11 else "1.0",
            "method": self._head.method,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._head.headers,
            "extensions": extensions,
        }

    async def run(self, app: App) -> None:
        """Call the application; whatever it does, the caller gets one answer or sees that it broke off."""
        try:
            await app(self.scope, self.receive, self.send)
            if not self.complete and not self._connection.closed:
                self._failed("the function's mode ended without an answer")
        except Unsendable as problem:
            self._failed(f"cannot send the answer: {problem}")
        except (CallerLeftError, ConnectionAbortedError):
            self._broken_off()
        except Exception as error:  # noqa: BLE001 - one call's failure is not the replica's
            log_exception(error)
            self._failed("the function's mode failed; see the lines before")

    # The request.

    @property
    def body_complete(self) -> bool:
        return self.body.done

    def arrived(self, payload: bytes) -> None:
        if payload and not self.complete:
            self._chunks.append(payload)
            self.unread += len(payload)
        self._wake()

    def caller_left(self) -> None:
        self._gone = True
        self._wake()

    def refused(self) -> None:
        """The rest of the body is malformed: the function hears that the caller left, and nothing more is sent."""
        self.complete = True
        self.caller_left()

    async def receive(self) -> MutableMapping[str, Any]:
        """The next piece of the body; once it is read, wait for the caller to leave. Raises SlowCallerError."""
        if self.awaits_permission and not self.body.done and not self.answering:
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.awaits_permission = False
        while not self._chunks and not self.body.done and not self._gone:
            await self._wait(self._connection.read_timeout_s)
        if self._chunks or (self.body.done and not self._delivered):
            body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks.clear()
            self.unread = 0
            self._connection.read_on()
            self._delivered = self.body.done
            return {"type": "http.request", "body": body, "more_body": not self.body.done}
        while not self._gone and not self.complete:
            await self._wait(0.0)
        return {"type": "http.disconnect"}

    async def _wait(self, limit_s: float) -> None:
        loop = self._connection.loop
        timer = None
        if limit_s:
            self._deadline = self._deadline or loop.time() + limit_s
            timer = loop.call_at(self._deadline, self._too_slow)
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            if timer is not None:
                timer.cancel()

    def _too_slow(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(SlowCallerError(self._connection.read_timeout_s))
        self._waiter = None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # The answer.

    async def send(self, message: Mapping[str, Any]) -> None:
        """Raises CallerLeftError, or Unsendable for what HTTP has no bytes for."""
        if message["type"] == "http.response.start":
            self._start(message["status"], message["headers"])
            return
        connection = self._connection
        if self.complete:
            raise CallerLeftError("the answer is over")
        more = message.get("more_body", False)
        data = self._framed(message.get("body", b""), last=not more)
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._pending:
            data, self._pending = self._pending + data, b""
        if data:
            connection.write(data)
        if not more:
            self.complete = True
            if not connection.full:
                connection.answered(self, keep_alive=self._keep_alive)
                self._wake()
                return
        await connection.writable()
        if not more:
            connection.answered(self, keep_alive=self._keep_alive)
            self._wake()

    def _start(self, status: int, headers: Any) -> None:
        if self.answering:
            raise RuntimeError("an answer has one head")
        head = self._head
        written = write_response(
            status,
            headers,
            date=self._connection.date(),
            to_head=head.method == "HEAD",
            http11=head.http11,
            keep_alive=head.keep_alive,
        )
        self.answering = True
        self._pending, self._framing, self._keep_alive = written
        # With the body's first piece, if that comes at once; one write is half the price of two.
        self._flushing = self._connection.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = None
        data, self._pending = self._pending, b""
        if data:
            self._connection.write(data)

    def _framed(self, body: bytes, *, last: bool) -> bytes:
        if self._framing == CHUNKED:
            return chunk(body) + LAST_CHUNK if last else chunk(body)
        if self._framing == UNTIL_CLOSE:
            return body
        if self._framing == NO_BODY:
            return b""
        self._framing -= len(body)
        if self._framing < 0 or (last and self._framing):
            self._framing = 0
            raise Unsendable("its content-length is not the length of its body")
        return body

    def _failed(self, why: str) -> None:
        log(why)
        if self.complete:
            return
        if self.answering and not self._pending:
            self._broken_off()
            return
        if self._flushing is not None:
            self._flushing.cancel()
        self._pending, self.answering, self.complete = b"", True, True
        self._connection.write(own_answer(500, _CANNOT, self._connection.date(), to_head=self._head.method == "HEAD"))
        self._connection.answered(self, keep_alive=False)
        self._wake()

    def _broken_off(self) -> None:
        if not self.complete:
            self._connection.abort()

    def _interim(self, status: int, headers: Any) -> None:
        """A head before the answer. 100 is this server's own to send, and 101 opens a tunnel."""
        if not self.answering and not self._gone and self._head.http11 and status not in (100, 101):
            self._connection.write(write_interim(status, headers))

    def _switch(self, headers: Any, other: asyncio.Transport, early: bytes) -> Tunnel:
        """Answer 101 and join the caller with another connection; ``early`` is what that one has sent already."""
        head = write_switch(headers)
        self.answering = self.complete = True
        self._connection.write(head + early)
        transport, data = self._connection.detached()
        tunnel = Tunnel(transport, other, self._connection.forget)
        if data:
            other.write(data)
        return tunnel


_CANNOT = b"The function's answer cannot be sent; see its log.\n"
_OWN = ((b"content-type", b"text/plain; charset=utf-8"), (INTERNAL, b"of-watchdog"))

Switch = Callable[[Any, asyncio.Transport, bytes], Tunnel]


def own_answer(status: int, body: bytes, date: bytes, *, to_head: bool = False) -> bytes:
    """A whole answer of ours, after which the connection ends."""
    headers = (*_OWN, (b"content-length", b"%d" % len(body)))
    written = write_response(status, headers, date=date, to_head=to_head, http11=False, keep_alive=False)
    return written.head + (b"" if to_head else body)
