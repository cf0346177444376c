"""The host's fork servers: one for each Python environment, started on demand, ended when nothing needed it for long.

A server is a child of the host, and so is every replica that it forks: a server that dies takes none along, and is
started anew for the next replica. It has forked one process ahead, its spare, which the next replica is made of.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from springtide import watchdog
from springtide.watchdog import fork_requests
from springtide.watchdog.start import Inherited, Start, Walled

START_TIMEOUT_S = 20.0
"""For an interpreter to say that it is ready."""
FORK_TIMEOUT_S = 5.0
"""For a server to fork. The host does nothing else meanwhile: less than a provider waits for a sign of life."""
HANDOVER_S = 1.0
"""For a spare that was told of to become our child: a server that halts in between keeps it waiting for as long."""
NO_WALLS = Walled()
RULES = 3
"""The descriptor of a server's rules of ports."""
FOLDER = str(Path(watchdog.__file__).parent)


class ForkServer:
    """One interpreter; ``waiting`` are calls for when it is ready, told why when it never will be."""

    def __init__(self, python: str, environ: Mapping[str, str], walled: Walled = NO_WALLS) -> None:
        """Start it. Raises OSError."""
        self.python, self.walled = python, walled
        self.control, theirs = socket.socketpair()
        self.control.settimeout(FORK_TIMEOUT_S)
        with theirs:
            self.pid = os.posix_spawn(
                python,
                fork_requests.arguments(python, FOLDER, replace(walled, rules=RULES if walled.rules >= 0 else -1)),
                dict(environ),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, 2, 1),
                    *([(os.POSIX_SPAWN_DUP2, walled.rules, RULES)] if walled.rules >= 0 else []),
                ],
                setsigmask=(),
                setsigdef=(signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE),
                setsid=True,
            )
        self.started_at = self.used_at = time.monotonic()
        self.ready_after_s: float | None = None
        self.waiting: list[Callable[[str], None]] = []
        self._spare: tuple[int, socket.socket] | None = None
        self._asked = True
        self._work_folder = ""
        """Of the last replica: the next spare clears up there."""

    def __repr__(self) -> str:
        return f"<ForkServer {self.pid} of {self.python} {'ready' if self.ready_after_s is not None else 'starting'}>"

    @property
    def pids(self) -> set[int]:
        """Of the server and its spare."""
        return {self.pid, *(self._spare or ())[:1]}

    def hear(self) -> bool:
        """What it says by itself: that it has a spare, so that it is ready. False when it has ended, or is about to."""
        try:
            self.control.settimeout(0)
            # A fork in the same round of the loop has taken what it said: there is nothing to wait for.
            with contextlib.suppress(BlockingIOError):
                self._next_spare()
            self.control.settimeout(FORK_TIMEOUT_S)
        except OSError:
            return False
        if self.ready_after_s is None:
            self.ready_after_s = time.monotonic() - self.started_at
        return True

    def _next_spare(self) -> int:
        """0, or the error number for which there is none. Raises OSError."""
        told = fork_requests.heard(self.control)
        if told is None:
            raise OSError("its fork server ended")
        self._asked = False
        number, spare = told
        if spare is None:
            return -number
        self._spare = number, spare
        return 0

    def prepare(self) -> None:
        """Ask for the next spare, unless there is one."""
        if self._spare is None and not self._asked:
            with contextlib.suppress(OSError):  # It has ended, of which we are told.
                fork_requests.ask(self.control, self._work_folder)
                self._asked = True

    def fork(self, start: Start, inherited: Inherited) -> int:
        """The id of a replica, a child of ours. Raises OSError."""
        self.used_at = time.monotonic()
        told = asdict(start)
        # Where it has no folder of its own there, what is there is the function's.
        self._work_folder = start.work_folder if start.work_folder != start.folder else ""
        if self._spare is not None:
            with contextlib.suppress(OSError):  # Something has killed it; another one costs no more than a fork.
                return self._use_spare(told, inherited)
        self.prepare()
        problem = self._next_spare()
        if problem:
            raise OSError(problem, os.strerror(problem))
        return self._use_spare(told, inherited)

    def _use_spare(self, told: dict[str, Any], inherited: Inherited) -> int:
        assert self._spare is not None
        (pid, control), self._spare = self._spare, None
        with control:
            _await_child(pid)
            control.settimeout(FORK_TIMEOUT_S)
            fork_requests.send(control, told, inherited)
        return pid

    def lose_spare(self, pid: int | None = None) -> None:
        """Of any process id, or of this one."""
        if self._spare is not None and pid in (None, self._spare[0]):
            self._spare[1].close()
            self._spare = None

    def kill(self) -> None:
        """And let its spare end."""
        self.lose_spare()
        self.control.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def _await_child(pid: int) -> None:
    """Until it is our child, which it nearly always is by now. Raises TimeoutError."""
    deadline = time.monotonic() + HANDOVER_S
    while True:
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"its fork server did not let go of it within {HANDOVER_S:g} s") from None
            time.sleep(0.0005)
        else:
            return


@dataclass(slots=True)
class ForkServers:
    """``selector`` watches their sockets with the server as data; ``default`` is never idle.

    An environment whose functions have walls and others that have none has a server for each.
    """

    selector: selectors.BaseSelector
    environ: Mapping[str, str]
    default: str
    idle_s: float
    walled: Walled = field(default_factory=Walled)
    """The walls there are here."""
    _servers: dict[tuple[str, bool], ForkServer] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._servers)

    @property
    def pids(self) -> set[int]:
        """Of servers and spares."""
        return {pid for server in self._servers.values() for pid in server.pids}

    def of(self, python: str, *, walled: bool) -> ForkServer:
        """The environment's server, started if there is none. Raises OSError."""
        server = self._servers.get((python, walled))
        if server is None:
            server = ForkServer(python, self.environ, self.walled if walled else NO_WALLS)
            self._servers[python, walled] = server
            self.selector.register(server.control, selectors.EVENT_READ, server)
        return server

    def prepare(self, python: str, *, walled: bool) -> None:
        """A replica has started: the next one has a spare."""
        if server := self._servers.get((python, walled)):
            server.prepare()

    def telling(self) -> bool:
        """A server has said something that nobody has heard yet: there may be a child that is its spare."""
        with selectors.DefaultSelector() as selector:
            for server in self._servers.values():
                selector.register(server.control, selectors.EVENT_READ)
            return bool(selector.select(0))

    def heard(self, server: ForkServer) -> bool:
        """It said something: True when it is ready now, for the first time. One that ended is let go of."""
        was_ready = server.ready_after_s is not None
        if server.hear():
            if was_ready:
                return False
            waiting, server.waiting = server.waiting, []
            for call in waiting:
                call("")
            return True
        self.lose(server, "its Python interpreter ended before it was ready; more in host.log")
        return False

    def lose(self, server: ForkServer, why: str) -> None:
        """End it, and tell those who wait. Its process is collected like any other child."""
        place = next((place for place, one in self._servers.items() if one is server), None)
        if place is None:
            return
        del self._servers[place]
        self.selector.unregister(server.control)
        server.kill()
        for call in server.waiting:
            call(why)

    def ended(self, pid: int) -> None:
        """A child has ended, and its id is still its own."""
        for server in list(self._servers.values()):
            server.lose_spare(pid)
            if server.pid == pid:
                self.lose(server, "its Python interpreter ended before it was ready; more in host.log")

    def keep_deadlines(self, now: float, in_use: Callable[[], set[tuple[str, bool]]]) -> None:
        """End those that do not become ready, and those that nothing needs."""
        for server in list(self._servers.values()):
            if server.ready_after_s is None:
                if now - server.started_at >= START_TIMEOUT_S:
                    self.lose(server, f"its Python interpreter was not ready within {START_TIMEOUT_S:g} s")
            elif server.python != self.default and now - server.used_at >= self.idle_s:
                if (server.python, bool(server.walled.walls)) in in_use():
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
