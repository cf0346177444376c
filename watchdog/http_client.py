"""The watchdog as an HTTP client of the function's own server: pooled connections, both directions at once.

General clients send a whole request before they read the answer; a function may answer while it still reads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import cast

import httptools

from .timeouts import timeout

CONNECT_TIMEOUT_S = 5.0
MAX_IDLE_S = 1.0
"""An idle connection is used again within this time only: common servers close theirs after two to five seconds."""
MAX_IDLE = 256
MAX_UNREAD_BYTES = 262_144


class UpstreamGoneError(Exception):
    """The function's server closed the connection, or never took it, or did not speak HTTP."""


@dataclass(frozen=True)
class Head:
    status: int
    headers: Sequence[tuple[bytes, bytes]]


Interim = Callable[[Head], None]
"""Who is given the heads before the answer, such as early hints."""


def _dropped(_: Head) -> None:
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
        self._parser = httptools.HttpResponseParser(self)
        self.interim: Interim = _dropped
        self._bodiless = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: Head | None = None
        self._chunks: deque[bytes] = deque()
        self._unread = 0
        self._complete = self._reusable = False
        self._failure = ""

    @property
    def reusable(self) -> bool:
        """The answer is complete and the server keeps the connection."""
        return self._complete and self._reusable and not self.closed

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

    async def answer(self, *, bodiless: bool) -> Head:
        """``bodiless``: the request was HEAD, so that lengths in the answer announce nothing."""
        self._bodiless = bodiless
        while self._head is None:
            await self._more()
        return self._head

    async def body(self) -> AsyncIterator[bytes]:
        while not self._bodiless:
            if self._chunks:
                data = b"".join(self._chunks)
                self._chunks.clear()
                self._unread = 0
                if self._transport is not None and not self.closed:
                    self._transport.resume_reading()
                yield data
            elif self._complete:
                return
            else:
                await self._more()

    async def _more(self) -> None:
        if self._failure:
            raise UpstreamGoneError(self._failure)
        self._news.clear()
        await self._news.wait()

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is no subclass of it.

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._head is not None and not _framed(self._head.headers):
            self._complete = True  # An answer without a length ends with its connection.
        self._fail(f"the connection was closed: {error}" if error else "the connection was closed")
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"it did not speak HTTP/1.1: {error}")
            self.close()

    def eof_received(self) -> None:
        pass

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _fail(self, why: str) -> None:
        self._failure = self._failure or why
        self._news.set()

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self.interim(Head(status, self._headers))
        else:
            self._head = Head(status, self._headers)
            self._reusable = self._parser.should_keep_alive() and not self._bodiless
            self._news.set()

    def on_body(self, data: bytes) -> None:
        self._chunks.append(data)
        self._unread += len(data)
        if self._unread > MAX_UNREAD_BYTES and self._transport is not None:
            self._transport.pause_reading()
        self._news.set()

    def on_message_complete(self) -> None:
        if self._head is not None:
            self._complete = True
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


def _framed(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in headers)
