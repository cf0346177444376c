"""Which processes come from one. Without /proc there are none to be found.

Apart from ``processes``: who watches replicas imports this one, and has no event loop.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path


def family(pid: int) -> set[int]:
    """The process and all below it. Not those whose parents have ended before."""
    below: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").glob("[0-9]*"):
        # In bytes: a process has any name it likes.
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = (entry / "stat").read_bytes()
            below[int(stat[stat.rindex(b")") + 2 :].split()[1])].append(int(entry.name))
    found, rest = {pid}, [pid]
    while rest:
        children = below.get(rest.pop(), [])
        found.update(children)
        rest += children
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """The signal, to those that are there still and may be sent one."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_below(pid: int) -> None:
    """Kill all processes that come from that one, and not itself."""
    send(family(pid) - {pid}, signal.SIGKILL)
