"""The host's fork servers: one for each Python environment, started on demand, ended when nothing needed it for long.

A server is a child of the host, and so is every replica that it forks: a server that dies takes none along, and is
started anew for the next replica.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from springtide import watchdog
from springtide.watchdog import fork_requests
from springtide.watchdog.fork_requests import ANSWER
from springtide.watchdog.start import Inherited, Start

START_TIMEOUT_S = 20.0
"""For an interpreter to say that it is ready."""
FORK_TIMEOUT_S = 5.0
"""For a server to fork. The host does nothing else meanwhile: less than a provider waits for a sign of life."""
FOLDER = str(Path(watchdog.__file__).parent)


class ForkServer:
    """One interpreter; ``waiting`` are calls for when it is ready, told why when it never will be."""

    def __init__(self, python: str, environ: Mapping[str, str]) -> None:
        """Start it. Raises OSError."""
        self.python = python
        self.control, theirs = socket.socketpair()
        self.control.settimeout(FORK_TIMEOUT_S)
        with theirs:
            self.pid = os.posix_spawn(
                python,
                fork_requests.arguments(python, FOLDER),
                dict(environ),
                file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0), (os.POSIX_SPAWN_DUP2, 2, 1)],
                setsigmask=(),
                setsigdef=(signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE),
                setsid=True,
            )
        self.started_at = self.used_at = time.monotonic()
        self.ready_after_s: float | None = None
        self.waiting: list[Callable[[str], None]] = []

    def __repr__(self) -> str:
        return f"<ForkServer {self.pid} of {self.python} {'ready' if self.ready_after_s is not None else 'starting'}>"

    def hear(self) -> bool:
        """What it says by itself: that it is ready. False when it has ended, or is about to."""
        try:
            heard = self.control.recv(ANSWER.size)
        except OSError:
            heard = b""
        if len(heard) == ANSWER.size and self.ready_after_s is None:
            self.ready_after_s = time.monotonic() - self.started_at
            return True
        return False

    def fork(self, start: Start, inherited: Inherited) -> int:
        """The id of a replica, a child of ours. Raises OSError."""
        self.used_at = time.monotonic()
        fork_requests.send(self.control, asdict(start), inherited)
        answer = self.control.recv(ANSWER.size, socket.MSG_WAITALL)
        if len(answer) < ANSWER.size:
            raise OSError("its fork server ended")
        number = int(ANSWER.unpack(answer)[0])
        if number <= 0:
            raise OSError(-number, os.strerror(-number))
        return number

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@dataclass(slots=True)
class ForkServers:
    """``selector`` watches their sockets with the server as data; ``default`` is never idle."""

    selector: selectors.BaseSelector
    environ: Mapping[str, str]
    default: str
    idle_s: float
    _servers: dict[str, ForkServer] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._servers)

    @property
    def pids(self) -> set[int]:
        return {server.pid for server in self._servers.values()}

    def of(self, python: str) -> ForkServer:
        """The environment's server, started if there is none. Raises OSError."""
        server = self._servers.get(python)
        if server is None:
            server = self._servers[python] = ForkServer(python, self.environ)
            self.selector.register(server.control, selectors.EVENT_READ, server)
        return server

    def heard(self, server: ForkServer) -> bool:
        """It said something: True when it is ready now. One that ended is let go of."""
        if server.hear():
            waiting, server.waiting = server.waiting, []
            for call in waiting:
                call("")
            return True
        self.lose(server, "its Python interpreter ended before it was ready; more in host.log")
        return False

    def lose(self, server: ForkServer, why: str) -> None:
        """End it, and tell those who wait. Its process is collected like any other child."""
        if self._servers.get(server.python) is not server:
            return
        del self._servers[server.python]
        self.selector.unregister(server.control)
        server.control.close()
        server.kill()
        for call in server.waiting:
            call(why)

    def ended(self, pid: int) -> None:
        """A child has ended, and its id is still its own."""
        for server in list(self._servers.values()):
            if server.pid == pid:
                self.lose(server, "its Python interpreter ended before it was ready; more in host.log")

    def keep_deadlines(self, now: float, in_use: Callable[[], set[str]]) -> None:
        """End those that do not become ready, and those that nothing needs."""
        for server in list(self._servers.values()):
            if server.ready_after_s is None:
                if now - server.started_at >= START_TIMEOUT_S:
                    self.lose(server, f"its Python interpreter was not ready within {START_TIMEOUT_S:g} s")
            elif server.python != self.default and now - server.used_at >= self.idle_s:
                if server.python in in_use():
                    server.used_at = now
                else:
                    self.lose(server, "")

    def deadlines(self) -> Iterator[float]:
        for server in self._servers.values():
            if server.ready_after_s is None:
                yield server.started_at + START_TIMEOUT_S
            elif server.python != self.default:
                yield server.used_at + self.idle_s

    def end(self) -> None:
        for server in list(self._servers.values()):
            self.lose(server, "the host ends")
