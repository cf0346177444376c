"""Servers of others that tests start by hand: from PATH, else Debian's, unpacked below .tools; without one, a skip."""

from __future__ import annotations

import functools
import os
import shutil
import socket
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
def program(name: str, package: str) -> Program:
    """Skips the test where it cannot be had."""
    found = shutil.which(name, path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))
    if found:
        return Program(Path(found), dict(os.environ))
    try:
        root = fetch_debian(TOOLS.resolve(), [package], os.environ["PATH"], dependencies=True)
    except SpringtideError as error:
        pytest.skip(f"{name} is not here: {error}")
    path = next(one for folder in ("usr/bin", "usr/sbin") if (one := root / folder / name).exists())
    libraries = sorted(str(folder) for folder in (root / "usr/lib").glob("*-linux-gnu*"))
    return Program(path, {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries)})


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
