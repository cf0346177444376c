"""What Linux offers beyond the standard library to name, bind and hold processes. Elsewhere these nets are not there.

A child calls these between fork and exec, so everything is looked up when the module is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys

_LINUX = sys.platform == "linux"
_prctl = ctypes.CDLL(None, use_errno=True).prctl if _LINUX else None
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 4, 15, 36


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
    """This process gets the signal when the thread that forked it ends. A change of credentials undoes it.

    A parent that ended before this call is not noticed: compare ``os.getppid()`` afterwards.
    """
    _control(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Descendants whose parent ended become children of this process instead of init's."""
    _control(_PR_SET_CHILD_SUBREAPER, 1)


def stay_readable() -> None:
    """Undo what a new user namespace does to /proc/self: it would belong to root, and be unreadable to us."""
    _control(_PR_SET_DUMPABLE, 1)


def set_process_name(name: str) -> None:
    """What ps and top show as the command; the kernel keeps 15 bytes."""
    _control(_PR_SET_NAME, name.encode()[:15])


class ProcessHandle:
    """A running process held by a descriptor (pidfd), so that its id cannot become another's. It may not be our child.

    ``descriptor`` becomes readable when the process ends; ``close`` lets go of it.
    """

    def __init__(self, pid: int, descriptor: int | None = None) -> None:
        """Takes over ``descriptor``, or opens one. Raises ProcessLookupError when there is no such process."""
        self.pid = pid
        self._descriptor = os.pidfd_open(pid) if descriptor is None else descriptor

    def __repr__(self) -> str:
        return f"<ProcessHandle {self.pid}{' closed' if self._descriptor < 0 else ''}>"

    def send_signal(self, number: signal.Signals) -> None:
        """To a process that has ended, or was let go of: nothing."""
        if self._descriptor >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    async def wait(self) -> None:
        """Until it has ended. One waiter at a time."""
        await readable(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


async def readable(descriptor: int) -> None:
    """Until there is something to read, or its end, without a transport. One waiter for a descriptor at a time."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _wake, waiter)
    try:
        await waiter
    finally:
        loop.remove_reader(descriptor)


async def writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    loop.add_writer(descriptor, _wake, waiter)
    try:
        await waiter
    finally:
        loop.remove_writer(descriptor)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _control(option: int, argument: int | bytes) -> None:
    if _prctl is None:
        return
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    _prctl(ctypes.c_int(option), value, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
