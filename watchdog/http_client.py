"""The watchdog as an HTTP client of the function's own server: pooled connections, both directions at once.

General clients send a whole request before they read the answer; a function may answer while it still reads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

from .http1.body import Body, body_of
from .http1.fields import MAX_HEAD_BYTES, UNTIL_CLOSE, Malformed, check_incomplete
from .http1.response import ResponseHead, parse_response
from .timeouts import timeout

CONNECT_TIMEOUT_S = 5.0
MAX_IDLE_S = 1.0
"""An idle connection is used again within this time only: common servers close theirs after two to five seconds."""
MAX_IDLE = 256
MAX_UNREAD_BYTES = 262_144
MAX_INTERIM_HEADS = 100


class UpstreamGoneError(Exception):
    """The function's server closed the connection, or never took it, or did not speak HTTP."""


Interim = Callable[[int, Sequence["tuple[bytes, bytes]"]], None]
"""Who is given the heads before the answer, such as early hints: their status and headers."""


def _dropped(_status: int, _headers: Sequence[tuple[bytes, bytes]]) -> None:
    pass


class Connection(asyncio.Protocol):
    """One request and its answer at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._news, self._writable = asyncio.Event(), asyncio.Event()
        self._writable.set()
        self.idle_since = 0.0
        self.reset()

    def reset(self) -> None:
        """Ready for the next request."""
        self.interim: Interim = _dropped
        self.sent = False
        """Whether the whole request is on its way. Of one that is not, the server would take the next for the rest."""
        self._to_head = False
        self._buffer, self._seen = b"", 0
        self._interim_heads = 0
        self._head: ResponseHead | None = None
        self._body: Body | None = None
        self._chunks: list[bytes] = []
        self._unread = 0
        self._paused = False
        self._failure = ""

    @property
    def reusable(self) -> bool:
        """Request and answer are complete, the server keeps the connection, and nothing came that nobody asked for."""
        if not self.sent or self._head is None or self._body is None or not self._body.done or self._buffer:
            return False
        return self._head.keep_alive and not self.closed

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def send(self, data: bytes) -> None:
        """Raises UpstreamGoneError."""
        await self._writable.wait()
        if self.closed:
            raise UpstreamGoneError("the connection was closed")
        assert self._transport is not None
        self._transport.write(data)

    def expect(self, *, to_head: bool) -> None:
        """Before the request is sent. ``to_head``: it is HEAD, so that lengths in the answer announce nothing."""
        self._to_head = to_head

    async def answer(self) -> ResponseHead:
        """Raises UpstreamGoneError."""
        while self._head is None:
            await self._more()
        return self._head

    async def body(self) -> AsyncIterator[bytes]:
        """Its pieces as they come. Raises UpstreamGoneError."""
        assert self._body is not None
        while True:
            if self._chunks:
                data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
                self._chunks.clear()
                self._unread = 0
                self._read_on()
                yield data
            elif self._body.done:
                return
            else:
                await self._more()

    def detached(self) -> tuple[asyncio.Transport, bytes]:
        """For a tunnel, after a 101: the transport, and what came behind the head."""
        if self.closed:
            raise UpstreamGoneError("the connection was closed")
        assert self._transport is not None
        self._read_on()
        transport, early = self._transport, self._buffer
        self._transport = None
        return transport, early

    async def _more(self) -> None:
        if self._failure:
            raise UpstreamGoneError(self._failure)
        self._news.clear()
        await self._news.wait()

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if error is None and self._head is not None and self._head.length == UNTIL_CLOSE and self._body is not None:
            self._body.done = True
        self._fail(f"the connection was closed: {error}" if error else "the connection was closed")
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            if self._head is None:
                self._buffer += data
                self._read_heads()
            else:
                self._read_body(data)
        except Malformed as problem:
            self._fail(f"it did not speak HTTP/1.1: {problem}")
            self.close()
        self._news.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _read_heads(self) -> None:
        while self._head is None:
            end = self._buffer.find(b"\r\n\r\n", max(0, self._seen - 3))
            if end < 0:
                check_incomplete(self._buffer, self._seen)
                self._seen = len(self._buffer)
                return
            if end > MAX_HEAD_BYTES:
                raise Malformed("headers that are too large")
            head = parse_response(self._buffer[:end], to_head=self._to_head)
            self._buffer, self._seen = self._buffer[end + 4 :], 0
            if head.status < 200 and head.status != 101:
                self._interim_heads += 1
                if self._interim_heads > MAX_INTERIM_HEADS:
                    raise Malformed("too many heads before the answer")
                self.interim(head.status, head.headers)
                continue
            self._head, self._body = head, body_of(head.length)
            rest, self._buffer = self._buffer, b""
            if rest:
                self._read_body(rest)

    def _read_body(self, data: bytes) -> None:
        assert self._body is not None
        payload, self._buffer = (b"", self._buffer + data) if self._body.done else self._body.feed(data)
        if payload:
            self._chunks.append(payload)
            self._unread += len(payload)
        if self._unread + len(self._buffer) > MAX_UNREAD_BYTES and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _fail(self, why: str) -> None:
        self._failure = self._failure or why
        self._news.set()


class Pool:
    """Connections to one address."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: deque[Connection] = deque(maxlen=MAX_IDLE)

    def __repr__(self) -> str:
        return f"<Pool {self._host}:{self._port} {len(self._idle)} idle>"

    async def take(self) -> Connection:
        """The connection used last, if it still can be; else a new one. Raises UpstreamGoneError."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and now - connection.idle_since < MAX_IDLE_S:
                connection.reset()
                return connection
            connection.close()
        return await self._connect()

    def give_back(self, connection: Connection) -> None:
        if connection.reusable and len(self._idle) < MAX_IDLE:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(Connection, self._host, self._port)
        except (OSError, TimeoutError) as error:
            raise UpstreamGoneError(f"cannot connect to {self._host}:{self._port}: {error}") from error
        return connection


def request_head(method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    lines = [b"%s %s HTTP/1.1\r\n" % (method.encode("latin-1"), target)]
    lines += [b"%s: %s\r\n" % item for item in headers]
    return b"".join([*lines, b"\r\n"])
