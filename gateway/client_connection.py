"""One connection of a caller: cuts requests out of it, one at a time, and carries the answers back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol, cast

from springtide.gateway.disconnect_watcher import DisconnectWatcher
from springtide.gateway.http1.fields import Malformed
from springtide.gateway.http1.reply import reply
from springtide.gateway.http1.request import (
    MAX_HEAD_BYTES,
    MAX_REQUEST_LINE_BYTES,
    RequestHead,
    check_incomplete,
    parse_request,
)
from springtide.gateway.time_limit import TimeLimit
from springtide.gateway.timeouts import Timeouts

MAX_PIPELINED_BYTES = 64 * 1024
"""Requests read ahead while one is being answered; beyond it the caller is not read from."""


class Handler(Protocol):
    """Who the bytes of the current request go to."""

    request_open: bool
    """More of the request is to come."""

    def request_data(self, data: bytes) -> bytes:
        """Take what belongs to the request; returns what comes behind it."""

    def client_left(self) -> None: ...

    def client_ended(self) -> bool:
        """The caller will send no more. Returns whether to go on."""

    def client_stopped(self) -> None:
        """The caller will send no more than what has not been read yet."""

    def client_full(self) -> None:
        """Write no more for now."""

    def client_drained(self) -> None: ...


class Requests(Protocol):
    """Where requests go."""

    def begin(self, client: ClientConnection, head: RequestHead) -> None:
        """A request has come; its handler is set on return, unless it has been answered already."""

    def own_headers(self) -> bytes:
        """The lines that every response carries, for a request that could not be read."""

    def count_refused(self, reason: str) -> None: ...


class OpenConnections(Protocol):
    """Who counts connections."""

    def admit(self, client: ClientConnection) -> bool:
        """Count a connection in; False when there are too many."""

    def forget(self, client: ClientConnection) -> None: ...


@dataclass(frozen=True, slots=True)
class ClientPorts:
    """What all connections of clients share."""

    loop: asyncio.AbstractEventLoop
    requests: Requests
    connections: OpenConnections
    timeouts: Timeouts
    disconnects: DisconnectWatcher


class ClientConnection(asyncio.Protocol):
    """Requests are answered in the order they came; the next is begun when the one before is answered and written."""

    __slots__ = (
        "_ahead",
        "_at",
        "_ended",
        "_fd",
        "_handler",
        "_lingering",
        "_paused",
        "_ports",
        "_seen",
        "_timeouts",
        "_unsent",
        "full",
        "peer",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, ports: ClientPorts) -> None:
        self._ports = ports
        self._timeouts = ports.timeouts
        self._handler: Handler | None = None
        # What was read and not yet used is _ahead from _at on; up to _seen it is known to hold no whole head.
        self._ahead = b""
        self._at = self._seen = 0
        self._paused = False
        self._ended = False
        self._lingering = False
        self._unsent = 0
        self._fd = -1
        self.full = False
        self.peer = b""

    def __repr__(self) -> str:
        return f"<ClientConnection {self.peer.decode()} {self._handler or 'idle'}>"

    # For the call that is being handled.

    @property
    def busy(self) -> bool:
        """A request is being answered or arriving."""
        return self._handler is not None or bool(self._ahead)

    def handle_with(self, handler: Handler) -> None:
        self._handler = handler

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def keep(self, data: bytes) -> None:
        """Put aside what belongs to the next request."""
        self._ahead = self._ahead[self._at :] + data if self._ahead else data
        self._at = self._seen = 0
        if len(data) > MAX_PIPELINED_BYTES or len(self._ahead) > MAX_PIPELINED_BYTES:
            self.pause()

    def take(self, size: int) -> bytes:
        """Use up to ``size`` bytes of what was read; all of it where the size is not known (negative)."""
        at, end = self._at, len(self._ahead)
        if 0 <= size < end - at:
            self._at = at + size
            return self._ahead[at : at + size]
        taken = self._ahead[at:] if at else self._ahead
        self._ahead, self._at = b"", 0
        return taken

    def pause(self) -> None:
        """Read no more for now."""
        if not self._paused and not self._ended and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()
            self._watch_for_disconnect(stopped=False)

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    @property
    def paused(self) -> bool:
        return self._paused

    def end_writing(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def done(self, *, keep: bool) -> None:
        """The current request is answered. ``keep`` False closes the connection once everything is written."""
        handler, self._handler = self._handler, None
        if self.transport.is_closing():
            return
        if not keep:
            self.close(unread=handler is not None and handler.request_open)
        elif self._ahead:
            # Not called here: a thousand pipelined requests must not become a thousand nested calls.
            self._ports.loop.call_soon(self._next)
        elif self._ended:
            self.close()
        else:
            self.resume()
            self._timeouts.keep_alive.start(self)

    def close(self, *, unread: bool = False) -> None:
        """Close after what is written has been sent.

        With bytes ``unread`` the kernel would answer them with a reset, which may destroy our answer on its way:
        so only the sending half is closed, and what comes is read and dropped for a while.
        """
        if not unread or self._ended:
            self.transport.close()
            if self.transport.get_write_buffer_size():
                self._wait_for_reader()
            return
        self._lingering = True
        self._ahead = b""
        self.resume()
        self.end_writing()
        self._timeouts.linger.start(self)

    def abort(self) -> None:
        """Close at once, so that the caller sees its answer is not whole."""
        self.transport.abort()

    # Time-outs.

    def head_timed_out(self) -> None:
        if not self._ahead:  # a connection opened and not used, as browsers do
            self.close()
            return
        extra = self._ports.requests.own_headers()
        limit = TimeLimit("head_timeout", self._timeouts.head.seconds)
        self.write(reply(408, f"the request's headers did not arrive within {limit}", extra=extra, close=True))
        self.close(unread=True)

    def idle_timed_out(self) -> None:
        self.close()

    def linger_timed_out(self) -> None:
        if self.full:
            self._timeouts.linger.start(self)  # it is still reading our answer
        else:
            self.transport.abort()

    def write_timed_out(self) -> None:
        """For so long not everything could be sent. Who reads slowly is waited for, who reads nothing is not."""
        unsent = self.transport.get_write_buffer_size()
        if not self._unsent or unsent < self._unsent:
            self._unsent = unsent
            self._timeouts.write.start(self)
            return
        self._ports.requests.count_refused("stalled_reader")
        self.transport.abort()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0].encode() if isinstance(peer, tuple) else b"unknown"
        if self._ports.connections.admit(self):
            self._timeouts.head.start(self)
        else:
            extra = self._ports.requests.own_headers() + b"\r\nRetry-After: 1"
            self.write(reply(503, "too many connections", extra=extra, close=True))
            self.close(unread=True)

    def data_received(self, data: bytes) -> None:
        handler = self._handler
        if handler is None:
            if self._lingering:
                return
            if self.full:
                self.keep(data)
                return
            if self._ahead:
                self._ahead = self._ahead[self._at :] + data
                self._at = 0
            else:
                self._ahead = data
            self._read_head()
        elif handler.request_open:
            rest = handler.request_data(data)
            if rest:
                self.keep(rest)
        else:
            self.keep(data)

    def eof_received(self) -> bool:
        if self._handler is None or not self._handler.client_ended() or self.transport.is_closing():
            self.close()
            return False
        self._ended = True
        self._watch_for_disconnect(stopped=True)
        return True

    def peer_stopped(self) -> None:
        if self._paused and self._handler is not None and not self.transport.is_closing():
            self._handler.client_stopped()
            self._watch_for_disconnect(stopped=True)

    def peer_gone(self) -> None:
        if self._paused or self._ended:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        ports = self._ports
        self._timeouts.stop_client(self)
        ports.disconnects.forget(self, self._fd)
        ports.connections.forget(self)
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.client_left()

    def pause_writing(self) -> None:
        self.full = True
        self._wait_for_reader()
        if self._handler is not None:
            self._handler.client_full()

    def resume_writing(self) -> None:
        self.full = False
        self._timeouts.write.stop(self)
        if self._handler is not None:
            self._handler.client_drained()
        elif self._ahead:
            self._next()

    def _wait_for_reader(self) -> None:
        self._unsent = 0  # not known: more of it may be written at once
        self._timeouts.write.start(self)

    def _watch_for_disconnect(self, *, stopped: bool) -> None:
        if self._fd < 0:
            socket = self.transport.get_extra_info("socket")
            if socket is None:
                return
            self._fd = socket.fileno()
        self._ports.disconnects.watch(self, self._fd, stopped=stopped)

    # Reading a request.

    def _next(self) -> None:
        """Go on with what was read ahead."""
        if self._handler is not None or self.full or self._lingering or not self._ahead or self.transport.is_closing():
            return
        self._read_head()
        if len(self._ahead) - self._at <= MAX_PIPELINED_BYTES and (
            self._handler is None or self._handler.request_open or not self._ahead
        ):
            self.resume()

    def _read_head(self) -> None:
        """Begin the next request, or wait for the rest of its head."""
        data, at, timeouts = self._ahead, self._at, self._timeouts
        while data.startswith(b"\r\n", at):  # RFC 9112, 2.2: an empty line before a request is to be ignored
            at += 2
        end = data.find(b"\r\n\r\n", max(at, self._seen - 3))
        try:
            if end < 0:
                self._wait_for_head(data[at:], self._seen)
                return
            if end - at > MAX_REQUEST_LINE_BYTES:
                check_incomplete(data[at:end])
            head = parse_request(data[at:end])
        except Malformed as error:
            self._refuse(error)
            return
        self._seen = 0
        if end + 4 < len(data):
            self._at = end + 4
        else:
            self._ahead, self._at = b"", 0
        timeouts.keep_alive.stop(self)
        timeouts.head.stop(self)
        self._ports.requests.begin(self, head)
        if self._ended and self._handler is not None and self._handler.request_open:
            self.close()  # the rest of this request will not come

    def _wait_for_head(self, data: bytes, seen: int) -> None:
        check_incomplete(data, seen)
        if self._ended:
            self.close()
            return
        self._ahead, self._at, self._seen = data, 0, len(data)
        timeouts = self._timeouts
        if data:
            timeouts.keep_alive.stop(self)
            if not timeouts.head.running(self):
                timeouts.head.start(self)
        elif not timeouts.head.running(self) and not timeouts.keep_alive.running(self):
            timeouts.keep_alive.start(self)  # nothing but empty lines behind the last request

    def _refuse(self, error: Malformed) -> None:
        """Say what is wrong and read nothing more: where the next request begins is not to be known."""
        requests, timeouts = self._ports.requests, self._timeouts
        timeouts.keep_alive.stop(self)
        timeouts.head.stop(self)
        requests.count_refused("malformed")
        self.write(reply(error.status, str(error), extra=requests.own_headers(), close=True))
        self.close(unread=True)


assert MAX_REQUEST_LINE_BYTES < MAX_HEAD_BYTES
