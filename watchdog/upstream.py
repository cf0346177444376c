"""Mode http: one long-running program that is an HTTP server itself, behind a streaming reverse proxy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from typing import NoReturn
from urllib.parse import urlsplit

from .calls import (
    INTERIM,
    INTERNAL,
    UPGRADE,
    Caller,
    CallerLeftError,
    Receive,
    Scope,
    Send,
    SlowCallerError,
    exec_limit,
    guarded,
    reply,
)
from .config import WatchdogConfig, not_there
from .exchange import Switch
from .http1.fields import HOP_BY_HOP
from .http1.response import ResponseHead
from .http_client import (
    Connection,
    Interim,
    Pool,
    UpstreamGoneError,
    request_head,
)
from .log import log
from .processes import ProcessHandle, die_with_parent
from .program import OWN_GROUP
from .readiness import PATIENCE_S
from .timeouts import timeout
from .tunnel import Tunnel

OURS = (INTERNAL, b"of-watchdog")
NOT_SENT_ON = HOP_BY_HOP | {b"expect"}
NOT_PASSED_BACK = HOP_BY_HOP | {b"date"}
"""The server adds its own date."""
MIN_PAUSE_S, MAX_PAUSE_S = 0.005, 0.1
STOP_S = 2.0
"""How long the program gets between SIGTERM and SIGKILL once its last call is answered."""


class UpstreamError(Exception):
    """The program cannot serve; the text is for the function's log."""


class Upstream:
    """The program and a pool of connections to it."""

    def __init__(self, config: WatchdogConfig, env: Mapping[str, str]) -> None:
        self._config, self._env = config, dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        parts = urlsplit(config.upstream_url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 0
        self._path = parts.path.rstrip("/").encode()
        self._pool = Pool(self._host, self._port)

    async def start(self) -> None:
        """Return when the program answers. Raises UpstreamError when it ends instead, or is not there."""
        if missing := not_there(self._config, self._env):
            raise UpstreamError(missing)
        await self._settle_port()
        try:
            self._process = self._run()
        except (OSError, subprocess.SubprocessError) as error:
            raise UpstreamError(f"cannot run fprocess: {error}") from error
        self._handle = ProcessHandle(self._process.pid, self._on_end)
        pause_s = MIN_PAUSE_S
        while not await self._answers():
            await asyncio.wait([self._ended], timeout=pause_s)
            if self._ended.done():
                raise UpstreamError(f"the program ended before it listened on port {self._port}")
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _run(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._config.command,
            env=self._env,
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - no other thread runs yet
            **OWN_GROUP,
        )

    async def ready(self) -> bool:
        """What the program says of itself at ``ready_path``; without one, that it runs."""
        if not self._config.ready_path:
            return True
        host = [(b"host", f"{self._host}:{self._port}".encode()), (b"connection", b"close")]
        with contextlib.suppress(UpstreamGoneError, TimeoutError):
            async with timeout(PATIENCE_S):
                connection = await self._pool.take()
                try:
                    await connection.send(request_head("GET", self._config.ready_path.encode(), host))
                    return 200 <= (await connection.answer()).status < 300
                finally:
                    connection.close()
        return False

    async def ends(self) -> None:
        """Wait until the program ends by itself."""
        await asyncio.shield(self._ended)

    async def close(self) -> None:
        if self._process is None:
            return
        for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            if (await asyncio.wait([self._ended], timeout=patience_s))[0]:
                break
        self._pool.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        proxied = _Proxied(self._pool, scope, send)
        caller = Caller(receive)
        limit = exec_limit(scope["headers"], self._config.exec_timeout_s)
        try:
            request, body = await self._request(scope, caller)
            await proxied.exchange(request, body, caller, limit.seconds)
        except CallerLeftError:
            pass
        except SlowCallerError as error:
            await proxied.fail(408, str(error))
        except TimeoutError:
            await proxied.fail(504, f"The call took longer than {limit}.")
        except UpstreamGoneError as error:
            await proxied.fail(500, f"The function's program failed: {error}.")

    async def _request(self, scope: Scope, caller: Caller) -> tuple[bytes, AsyncIterator[bytes] | None]:
        """The request's head, and its body in the framing that the head announces."""
        headers = [(name, value) for name, value in scope["headers"] if name not in NOT_SENT_ON]
        if UPGRADE in scope["extensions"]:
            headers += [(b"connection", b"Upgrade"), (b"upgrade", scope["extensions"][UPGRADE]["protocols"])]
        names = {name for name, _ in scope["headers"]}
        target = self._path + scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        if self._config.buffer_http or not names & {b"content-length", b"transfer-encoding"}:
            body = await caller.body()
            if body or b"content-length" in names:
                headers = [item for item in headers if item[0] != b"content-length"]
                headers.append((b"content-length", str(len(body)).encode()))
            return request_head(scope["method"], target, headers) + body, None
        if b"content-length" in names:
            return request_head(scope["method"], target, headers), caller.chunks()
        headers.append((b"transfer-encoding", b"chunked"))
        return request_head(scope["method"], target, headers), _chunked(caller.chunks())

    async def _settle_port(self) -> None:
        """A free one, told to the program in PORT, where the settings leave it open."""
        if not self._port:
            with socket.socket() as free:
                free.bind((self._host, 0))
                self._port = free.getsockname()[1]
            port = str(self._port)
            self._env |= {"PORT": port, "port": port, "upstream_url": f"http://{self._host}:{port}"}
        elif await self._answers():
            raise UpstreamError(
                f"another program already listens at port {self._port}; set upstream_url to http://127.0.0.1:0 and "
                "let the program listen on the port in $PORT, so that several replicas fit on one machine"
            )
        self._pool = Pool(self._host, self._port)

    async def _answers(self) -> bool:
        try:
            connection = await self._pool.take()
        except UpstreamGoneError:
            return False
        connection.close()
        return True

    def _on_end(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        log(f"the program ended with status {status}")
        self._ended.set_result(status)
        self._handle.close()


class _Proxied:
    """One answer on its way from the program to the caller."""

    def __init__(self, pool: Pool, scope: Scope, send: Send) -> None:
        self._pool, self._send = pool, send
        self._to_head = scope["method"] == "HEAD"
        self._interim: Interim = scope["extensions"][INTERIM]["send"]
        self._switch: Switch | None = scope["extensions"].get(UPGRADE, {}).get("switch")
        self._started = False
        self._tunnel: Tunnel | None = None

    async def exchange(
        self, request: bytes, body: AsyncIterator[bytes] | None, caller: Caller, limit_s: float | None
    ) -> None:
        """Request and answer side by side; ends with the answer. Raises TimeoutError.

        The limit is for the answer to begin, and for an answer of known length to end. One whose length nobody knows is
        a stream, and ends when nothing comes for that long; so does none of what follows a switch to another protocol.
        """
        connection = await self._pool.take()
        try:
            connection.expect(to_head=self._to_head)
            connection.interim = self._interim
            await connection.send(request)
            connection.sent = body is None
            await guarded(self._relay(connection, limit_s), _upload(connection, body, caller))
            if self._tunnel is not None:
                await self._tunnel.over()
        finally:
            self._pool.give_back(connection)

    async def _relay(self, connection: Connection, limit_s: float | None) -> None:
        limit = timeout(limit_s)
        async with limit:
            head = await connection.answer()
            if head.status == 101:
                self._join(head, connection)
                return
            self._started = True
            if head.length < 0:
                limit.prolong(limit_s)
            headers = [field for field in head.headers if field[0] not in NOT_PASSED_BACK]
            await self._send({"type": "http.response.start", "status": head.status, "headers": headers})
            async for data in connection.body():
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
                if head.length < 0:
                    limit.prolong(limit_s)
            await self._send({"type": "http.response.body", "body": b""})

    def _join(self, head: ResponseHead, connection: Connection) -> None:
        if self._switch is None:
            connection.close()
            raise UpstreamGoneError("it switched to another protocol, which nobody offered")
        transport, early = connection.detached()
        self._started = True
        self._tunnel = self._switch(head.headers, transport, early)

    async def fail(self, status: int, text: str) -> None:
        """An answer of our own. One that is under way can only be broken off, which is what the caller must see."""
        log(text)
        if self._started:
            raise ConnectionAbortedError(text)
        await reply(self._send, status, text.encode(), (OURS,))


async def _upload(connection: Connection, body: AsyncIterator[bytes] | None, caller: Caller) -> NoReturn:
    try:
        if body is not None:
            async for data in body:
                await connection.send(data)
            connection.sent = True
    except UpstreamGoneError:
        # It may have answered without reading on: what comes back decides.
        await asyncio.Event().wait()
    await caller.leaves()


async def _chunked(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for data in body:
        yield b"%x\r\n%s\r\n" % (len(data), data)
    yield b"0\r\n\r\n"
