"""An ASGI application served by uvicorn as a Service, on a TCP address or to its own process alone."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import lru_cache, partial

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from springtide.runtime.asgi import App, Message, Receive, Scope, Send, respond
from springtide.runtime.counted_warning import CountedWarning
from springtide.runtime.errors import Unavailable
from springtide.runtime.same_origin import RefuseForeignPages, SameOrigin


@lru_cache(maxsize=1)
def _date(second: int) -> list[tuple[bytes, bytes]]:
    return [(b"date", formatdate(second, usegmt=True).encode())]


class _State(ServerState):
    """What the connections of a server share. The date is that of the request, so that nothing has to keep one up."""

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        return _date(int(time.time()))

    @default_headers.setter
    def default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """uvicorn's own, of its last tick, are not wanted."""


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound TCP socket; raises Unavailable with one sentence when the address cannot be had.

    ``shared`` ones may be bound to one port side by side; the kernel deals connections out among them.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Naming TCP matters: asyncio switches Nagle's delay off (40 ms a request) only for sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what uses it or choose another port"
        ) from error
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listener


class _Server(uvicorn.Server):
    """Is told to end, and does not wake up ten times a second to see whether it shall."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = _State()
        self._ends = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._ends.set()

    async def main_loop(self) -> None:
        await self._ends.wait()


KEEP_ALIVE_S = 75
"""For an idle connection. Longer than any client of ours keeps one (httpx: 5 s) and than proxies do by default (60 s):
whoever is the first to close it cannot be met by a request that is on its way."""

HTTP2_PREFACE = b"PRI * HTTP/2"
_HTTP2_REFUSED = b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


TOLD_ELSEWHERE = ("Invalid HTTP request received.", "ASGI callable returned without completing response.")
"""Lines that uvicorn writes for each: ``_Http1.not_http`` counts the first, and who breaks an answer off says why."""


def _is_not_told_elsewhere(record: logging.LogRecord) -> bool:
    return record.msg not in TOLD_ELSEWHERE


class _Http1(HttpToolsProtocol):
    """uvicorn's protocol for who speaks HTTP/2, or offers to switch to another protocol, which is never taken up here.

    Its parser takes such a request for the last thing said in HTTP and drops the body: so one with a body is refused.
    """

    not_http: CountedWarning

    def data_received(self, data: bytes) -> None:
        if self.cycle is None and data.startswith(HTTP2_PREFACE):
            self.transport.write(_HTTP2_REFUSED)
            self.transport.close()
        else:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        self.not_http.seen(client=str((self.client or ("unknown",))[0]))
        super().send_400_response(msg)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self._has_body():
            self.app = _speaks_http1_only
        super().on_headers_complete()

    def _has_body(self) -> bool:
        named = dict(self.headers)
        return b"transfer-encoding" in named or named.get(b"content-length", b"0") != b"0"

    def _unsupported_upgrade_warning(self) -> None:
        """Anybody may offer anything: nothing to log."""


def _protocol() -> type[_Http1]:
    """One server's."""

    class Own(_Http1):
        not_http = CountedWarning("requests that are no HTTP were answered 400")

    return Own


async def _speaks_http1_only(_scope: Scope, _receive: Receive, send: Send) -> None:
    why = b"only HTTP/1.1 is spoken here; send the request without Upgrade"
    await respond(send, 505, why, more_headers=[(b"connection", b"close")])


class AsgiServer:
    """Serves one application until stopped; stopping finishes open requests within ``grace_s``.

    Before that it leaves, for ``leave_s``: it goes on answering, new connections too, but each answer ends its
    connection and ``/readyz`` says 503. Load balancers hear late of who goes, and kept connections go round them.

    A ``private`` one has no address at all, so nobody else can reach it and nothing of it stays behind, however the
    process ends: its connections are made by ``connect``.

    Pages of other sites change nothing here, whatever the application: only those of ``allowed_origins`` do, and any
    page on the paths ``open_to_pages``.
    """

    def __init__(  # noqa: PLR0913 - each stands for itself
        self,
        app: App,
        *,
        name: str,
        host: str = "127.0.0.1",
        port: int = 0,
        private: bool = False,
        grace_s: float = 5.0,
        leave_s: float = 0.0,
        allowed_origins: tuple[str, ...] = (),
        open_to_pages: Iterable[str] = (),
    ) -> None:
        self.name = name
        self._host, self._port, self._private = host, port, private
        self._listener: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._leave_s, self._leaving = leave_s, False
        logging.getLogger("uvicorn.error").addFilter(_is_not_told_elsewhere)
        config = uvicorn.Config(
            self._takes_leave(RefuseForeignPages(app, SameOrigin(allowed_origins), open_to_pages=open_to_pages)),
            log_config=None,
            access_log=False,
            lifespan="off",
            http=_protocol(),
            ws="none",
            interface="asgi3",  # its guess takes a bound method for ASGI 2
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(grace_s)),
        )
        self._server = _Server(config)

    def __repr__(self) -> str:
        state = "stopped" if self._task is None or self._task.done() else "serving"
        return f"<AsgiServer {self.name} {'private' if self._private else self.port} {state}>"

    @property
    def port(self) -> int:
        """The port really bound, also when 0 was asked for."""
        return self._port

    async def start(self) -> None:
        if not self._private:
            self._listener = bind(self._host, self._port)
            self._port = int(self._listener.getsockname()[1])
        # uvicorn would install signal handlers in serve(); the process's entry point owns those.
        listeners = [self._listener] if self._listener is not None else []
        self._task = asyncio.create_task(self._server._serve(listeners), name=self.name)
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise Unavailable(f"{self.name}: the server ended before it served")
            await asyncio.sleep(0.001)

    async def connect(self) -> socket.socket:
        """Our end of a new connection to a ``private`` one. Raises ConnectionRefusedError when it does not serve."""
        server = self._server
        if self._task is None or self._task.done() or server.should_exit:
            raise ConnectionRefusedError(f"{self.name} does not serve")

        # As uvicorn makes one for each connection that it accepts.
        make: Callable[..., asyncio.Protocol] = server.config.http_protocol_class
        protocol = partial(
            make, config=server.config, server_state=server.server_state, app_state=server.lifespan.state
        )
        ours, theirs = socket.socketpair()
        try:
            for end in (ours, theirs):
                end.setblocking(False)  # noqa: FBT003 - the standard library's signature
            await asyncio.get_running_loop().connect_accepted_socket(protocol, theirs)
        except BaseException:
            ours.close()
            theirs.close()
            raise
        return ours

    async def leave(self) -> None:
        """Returns when whoever balances has had time to hear of it. The second time at once."""
        if self._task is None or self._leaving:
            return
        self._leaving = True
        await asyncio.sleep(self._leave_s)

    def _takes_leave(self, app: App) -> App:
        async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
            async def last(message: Message) -> None:
                if self._leaving and message["type"] == "http.response.start":
                    message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
                await send(message)

            if self._leaving and scope["path"] == "/readyz":
                await respond(last, 503, f"{self.name} is stopping".encode())
            else:
                await app(scope, receive, last)

        return leaving

    async def stop(self) -> None:
        if self._task is None:
            return
        await self.leave()
        self._server.end()
        await asyncio.wait([self._task])
        if self._listener is not None:
            self._listener.close()

    async def wait(self) -> None:
        assert self._task is not None
        await asyncio.shield(self._task)
