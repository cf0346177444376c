"""A zygote: a process that has imported everything, from which others are forked, so that they share its memory.

The processes forked are children of the zygote's maker and not of the zygote, which may therefore end at any time
without taking one along. They are killed with the maker, in whatever way that ends. Linux only.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from springtide.runtime.errors import Unavailable, reason_of
from springtide.runtime.lossy_stream import append_to, flush_standard_streams
from springtide.runtime.processes import ProcessHandle, adopt_orphans
from springtide.runtime.zygote_server import Main, ZygoteServer

FORK_DEADLINE_S = 10.0

_M_TRIM_THRESHOLD, _M_ARENA_MAX = -1, -8


class ForkedProcess:
    """A child of ours; see ``springtide.runtime.child_process.Process``."""

    def __init__(self, pid: int) -> None:
        """Raises ProcessLookupError when it is not there any more."""
        self._handle = ProcessHandle(pid)
        self._ended = asyncio.create_task(self._reap(), name=f"end of process {pid}")

    def __repr__(self) -> str:
        return f"<ForkedProcess {self.pid} {'running' if self.returncode is None else self.returncode}>"

    @property
    def pid(self) -> int:
        return self._handle.pid

    @property
    def returncode(self) -> int | None:
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def terminate(self) -> None:
        self._handle.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._handle.send_signal(signal.SIGKILL)

    async def _reap(self) -> int:
        await self._handle.wait()
        _, status = os.waitpid(self.pid, 0)  # noqa: ASYNC222 - it has ended
        self._handle.close()
        return os.waitstatus_to_exitcode(status)


class Zygote:
    """The maker's end; the other is ``ZygoteServer``."""

    def __init__(self, control: socket.socket, pid: int) -> None:
        self._control: socket.socket | None = control
        self._pid = pid
        self._one_at_a_time = asyncio.Lock()
        self._forks: set[asyncio.Task[ForkedProcess]] = set()
        self._zombie = 0

    def __repr__(self) -> str:
        return f"<Zygote {self._pid if self._control is not None else 'gone'}>"

    @classmethod
    def make(cls, main: Main) -> Zygote | None:
        """Fork it off with everything imported so far; before the first event loop. None where that cannot be done."""
        if sys.platform != "linux" or threading.active_count() > 1:
            return None
        spare_memory()
        adopt_orphans()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        flush_standard_streams()
        maker = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            ZygoteServer(theirs, main, maker).serve()
        theirs.close()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
        return cls(ours, pid)

    async def fork(self, words: Sequence[str], *, log: Path, stdin: socket.socket | None = None) -> ForkedProcess:
        """A process that runs ``main(words)`` and adds to ``log``. Raises Unavailable when there is none."""
        given = stdin.dup() if stdin is not None else None
        task = asyncio.create_task(self._fork(words, log, given), name=f"fork {words[0]}")
        self._forks.add(task)
        task.add_done_callback(self._forks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_kill_unwanted)
            raise

    async def close(self) -> None:
        """Those that were forked go on."""
        if self._forks:
            await asyncio.wait(self._forks)
        self._lose()

    def reap_strays(self) -> None:
        """Orphans of our children become ours; call now and then, so that their ends do not stay in the table for ever.

        One that is still there at the next call is nobody else's to wait for.
        """
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid != self._zombie:
                self._zombie = ended.si_pid if ended is not None else 0
                return
            os.waitpid(ended.si_pid, 0)
            if ended.si_pid == self._pid:
                self._pid = 0
                self._lose()

    async def _fork(self, words: Sequence[str], log: Path, stdin: socket.socket | None) -> ForkedProcess:
        with contextlib.ExitStack() as stack:
            if stdin is not None:
                stack.enter_context(stdin)
            async with self._one_at_a_time:
                if self._control is None:
                    raise Unavailable("the zygote is gone")
                output = stack.enter_context(append_to(log))
                try:
                    descriptors = [output.fileno(), *([stdin.fileno()] if stdin is not None else [])]
                    socket.send_fds(self._control, [json.dumps(words).encode()], descriptors)
                    loop = asyncio.get_running_loop()
                    answer = await asyncio.wait_for(loop.sock_recv(self._control, 4096), FORK_DEADLINE_S)
                    pid, why = json.loads(answer)
                except (OSError, ValueError, TimeoutError) as error:
                    self._lose()
                    raise Unavailable(f"the zygote does not fork: {reason_of(error)}") from error
        try:
            return ForkedProcess(pid)
        except OSError as error:
            raise Unavailable(f"there is no process: {os.strerror(why) if why else error}") from error

    def _lose(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)  # until it is waited for, the id cannot become another's
            os.waitpid(self._pid, 0)
            self._pid = 0


def spare_memory() -> None:
    """Make what was allocated so far ready to be shared with forks, and let the allocator keep little that is free."""
    gc.collect()
    gc.freeze()  # a fork's first collection would write to, and so copy, every page that it shares with us
    libc = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):  # only glibc has them
        libc.mallopt(_M_ARENA_MAX, 2)
        libc.mallopt(_M_TRIM_THRESHOLD, 128 * 1024)
        libc.malloc_trim(0)


def _kill_unwanted(task: asyncio.Task[ForkedProcess]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().kill()
