"""Running the function's program: in a process group of its own, ended as a group, its pipes without threads.

``subprocess.Popen`` with no hook in the child starts by vfork: 0.15 ms here, where uvloop's own takes 2 ms. The end is
told by a pidfd, so that the group is killed before its leader is collected: its id cannot have become another's. What
is left of a killed group becomes this process's own once the leader is gone, and is collected with other orphans.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from .processes import ProcessHandle, readable, writable

READ_BYTES = 65_536
OWN_GROUP: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else {"start_new_session": True}
"""For Popen. A session of its own would do, but costs a third more: the kernel schedules each session apart."""


class StartedProcess(Protocol):
    """The leader of a process group of its own, at the other ends of two unbuffered pipes."""

    @property
    def pid(self) -> int: ...

    @property
    def stdin(self) -> Any: ...

    @property
    def stdout(self) -> Any: ...

    def wait(self) -> int: ...


def start(command: Sequence[str], env: Mapping[str, str], *, merge_errors: bool) -> StartedProcess:
    """Run a command; what it writes to standard error goes to its output or to the replica's log.

    Raises OSError when it cannot be run.
    """
    return subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merge_errors else None,
        bufsize=0,
        **OWN_GROUP,
    )


class ForkedProgram:
    """One run of a program, used as an async context manager: outside it nothing of the group is left."""

    def __init__(self, process: StartedProcess) -> None:
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        for pipe in (self._stdin, self._stdout):
            os.set_blocking(pipe.fileno(), False)
        self._handle = ProcessHandle(self._process.pid, self.kill)

    async def __aenter__(self) -> ForkedProgram:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()
        try:
            await self._handle.ended()
        finally:
            self._handle.close()
            self._process.wait()
            self._stdin.close()
            self._stdout.close()

    def kill(self) -> None:
        """The whole group, at once. A fork that has not come to make its group yet has started nothing: it alone."""
        pid = self._process.pid
        with contextlib.suppress(ProcessLookupError):
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                os.kill(pid, signal.SIGKILL)

    async def feed(self, chunks: AsyncIterator[bytes]) -> None:
        """Write to its standard input and close it. What it does not want to read is dropped."""
        async for chunk in chunks:
            with contextlib.suppress(BrokenPipeError):
                await self._write(chunk)
        self._stdin.close()

    async def output(self) -> AsyncIterator[bytes]:
        """What it writes, until it ends; its group ends with it, so that nobody else keeps the pipe open."""
        while data := await self._read():
            yield data

    async def status(self) -> int:
        """Its exit status, negative for a signal. It stays uncollected until the context is left."""
        await self._handle.ended()
        return self._handle.exit_status()

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            # A raw write to a full non-blocking pipe says None.
            written = self._stdin.write(view)
            if written is None:
                await writable(self._stdin.fileno())
            else:
                view = view[written:]

    async def _read(self) -> bytes:
        while True:
            try:
                return os.read(self._stdout.fileno(), READ_BYTES)
            except BlockingIOError:
                await readable(self._stdout.fileno())
