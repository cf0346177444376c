"""Which folders have changed, by looking at them again and again: works on any file system, and needs no library."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from springtide.provider.process.code_store import SKIPPED

MAX_ENTRIES = 20_000
"""Of one folder that are looked at; a version has no more."""

Look = Mapping[str, tuple[int, int, int]]
"""What is in a folder: of each file when it was changed, its size and its mode."""


def look(folder: Path) -> Look:
    """Everything that a deployment copies. A folder that is not there is empty: it may come back."""
    found: dict[str, tuple[int, int, int]] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED and not _is_environment(Path(place, name))]
        for name in (*names, *folders):
            path = Path(place, name)
            with contextlib.suppress(OSError):  # gone since
                at = path.lstat()
                found[str(path)] = (0 if path.is_dir() else at.st_mtime_ns, at.st_size, at.st_mode)
            if len(found) >= MAX_ENTRIES:
                return found
    return found


def changes(looks: Iterator[Mapping[str, Look]]) -> Iterator[list[str]]:
    """The names of what changed, each time that it has stayed the same for two looks: an editor writes in steps."""
    settled = before = next(looks)
    for now in looks:
        if now == before and now != settled:
            yield sorted(name for name in now if now[name] != settled.get(name))
            settled = now
        before = now


def _is_environment(folder: Path) -> bool:
    return (folder / "pyvenv.cfg").is_file()
