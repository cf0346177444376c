"""How many processors this process may use: a container's share of them counts, not the machine's number."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def usable(*, cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """At least 1. Elsewhere than on Linux 1: only there are connections dealt out among sockets of one port."""
    if sys.platform != "linux":
        return 1
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota(cgroups, own))))


def _quota(cgroups: Path, own: Path) -> float:
    """The smallest limit (cgroup v2) on the way from our group up, in processors; infinite without one."""
    group = next((line[3:] for line in _text(own).splitlines() if line.startswith("0::")), "/")
    folder = cgroups / group.lstrip("/")
    limits = [_limit(_text(one / "cpu.max")) for one in (folder, *folder.parents) if one.is_relative_to(cgroups)]
    return min(limits, default=math.inf)


def _limit(text: str) -> float:
    """``"150000 100000"`` is 1.5 processors; ``"max 100000"`` and nothing are no limit."""
    quota, _, period = text.strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else math.inf


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
