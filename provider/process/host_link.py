"""The provider's end of the connection to its host: finds a living one or starts one, sends commands, hears events."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from springtide.provider.isolation import Isolation
from springtide.provider.machine.state_files import clear_way
from springtide.provider.process import host_protocol, kernel
from springtide.provider.process.host_protocol import (
    IDENTITY_VARIABLE,
    LOCK,
    SOCKET,
    VERSION,
    Hello,
    Message,
    Ping,
    Shutdown,
)
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.process.stopped_host import StoppedHost
from springtide.runtime.errors import Unavailable
from springtide.runtime.liveness import until_hung
from springtide.runtime.processes import ProcessHandle

MAX_MISSES = 4
"""Questions in a row that a host does not answer before another one takes its place."""
START_TIMEOUT_S = 20.0
HELLO_TIMEOUT_S = 5.0
END_TIMEOUT_S = 5.0
"""For a host to end once its replicas are gone."""
MAX_DRAIN_S = 10.0
"""What calls get when a host ends because no provider came back."""
MAX_LOG_BYTES = 1 << 20
MAX_UNSENT_BYTES = 128 << 20
"""A host that does not read so much hangs; without the connection it is replaced."""

_log = structlog.get_logger()


class HostLink:
    """One connection at a time; ``on_event`` is called for each event while ``listen`` runs."""

    def __init__(
        self,
        settings: ProcessSettings,
        folder: Path,
        on_event: Callable[[Message], None],
        *,
        python: Callable[[], str],
    ) -> None:
        """``python`` is the interpreter of the default environment, asked for when a host is started."""
        self._settings, self._folder, self._on_event, self._python = settings, folder, on_event, python
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._started: subprocess.Popen[bytes] | None = None
        self._host: ProcessHandle | None = None
        self._identity = ""
        self._heard = asyncio.Event()

    def __repr__(self) -> str:
        return f"<HostLink {self._host!r} {'connected' if self._writer else 'not connected'}>"

    async def connect(self, *, beside: bool = False) -> Hello:
        """To the host that is there, else to a new one. Raises Unavailable when neither can be had.

        ``beside``: one that was set aside still lives.
        """
        hello = await self._greet()
        if hello is None:
            await self._start_host(beside=beside)
            hello = await self._greet()
        if hello is None:
            raise Unavailable(f"the function host does not answer: {self._last_words()}")
        return hello

    def send(self, command: Message) -> None:
        """Without a connection it is dropped: the host is gone, and its replicas with it."""
        # A transport that has closed refuses to be written to, or asked, before `listen` hears of its end.
        if self._writer is None or self._writer.is_closing():
            return
        self._writer.write(host_protocol.encode(command))
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._writer.transport.abort()

    async def listen(self) -> bool:
        """Pass on events until the connection breaks; True when it is the host that does not answer any more."""
        silent = until_hung(self._answers, MAX_MISSES * self._settings.host_ping_s, misses=MAX_MISSES)
        hearing, asking = asyncio.create_task(self._hear()), asyncio.create_task(silent)
        try:
            await asyncio.wait([hearing, asking], return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():
                hearing.result()
            return not hearing.done()
        finally:
            for task in (hearing, asking):
                task.cancel()
            await asyncio.gather(hearing, asking, return_exceptions=True)
            self._hang_up()

    async def _hear(self) -> None:
        assert self._reader is not None
        try:
            while line := await self._reader.readline():
                self._heard.set()
                self._on_event(host_protocol.decode(line))
        except (OSError, ValueError, Unavailable) as error:
            _log.warning("connection to the function host broke", error=str(error))

    async def _answers(self) -> bool:
        """Whatever it says is an answer."""
        self._heard.clear()
        self.send(Ping())
        return await self._heard.wait()

    def set_aside(self) -> StoppedHost:
        """The host does not answer: the next ``connect`` starts another one beside it."""
        stopped = StoppedHost(self._host, self._started, self._identity)
        self._host = self._started = None
        for name in (SOCKET, LOCK):  # It holds the lock of the file, which another host is to make anew.
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()
        return stopped

    async def end_strangers(self) -> None:
        """Of this folder's hosts only the connected one is known: end what an earlier provider had set aside."""
        ours, folder = self._identity, self._identity.partition("-")[0]
        await asyncio.to_thread(kernel.kill_marked, lambda other: other != ours and other.partition("-")[0] == folder)

    async def shut_down(self, listening: asyncio.Task[bool] | None, grace_s: float) -> None:
        """The host ends with all its replicas; ``listening`` is the running ``listen``, which ends with it.

        Without one the start did not get so far, and there is at most a host that nobody is connected to.
        """
        if listening is not None:
            self.send(Shutdown(grace_s))
            await asyncio.wait([listening], timeout=grace_s + END_TIMEOUT_S)
        elif self._started is not None:
            self._started.terminate()
        if self._host is not None:
            await _end(self._host, END_TIMEOUT_S)
            self._forget_host()
        if listening is not None:
            await asyncio.wait([listening])
        await self._collect()

    async def _greet(self) -> Hello | None:
        """Connect; None when nobody is there. One that speaks another version, or does not speak, is ended."""
        try:
            connection = await self._dial()
        except OSError:
            return None
        # Now, by the socket itself: once the peer has gone, its transport has no socket left to ask.
        host = _peer(connection)
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=host_protocol.MAX_LINE_BYTES)
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                hello = host_protocol.decode(await reader.readline())
        except (OSError, ValueError, TimeoutError, Unavailable) as error:
            _log.warning("ending a function host that does not answer", error=str(error) or "no answer")
            _turn_away(writer, host, signal.SIGKILL)
            return None
        if not isinstance(hello, Hello) or hello.version != VERSION:
            _log.info("ending a function host of another version")
            _turn_away(writer, host, signal.SIGTERM)
            return None
        self._forget_host()
        self._reader, self._writer, self._host, self._identity = reader, writer, host, hello.identity
        return hello

    async def _dial(self) -> socket.socket:
        """Raises OSError."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        try:
            with host_protocol.short_address(self._folder / SOCKET) as path:
                await asyncio.get_running_loop().sock_connect(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _start_host(self, *, beside: bool) -> None:
        await self._collect()
        try:
            self._started = process = self._spawn(beside=beside)
        except OSError as error:  # No memory, no descriptor, no space for its log: later there may be.
            raise Unavailable(f"the function host cannot be started: {error}") from error
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                word = await asyncio.to_thread(process.stdout.readline)
        except TimeoutError:
            word = b""
        if word.strip() != b"ready":
            process.kill()
            await self._collect()
            raise Unavailable(f"the function host did not start: {self._last_words()}")

    def _spawn(self, *, beside: bool) -> subprocess.Popen[bytes]:
        settings = self._settings
        # Its own, so that one host can be told from another of the same folder.
        identity = f"{_mark(self._folder)}-{secrets.token_hex(3)}"
        options = {
            "--state-dir": self._folder,
            "--bind-host": settings.host,
            "--orphan-grace": settings.orphan_grace_s,
            "--drain": min(settings.grace_s, MAX_DRAIN_S),
            "--identity": identity,
            "--python": self._python(),
            "--environment-idle": settings.environment_idle_s,
        }
        # Nothing of our own environment: what the host has, every function could read.
        env = {"PATH": settings.path, "LANG": settings.lang, IDENTITY_VARIABLE: identity}
        words = [*(str(word) for option in options.items() for word in option), *(["--beside"] if beside else [])]
        words += ["--walled"] if settings.default_isolation != Isolation.NONE else []
        words += [word for hidden in settings.hidden for word in ("--hidden", hidden)]
        words += [word for port in settings.closed_ports for word in ("--closed-port", str(port))]
        log = self._folder / "host.log"
        for file in (log, self._folder / LOCK):
            clear_way(file, time.time())
        if (self._folder / SOCKET).is_dir():
            clear_way(self._folder / SOCKET, time.time())
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > MAX_LOG_BYTES:
                log.unlink()
        with log.open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "springtide.provider.process.host", *words],
                env=env,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    async def _collect(self) -> None:
        """The host that we started has ended: take its exit status, so that nothing of it is left."""
        process, self._started = self._started, None
        if process is not None and process.stdout is not None:
            await asyncio.to_thread(process.wait)
            process.stdout.close()

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self._folder / "host.log").read_text(errors="replace").strip().splitlines()
            if lines:
                return f"{lines[-1]} (more in {self._folder / 'host.log'})"
        return f"see {self._folder / 'host.log'}"

    def _forget_host(self) -> None:
        if self._host is not None:
            self._host.close()
            self._host = None

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def _end(process: ProcessHandle, patience_s: float) -> None:
    """Wait for its end, and bring it about if it does not come."""
    try:
        async with asyncio.timeout(patience_s):
            await process.wait()
    except TimeoutError:
        process.send_signal(signal.SIGKILL)
        await process.wait()


def _peer(connection: socket.socket) -> ProcessHandle | None:
    """The process at the other end: it has our socket in our folder. None when it has ended."""
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    try:
        return ProcessHandle(pid) if pid > 0 else None
    except OSError:  # no such process, or no descriptor to hold it by
        return None


def _turn_away(writer: asyncio.StreamWriter | None, host: ProcessHandle | None, number: signal.Signals) -> None:
    if host is not None:
        host.send_signal(number)
        host.close()
    if writer is not None:
        writer.close()


def kill_hosts(folder: Path) -> None:
    """Those of a provider that was killed, with all their replicas; ``folder`` is its state folder."""
    mark = _mark(folder)
    kernel.kill_marked(lambda identity: identity.partition("-")[0] == mark)


def _mark(folder: Path) -> str:
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
