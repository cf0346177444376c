"""What one replica may take of the machine where its function's limits do not say: enough for any, never all of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from springtide.runtime import quantities

HALF, NONE = "half", "none"
_CGROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def memory_bound(text: str) -> str:
    """``half`` of the machine's memory, a quantity such as ``512Mi``, or ``none``. Raises ValueError."""
    if text not in (HALF, NONE):
        quantities.memory_bytes(text)
    return text


def memory_bytes(bound: str, *, cgroups: Path = _CGROUPS, own: Path = _OWN) -> int | None:
    """None is no bound."""
    if bound == NONE:
        return None
    return _machine_memory_bytes(cgroups, own) // 2 if bound == HALF else quantities.memory_bytes(bound)


def _machine_memory_bytes(cgroups: Path, own: Path) -> int:
    """The machine's, or a container's share of it (cgroup v2, or the root of v1 as containers see it)."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if sys.platform == "linux" else 1 << 33
    group = next((line[3:] for line in _text(own).splitlines() if line.startswith("0::")), "/")
    folder = cgroups / group.lstrip("/")
    files = [one / "memory.max" for one in (folder, *folder.parents) if one.is_relative_to(cgroups)]
    limits = [_text(file).strip() for file in (*files, cgroups / "memory" / "memory.limit_in_bytes")]
    return min([total, *(int(limit) for limit in limits if limit.isdigit())])


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
