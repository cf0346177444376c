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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from springtide.runtime.errors import Unavailable, reason_of
from springtide.runtime.lossy_stream import append_to, flush_standard_streams, leave
from springtide.runtime.processes import ProcessHandle, adopt_orphans, die_with_parent, set_process_name

Main = Callable[[Sequence[str]], int]
"""Runs a command line; returns the exit status."""

FORK_DEADLINE_S = 10.0
MAX_COMMAND_BYTES = 128 * 1024

_NOT_FOR_US = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A terminal signals the whole group; only the maker decides when the zygote ends."""

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
    """The maker's end."""

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
            _Server(theirs, main, maker).serve()
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


@dataclass(frozen=True, slots=True)
class _Pipes:
    """Of one fork. ``told`` and ``tell``: which process it is; ``go`` and ``let_go``: its end is the sign to begin."""

    told: int
    tell: int
    go: int
    let_go: int


def _answer(pid: int, error: OSError | None = None) -> bytes:
    return json.dumps([pid, error.errno if error is not None else 0]).encode()


class _Server:
    """The zygote: no event loop and no threads, so that a fork is safe."""

    def __init__(self, control: socket.socket, main: Main, maker: int) -> None:
        self._control, self._main, self._maker = control, main, maker
        # Blocked and not ignored: what is sent to a fork before it is itself finds it once it is.
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_US)

    def __repr__(self) -> str:
        return f"<zygote of process {self._maker}>"

    def serve(self) -> NoReturn:
        """Until the maker is gone."""
        try:
            _die_with(self._maker)
            os.setsid()
            set_process_name("zygote")
            self._let_go()
            nothing = os.open(os.devnull, os.O_RDWR)
            for standard in (0, 1, 2):
                os.dup2(nothing, standard)
            os.close(nothing)
            while True:
                data, descriptors, _, _ = socket.recv_fds(self._control, MAX_COMMAND_BYTES, 2)
                if not data:
                    break
                self._fork(json.loads(data), descriptors)
        finally:
            os._exit(0)

    def _let_go(self) -> None:
        """Of what the maker has open: a lock would be held by whatever outlives it."""
        ours = self._control.fileno()
        os.closerange(3, ours)
        os.closerange(ours + 1, 2**31 - 1)

    def _fork(self, words: Sequence[str], descriptors: list[int]) -> None:
        """By way of a process between us, whose end makes the new one the maker's child."""
        pipes = _Pipes(*os.pipe(), *os.pipe())
        try:
            between = os.fork()
            if between == 0:
                self._divide(words, descriptors, pipes)
            os.close(pipes.tell)
            answer = os.read(pipes.told, 100)
            os.waitpid(between, 0)
        except OSError as error:
            os.close(pipes.tell)
            answer = _answer(0, error)
        with contextlib.suppress(OSError):  # the maker is gone: the next read says so
            self._control.send(answer)
        for descriptor in (pipes.told, pipes.go, pipes.let_go, *descriptors):
            os.close(descriptor)

    def _divide(self, words: Sequence[str], descriptors: list[int], pipes: _Pipes) -> NoReturn:
        try:
            pid = os.fork()
            if pid:
                os.write(pipes.tell, _answer(pid))
                os._exit(0)
        except OSError as error:
            os.write(pipes.tell, _answer(0, error))
            os._exit(1)
        status = 1
        try:
            os.close(pipes.told)
            os.close(pipes.tell)
            os.close(pipes.let_go)
            os.read(pipes.go, 1)  # ends when the process between is gone and the maker has been told
            os.close(pipes.go)
            self._become(words, descriptors)
            status = self._main(words)
        except BaseException:  # noqa: BLE001 - the last frame of this process: whatever it is, it goes to the log
            sys.excepthook(*sys.exc_info())
        finally:
            leave(status)

    def _become(self, words: Sequence[str], descriptors: list[int]) -> None:
        _die_with(self._maker)
        os.setsid()
        set_process_name(words[0])
        self._control.close()
        log, *stdin = descriptors
        for descriptor, standard in ((log, 1), (log, 2), *((given, 0) for given in stdin)):
            os.dup2(descriptor, standard)
        for descriptor in descriptors:
            os.close(descriptor)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


def spare_memory() -> None:
    """Make what was allocated so far ready to be shared with forks, and let the allocator keep little that is free."""
    gc.collect()
    gc.freeze()  # a fork's first collection would write to, and so copy, every page that it shares with us
    libc = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):  # only glibc has them
        libc.mallopt(_M_ARENA_MAX, 2)
        libc.mallopt(_M_TRIM_THRESHOLD, 128 * 1024)
        libc.malloc_trim(0)


def _die_with(maker: int) -> None:
    die_with_parent()
    if os.getppid() != maker:  # it died before we asked
        os._exit(1)


def _kill_unwanted(task: asyncio.Task[ForkedProcess]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().kill()
