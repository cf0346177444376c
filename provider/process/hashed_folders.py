"""Folders named by a hash of what made them: written once, shared, and removed when nothing refers to them any more.

A folder is written under another name, beside its place, and moved there when it is whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path

UNFINISHED = ".new-"
"""How the names begin of those that are being written."""
GRACE_S = 3600.0
"""What is not referred to may be about to be: a build goes on, or a deployment."""


def open_store(folder: Path) -> None:
    """Make the folder, and remove what was being written when somebody was killed. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.glob(f"{UNFINISHED}*"):
        remove_tree(left)


def prune(folder: Path, kept: Collection[str], *, grace_s: float) -> list[str]:
    """Remove each that is not kept and was not asked for within the grace; returns their names."""
    removed = []
    for path in folder.glob("[!.]*"):
        with contextlib.suppress(OSError):
            if path.name not in kept and time.time() - path.stat().st_mtime >= grace_s:
                remove_tree(path)
                removed.append(path.name)
    return removed


def remove_tree(path: Path) -> None:
    """With what is read-only in it; what cannot be removed stays."""
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            Path(folder).chmod(0o700)
    shutil.rmtree(path, ignore_errors=True)
