"""The few Linux calls the standard library lacks. Off Linux the safety nets they give are simply not there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from springtide.provider.process.host_protocol import IDENTITY_VARIABLE
from springtide.runtime.process_tree import family, send

MAX_PASSES = 50

_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)


def sync_file_system(folder: Path) -> None:
    """Everything written to the file system of the folder is on its disk. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _LINUX:
            _check(_libc.syncfs(fd), f"sync {folder}")
    finally:
        os.close(fd)


def kill_tree(pid: int) -> None:
    """A process and all below it, however fast they multiply: stopped until no new one turns up, then killed."""
    stopped: set[int] = set()
    for _ in range(MAX_PASSES):
        fresh = family(pid) - stopped
        if not fresh:
            break
        send(fresh, signal.SIGSTOP)
        stopped |= fresh
    send(stopped, signal.SIGKILL)


def kill_marked(wanted: Callable[[str], bool]) -> None:
    """Kill every process below a host whose identity is wanted, but for this one."""
    mark = f"{IDENTITY_VARIABLE}=".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            marks = [word for word in (entry / "environ").read_bytes().split(b"\0") if word.startswith(mark)]
            if marks and wanted(marks[0][len(mark) :].decode(errors="replace")) and int(entry.name) != os.getpid():
                os.kill(int(entry.name), signal.SIGKILL)


def children() -> list[int]:
    """The pids of this process's children, zombies included; empty where the kernel does not list them."""
    pid = os.getpid()
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split()]
    except OSError:
        return []


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
