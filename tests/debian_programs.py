"""Servers of others that tests start by hand: from PATH, else Debian's, unpacked below .tools; without one, a skip."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from springtide.cli.debian import fetch_debian
from springtide.runtime.errors import SpringtideError

TOOLS = Path(__file__).parents[1] / ".tools"


@dataclass(frozen=True, slots=True)
class Program:
    """``environ`` is what it needs to find the libraries that came with it."""

    path: Path
    environ: Mapping[str, str]


@functools.cache
def program(name: str, package: str, folder: str = "usr/sbin") -> Program:
    """``folder`` is another one to look for it, a pattern from the root. Skips the test where it cannot be had."""
    there = [str(one) for one in sorted(Path("/").glob(folder))]
    found = shutil.which(name, path=os.pathsep.join([*there, os.environ["PATH"]]))
    if found:
        return Program(Path(found), dict(os.environ))
    try:
        root = fetch_debian(TOOLS.resolve(), [package], os.environ["PATH"], dependencies=True)
    except SpringtideError as error:
        pytest.skip(f"{name} is not here: {error}")
    folders = [*root.glob(folder), root / "usr/bin", root / "usr/sbin"]
    path = next(one / name for one in folders if (one / name).exists())
    libraries = sorted(str(folder) for folder in (root / "usr/lib").glob("*-linux-gnu*"))
    return Program(path, {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries)})
