"""What Podman leaves when it is killed in the middle of a start: a process that watches a container nobody knows of.

The container was made, but that was not written down yet: it is removed by its name, and its processes stay.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from springtide.provider.containers.function_container import container_name

_PROC = Path("/proc")


def watchers(suite: str) -> dict[str, int]:
    """The process that watches each of the suite's containers, by the container's id. None but Podman's."""
    found: dict[str, int] = {}
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[0].endswith("/conmon") and _after(words, "-n").startswith(container_name("", suite)):
                found[_after(words, "-c")] = int(entry.name)
    return found


def end(watcher: int) -> None:
    """What it watches ends, and so does it."""
    below: list[int] = []
    with contextlib.suppress(OSError):
        below = [*map(int, (_PROC / f"{watcher}/task/{watcher}/children").read_text().split())]
    for pid in (*below, watcher):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]
