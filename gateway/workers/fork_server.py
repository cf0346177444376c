"""The master's end of the fork server: starts it, asks it for workers, learns how they ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from springtide.gateway.workers import forker
from springtide.gateway.workers.launch import Launch
from springtide.runtime.child_process import how_ended
from springtide.runtime.errors import Unavailable, reason_of
from springtide.runtime.processes import ProcessHandle

FORK_DEADLINE_S = 20.0
"""The first fork waits for the server's imports; half a second on an idle machine."""

MAX_BYTES = 4096

# It looks for modules where the master does, and -P keeps the folder that the user stands in out of that: it may well
# hold a package called gateway.
_PROGRAM = """\
import json, socket, sys
master = socket.socket(fileno=int(sys.argv[1]))
sys.path[:] = json.loads(master.recv(65536))
from springtide.runtime.lean_imports import import_lean
import_lean()
from springtide.gateway.workers.forker import main
main(master)
"""

log = structlog.get_logger(__name__)


class Process:
    """A worker's process and how it ended."""

    def __init__(self, handle: ProcessHandle) -> None:
        self._handle = handle
        self._watching: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """How it ended, in two words."""

    def __repr__(self) -> str:
        return f"<process {self.pid} {self.ended.result() if self.ended.done() else 'running'}>"

    @property
    def pid(self) -> int:
        return self._handle.pid

    def kill(self) -> None:
        self._handle.send_signal(signal.SIGKILL)

    def end(self, how: str) -> None:
        if not self.ended.done():
            self.ended.set_result(how)
            self._handle.close()

    def watch(self) -> None:
        """Nobody is left who could say how it ends: see for ourselves that it does."""
        if not self.ended.done():
            self._watching = asyncio.create_task(self._see_its_end(), name=f"end of process {self.pid}")

    async def _see_its_end(self) -> None:
        await self._handle.wait()
        self.end("ended with the fork server")


class _ServerProcess(Protocol):
    @property
    def pid(self) -> int: ...

    def kill(self) -> None: ...

    def wait(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _ForkOfUs:
    """As ``subprocess.Popen``, for a child that was forked. ``wait`` is called once, and ``kill`` before it only."""

    pid: int

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        return os.waitpid(self.pid, 0)[1]


class ForkServer:
    """One at a time; started with the first worker, and again when it is gone."""

    def __init__(self) -> None:
        self._server: _ServerProcess | None = None
        self._control: socket.socket | None = None
        self._forks = asyncio.Lock()
        self._forked: asyncio.Future[Process] | None = None
        self._processes: dict[int, Process] = {}

    def __repr__(self) -> str:
        return f"<ForkServer {self._server.pid if self._server else 'not started'}, {len(self._processes)} workers>"

    @classmethod
    def forked(cls) -> ForkServer:
        """The first one as a fork of this process, so that both share what is imported; before any event loop.

        Later ones are started anew. Raises Unavailable when there can be no process.
        """
        made = cls()
        forker.import_late()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError as error:
            raise Unavailable(f"the gateway's fork server cannot be started: {reason_of(error)}") from error
        if pid == 0:
            ours.close()
            forker.run(theirs)
        theirs.close()
        made._server, made._control = _ForkOfUs(pid), ours
        return made

    def start(self) -> None:
        """Begin its imports. Returns at once. Raises Unavailable when there can be no process."""
        loop = asyncio.get_running_loop()
        if self._control is not None:
            self._control.setblocking(False)  # noqa: FBT003 - the standard library's signature
            loop.add_reader(self._control, self._told)
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._server = subprocess.Popen(
                    [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise Unavailable(f"the gateway's fork server cannot be started: {error}") from error
        ours.send(json.dumps(sys.path).encode())
        ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._control = ours
        loop.add_reader(ours, self._told)

    async def fork(self, launch: Launch, descriptors: Sequence[int]) -> Process:
        """A new worker with these descriptors. Raises Unavailable when there is none in time."""
        async with self._forks:
            if self._control is None:
                self.start()
            assert self._control is not None
            self._forked = asyncio.get_running_loop().create_future()
            try:
                socket.send_fds(self._control, [launch.encode()], list(descriptors))
                return await asyncio.wait_for(self._forked, FORK_DEADLINE_S)
            except TimeoutError as error:
                self._lose("did not fork in time")
                raise Unavailable(f"the fork server did not fork within {FORK_DEADLINE_S:g} s") from error
            except OSError as error:
                self._lose(reason_of(error))
                raise Unavailable(f"the fork server is gone: {reason_of(error)}") from error
            finally:
                self._forked = None

    async def stop(self) -> None:
        """It ends by itself once it sees us go and has no workers left."""
        server = self._server
        self._hang_up()
        if server is not None:
            await asyncio.to_thread(server.wait)

    def _told(self) -> None:
        """Something from the server: a fork done, a worker's end, its own end."""
        assert self._control is not None
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, MAX_BYTES, 1)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(reason_of(error))
            return
        if not data:
            self._lose("ended")
            return
        _, pid, *status = json.loads(data)
        if not pid:
            if self._forked is not None and not self._forked.done():
                self._forked.set_exception(Unavailable(f"there is no process for a worker: {os.strerror(status[0])}"))
        elif status:
            process = self._processes.pop(pid, None)
            if process is not None:
                process.end(how_ended(status[0]))
        else:
            self._born(Process(ProcessHandle(pid, descriptors[0])))

    def _born(self, process: Process) -> None:
        self._processes[process.pid] = process
        if self._forked is not None and not self._forked.done():
            self._forked.set_result(process)
        else:
            process.kill()  # nobody waits for it any more

    def _lose(self, why: str) -> None:
        """The server is gone, or as good as gone, which is its workers' signal to finish; they say so themselves."""
        log.warning("the gateway's fork server is gone; the next worker starts another", why=why)
        server = self._server
        self._hang_up()
        if server is not None:
            server.kill()
            server.wait()
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process.watch()
        if self._forked is not None and not self._forked.done():
            self._forked.set_exception(Unavailable("the fork server ended"))

    def _hang_up(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
        self._control = self._server = None
