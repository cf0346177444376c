"""The watchdog as an HTTP/1.1 server: it listens, and calls an application for each request of its connections.

An application is called as ``app(scope, receive, send)``, in ASGI's shape. All of it is the standard library, so that
it runs in any interpreter a function may have.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time

from .calls import App
from .connection import HttpConnection, ServerTimeouts
from .exchange import Exchange
from .http_date import http_date

BACKLOG = 2048


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
