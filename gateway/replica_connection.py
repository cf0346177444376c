"""One connection to a replica: sends a request, reads the response, and hands its parts to the call it works for."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from springtide.gateway.http1.body import Body, BodyUntilClose, ChunkedBody, body_of
from springtide.gateway.http1.fields import Malformed
from springtide.gateway.http1.response import ResponseHead, check_incomplete, has_no_body, parse_response
from springtide.runtime.errors import reason_of


class ConnectionOwner(Protocol):
    """The replica that a connection leads to."""

    address: str
    prefix: bytes
    """Goes in front of the path of each request."""

    def put_back(self, connection: ReplicaConnection) -> None:
        """Its call is over, and it may carry another."""

    def lost(self, connection: ReplicaConnection) -> None:
        """It ended, or will carry no more calls."""

    def end_later(self, connection: ReplicaConnection) -> None:
        """It is closed, and has something left to send."""


class ConnectionUser(Protocol):
    """Whoever a connection works for at the moment."""

    def replica_lost(self, why: str) -> None:
        """The connection ended, or what came makes no sense; nothing more follows."""

    def replica_full(self) -> None:
        """Send no more for now."""

    def replica_drained(self) -> None: ...


class ResponseReceiver(ConnectionUser, Protocol):
    """A request that waits for its response."""

    @property
    def method(self) -> bytes: ...

    def interim(self, head: ResponseHead) -> None:
        """A 1xx response other than 101 came; the real one follows."""

    def switched(self, head: ResponseHead, data: bytes) -> None:
        """The replica agreed to another protocol; ``data`` is its first part."""

    def answer(self, head: ResponseHead, length: int, payload: bytes) -> None:
        """The response begins. ``length`` is that of its body as ``http1.fields`` writes it."""

    def answer_more(self, payload: bytes) -> None: ...

    def answered(self, trailers: bytes) -> None:
        """The response is complete; the connection is to be let go."""


class TunnelEnd(ConnectionUser, Protocol):
    """Who bytes go to after a 101."""

    def tunnelled(self, data: bytes) -> None: ...

    def tunnel_ended(self) -> None:
        """The replica will send no more."""


class ReplicaConnection(asyncio.Protocol):
    """``heard`` tells whether any byte of an answer to the present call has come."""

    __slots__ = (
        "_body",
        "_buffer",
        "_call",
        "_full",
        "_keep",
        "_paused",
        "_tunnel",
        "heard",
        "replica",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, replica: ConnectionOwner) -> None:
        self.replica = replica
        self.heard = False
        self._call: ResponseReceiver | None = None
        self._buffer = b""
        self._body: Body | None = None
        self._keep = True
        self._paused = False
        self._full = False
        self._tunnel: TunnelEnd | None = None

    def __repr__(self) -> str:
        return f"<ReplicaConnection {self.replica.address} {'busy' if self._call else 'idle'}>"

    # What the call asks for.

    def begin(self, call: ResponseReceiver, data: bytes) -> None:
        """Send the first part of a request; from now on everything that comes is for ``call``."""
        self._call = call
        self.heard = False
        prefix = self.replica.prefix
        if prefix:
            method, _, rest = data.partition(b" ")
            data = b"%b %b%b" % (method, prefix, rest)
        self.transport.write(data)

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def end_writing(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def release(self, *, reusable: bool) -> None:
        """The call is over. The connection carries another one if both sides are in a state to do so."""
        self._call = None
        self.resume()
        if reusable and self._keep and not self._full and not self.transport.is_closing():
            self._body = None
            self.replica.put_back(self)
        else:
            self.transport.abort()

    def switch(self, tunnel: TunnelEnd) -> None:
        """From now on bytes are passed on as they are."""
        self._call = None
        self._tunnel = tunnel

    def close(self) -> None:
        """Carry no more calls, and end once what is written has been sent; asked again, end at once."""
        replica, transport = self.replica, self.transport
        replica.lost(self)
        if transport.is_closing():
            transport.abort()
            return
        transport.close()
        if transport.get_write_buffer_size():
            replica.end_later(self)

    def pause(self) -> None:
        """Read no more: the caller is slower than the replica."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        call = self._call
        if call is None:
            self._unasked(data)
        elif self._body is None:
            self.heard = True
            if self._buffer:
                data, self._buffer = self._buffer + data, b""
            self._read_head(call, data)
        else:
            self._read_body(call, self._body, data)

    def eof_received(self) -> bool:
        if self._tunnel is not None:
            self._tunnel.tunnel_ended()
            return True
        if self._call is None:
            self.replica.lost(self)
        else:
            self._ended(self._call)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.replica.lost(self)
        if self._tunnel is not None:
            self._tunnel.replica_lost("it closed the connection" if error is None else reason_of(error))
        elif self._call is None:
            return
        elif error is None:
            self._ended(self._call)
        else:
            self._fail(self._call, f"the connection to the replica broke: {reason_of(error)}")

    def pause_writing(self) -> None:
        self._full = True
        user = self._call or self._tunnel
        if user is not None:
            user.replica_full()

    def resume_writing(self) -> None:
        self._full = False
        user = self._call or self._tunnel
        if user is not None:
            user.replica_drained()

    # Reading a response.

    def _unasked(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.tunnelled(data)
            return
        # Nothing was asked. Whatever this is, it must not become the answer to the next call.
        self.replica.lost(self)
        self.transport.abort()

    def _read_head(self, call: ResponseReceiver, data: bytes) -> None:
        while True:
            end = data.find(b"\r\n\r\n")
            try:
                if end < 0:
                    check_incomplete(data)
                    self._buffer = data
                    return
                head = parse_response(data[:end])
            except Malformed as error:
                self._fail(call, f"the replica's answer: {error}")
                return
            data = data[end + 4 :]
            if head.status >= 200:
                break
            if head.status == 101:
                self._keep = False
                call.switched(head, data)
                return
            call.interim(head)
            if self._call is not call:
                return
        self._begin_answer(call, head, data)

    def _begin_answer(self, call: ResponseReceiver, head: ResponseHead, data: bytes) -> None:
        self._keep = head.keep_alive
        length = 0 if has_no_body(call.method, head.status) else head.length
        if length == len(data):
            self._body = _NOTHING_LEFT
            call.answer(head, length, data)
            if self._call is call:
                call.answered(b"")
            return
        self._body = body = body_of(length)
        try:
            payload, rest = body.feed(data) if data else (data, b"")
        except Malformed as error:
            self._fail(call, f"the replica's answer: {error}")
            return
        call.answer(head, length, payload)
        self._proceed(call, body, rest)

    def _read_body(self, call: ResponseReceiver, body: Body, data: bytes) -> None:
        try:
            payload, rest = body.feed(data)
        except Malformed as error:
            self._fail(call, f"the replica's answer: {error}")
            return
        if payload:
            call.answer_more(payload)
        self._proceed(call, body, rest)

    def _proceed(self, call: ResponseReceiver, body: Body, rest: bytes) -> None:
        if not body.done or self._call is not call:
            return
        if rest:
            self._keep = False  # more than one answer to one question
        call.answered(body.trailers if isinstance(body, ChunkedBody) else b"")

    def _ended(self, call: ResponseReceiver) -> None:
        self._keep = False
        if isinstance(self._body, BodyUntilClose):
            call.answered(b"")
        else:
            self._fail(call, "the replica closed the connection")

    def _fail(self, call: ResponseReceiver, why: str) -> None:
        self._call = None
        self._keep = False
        self.transport.abort()
        call.replica_lost(why)


_NOTHING_LEFT = body_of(0)
