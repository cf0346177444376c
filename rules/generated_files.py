"""Committed files that a program writes, and whether they still are what it would write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from springtide.runtime.files import write_atomic


def drift(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Names of the files that are missing, differ, or have no business in the folder."""
    present = {path.name: path.read_text() for path in folder.iterdir()} if folder.is_dir() else {}
    return sorted(name for name in files.keys() | present.keys() if files.get(name) != present.get(name))


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Make the folder hold exactly these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        write_atomic(folder / name, text.encode())
