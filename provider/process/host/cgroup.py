"""Limits by cgroup v2, where a subtree can be had: one group per replica, made and removed by the host."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

CPU_PERIOD_US, MIN_CPU_QUOTA_US = 100_000, 1_000
"""The kernel takes no shorter quota, which is a hundredth of a processor."""


class Cgroups:
    """A folder of the cgroup v2 tree in which we may make groups with a memory controller."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"<Cgroups {self._folder}>"

    @classmethod
    def find(cls, name: str, *, root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> Cgroups | None:
        """The nearest place above our own group that hands memory control down and lets us in; None without one.

        A group with processes in it cannot hand controllers down, so our own group hardly ever can; the one above
        it, where a user's or a container's manager delegated it, does.
        """
        own = _own_path() if own is None else own
        if own is None or not (root / "cgroup.controllers").exists():
            return None
        here = root / own.lstrip("/")
        for parent in (here, *here.parents):
            if not parent.is_relative_to(root):
                return None
            if "memory" in _words(parent / "cgroup.subtree_control") and _writable(parent):
                _sweep(parent, name.partition("-")[0])
                return cls._made(parent / f"springtide-{name}", _words(parent / "cgroup.subtree_control"))
        return None

    @classmethod
    def _made(cls, folder: Path, offered: list[str]) -> Cgroups | None:
        wanted = [controller for controller in ("memory", "cpu", "pids") if controller in offered]
        try:
            folder.mkdir(exist_ok=True)
            (folder / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in wanted))
        except OSError:
            return None
        return cls(folder)

    @property
    def limits_cpu(self) -> bool:
        return self._has("cpu")

    @property
    def limits_processes(self) -> bool:
        return self._has("pids")

    def _has(self, controller: str) -> bool:
        return any(word.lstrip("+") == controller for word in _words(self._folder / "cgroup.subtree_control"))

    def create(
        self, name: str, *, memory_bytes: int | None, cpu_millis: int | None, processes: int | None = None
    ) -> None:
        """A group with its limits. Raises OSError."""
        group = self._folder / name
        group.mkdir(exist_ok=True)
        if memory_bytes is not None:
            (group / "memory.max").write_text(str(memory_bytes))
            with contextlib.suppress(OSError):
                (group / "memory.oom.group").write_text("1")
                (group / "memory.swap.max").write_text("0")
        if processes is not None and self.limits_processes:
            (group / "pids.max").write_text(str(processes))
        if cpu_millis is not None and self.limits_cpu:
            quota_us = max(MIN_CPU_QUOTA_US, cpu_millis * CPU_PERIOD_US // 1000)
            (group / "cpu.max").write_text(f"{quota_us} {CPU_PERIOD_US}")

    def folder(self, name: str) -> str:
        """Of a group that was made; a process that writes 0 to its ``cgroup.procs`` joins it."""
        return str(self._folder / name)

    def ran_out_of_memory(self, name: str) -> bool:
        words = _words(self._folder / name / "memory.events")
        return any(key == "oom_kill" and int(value) > 0 for key, value in zip(words[::2], words[1::2], strict=False))

    def processor_seconds(self, name: str) -> float:
        """Of all that ever ran in a group, collected or not; the kernel counts it whatever controllers there are."""
        words = _words(self._folder / name / "cpu.stat")
        counts = dict(zip(words[::2], words[1::2], strict=False))
        return int(counts.get("usage_usec", "0")) / 1e6

    def remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / name / "cgroup.kill").write_text("1")
        with contextlib.suppress(OSError):
            (self._folder / name).rmdir()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def _sweep(parent: Path, folder: str) -> None:
    """Groups that hosts of the same state folder left when they were killed. One in use cannot be removed."""
    for left in parent.glob(f"springtide-{folder}*"):
        for group in (*left.glob("*/"), left):
            with contextlib.suppress(OSError):
                group.rmdir()


def _own_path() -> str | None:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)
