"""Processes that are waited for on the event loop, without threads: by a pidfd, readable once its process has ended."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable

_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class ProcessHandle:
    """Holds a process by a descriptor: until ``close`` its id cannot become another process's."""

    def __init__(self, pid: int, on_end: Callable[[], None] | None = None) -> None:
        """``on_end`` is called on the running loop as soon as the process has ended, before anybody collects it.

        Raises ProcessLookupError when there is no such process.
        """
        self.pid = pid
        self._fd = os.pidfd_open(pid)
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._fd, self._has_ended)

    def __repr__(self) -> str:
        return f"<ProcessHandle {self.pid}{' ended' if self._ended.done() else ''}>"

    async def ended(self) -> None:
        """Wait for its end."""
        await asyncio.shield(self._ended)

    def exit_status(self) -> int:
        """Of a child that has ended, negative for a signal. It stays uncollected."""
        found = os.waitid(os.P_PIDFD, self._fd, os.WEXITED | os.WNOWAIT)
        assert found is not None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def send_signal(self, number: signal.Signals) -> None:
        """Raises ProcessLookupError when it has ended and was collected."""
        signal.pidfd_send_signal(self._fd, number)

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _has_ended(self) -> None:
        self._loop.remove_reader(self._fd)
        if self._on_end is not None:
            self._on_end()
        self._ended.set_result(None)


async def readable(fd: int) -> None:
    """Wait until a read of the descriptor does not block."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _wake, waiter)
    try:
        await waiter
    finally:
        loop.remove_reader(fd)


async def writable(fd: int) -> None:
    """Wait until a write to the descriptor does not block."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, _wake, waiter)
    try:
        await waiter
    finally:
        loop.remove_writer(fd)


def die_with_parent() -> None:
    """This process gets SIGKILL when the thread that forked it ends. A change of credentials undoes it. Linux only."""
    if _LINUX:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
