"""The few Linux calls the standard library lacks. Off Linux the safety nets they give are simply not there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from springtide.provider.process.host_protocol import IDENTITY_VARIABLE

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
        fresh = _family(pid) - stopped
        if not fresh:
            break
        _signal(fresh, signal.SIGSTOP)
        stopped |= fresh
    _signal(stopped, signal.SIGKILL)


def _family(pid: int) -> set[int]:
    below: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = (entry / "stat").read_bytes()
            below[int(stat[stat.rindex(b")") + 2 :].split()[1])].append(int(entry.name))
    family, rest = {pid}, [pid]
    while rest:
        children = below.get(rest.pop(), [])
        family.update(children)
        rest += children
    return family


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


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
