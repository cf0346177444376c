"""A replica's life: open the function, listen, say ready, serve, drain, end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Coroutine, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Any

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from . import config, function
from .app import Watchdog
from .calls import INTERIM, Receive, Scope, Send, reply
from .http_client import Head
from .log import log
from .timeouts import timeout
from .upstream import HOP_BY_HOP, UpstreamError

KEEP_ALIVE_S = 300
"""Longer than any gateway keeps an idle connection, so that it is never our end that closes under a new call."""
BACKLOG = 2048


@dataclass(frozen=True)
class ReplicaSpec:
    """What one replica is told: its function's environment, and for a Python handler the folder with it."""

    hostname: str
    env: Mapping[str, str]
    linger_s: float
    """After SIGTERM calls are still taken for this long: a gateway may not have heard yet."""
    grace_s: float
    """What calls in flight get then."""
    handler: str | None = None


def run(replica: ReplicaSpec, *, listener: int, ready: int) -> int:
    """Serve until told to drain; returns the exit status. ``listener`` and ``ready`` are open descriptors."""
    settings, problems = config.read(replica.env, replica.handler)
    if problems:
        log("; ".join(problems))
        return 1
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, replica, listener, ready))


async def _serve(settings: config.WatchdogConfig, replica: ReplicaSpec, listener: int, ready: int) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        try:
            opened = await stack.enter_async_context(function.opened(settings, replica.env, replica.hostname))
        except (UpstreamError, FileNotFoundError) as error:
            log(str(error))
            return 1
        loop.add_signal_handler(signal.SIGTERM, told.set)
        server = Server(Watchdog(settings, opened), socket.socket(fileno=listener))
        await server.start()
        os.write(ready, b"1")
        os.close(ready)
        ended = await _first(told.wait(), opened.ends())
        if not ended:
            await server.drain(replica.linger_s, replica.grace_s)
    return 1 if ended else 0


async def _first(told: Coroutine[Any, Any, object], ends: Awaitable[None]) -> bool:
    """Wait for either; True when it is the function that ended."""
    tasks = [asyncio.ensure_future(told), asyncio.ensure_future(ends)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    return not tasks[0].done()


_OF_A_BODY = (b"content-length", b"transfer-encoding")
CLOSE = (b"connection", b"close")


class _Http1(HttpToolsProtocol):
    """uvicorn's protocol, with a way to send early hints, for which ASGI has none.

    An offer to switch to another protocol is not taken up. The parser drops the body of a request that makes one, which
    is refused for that.
    """

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and any(name in _OF_A_BODY for name, _ in self.headers):
            self.app = _speaks_http1_only
        super().on_headers_complete()
        send = partial(self._send_interim, self.cycle, self.scope["http_version"])
        self.scope["extensions"] = {INTERIM: {"send": send}}

    def _send_interim(self, cycle: RequestResponseCycle, version: str, head: Head) -> None:
        """Those of one request, while it is the one being answered; 100 is this server's own to send."""
        answering = cycle is self.cycle and not cycle.response_started and not cycle.disconnected
        if answering and version == "1.1" and head.status not in (100, 101):
            fields = b"".join(b"%b: %b\r\n" % field for field in head.headers if field[0] not in HOP_BY_HOP)
            self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (head.status, _phrase(head.status), fields))

    def _unsupported_upgrade_warning(self) -> None:
        """Anybody may offer anything: nothing to log."""


async def _speaks_http1_only(_scope: Scope, _receive: Receive, send: Send) -> None:
    await reply(send, 505, b"Only HTTP/1.1 is spoken here; send the request without Upgrade.\n", [CLOSE])


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


class Server:
    """uvicorn's HTTP protocol without its server, whose ticks would wake every idle replica ten times a second."""

    def __init__(self, watchdog: Watchdog, listener: socket.socket) -> None:
        self._watchdog, self._listener = watchdog, listener
        self._state = ServerState()
        self._config = uvicorn.Config(
            self._app,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._server: asyncio.Server | None = None
        self._second = 0

    async def start(self) -> None:
        self._config.load()
        loop = asyncio.get_running_loop()
        self._state.default_headers = [(b"date", b"")]
        self._server = await loop.create_server(
            lambda: _Http1(self._config, self._state, {}, loop), sock=self._listener, backlog=BACKLOG
        )

    async def drain(self, linger_s: float, grace_s: float) -> None:
        """Take calls a moment longer, finish what is in flight within the grace, close every connection.

        1. Not ready any more; every answer closes its connection.
        2. Linger: a gateway may have chosen this replica just before it heard.
        3. Stop listening, close idle connections, wait for the calls in flight and for their last bytes to leave.
        """
        self._watchdog.draining = True
        await asyncio.sleep(linger_s)
        assert self._server is not None
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with timeout(grace_s):
                await self._watchdog.idle()
                # The last answers may still be on their way; the protocol tells nobody of a connection's end.
                while self._state.connections:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        second = int(time.time())
        if second != self._second:
            self._second = second
            # In place: the protocol has taken hold of the list for this answer already.
            self._state.default_headers[0] = (b"date", formatdate(second, usegmt=True).encode())
        await self._watchdog(scope, receive, send)
