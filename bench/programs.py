"""nginx and wrk: Debian's packages, unpacked into the tools folder; nothing is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from springtide.cli.debian import fetch_debian

PACKAGES = ("nginx", "wrk", "libluajit2-5.1-2")


@dataclass(frozen=True, slots=True)
class Programs:
    nginx: Path
    wrk: Path
    environment: Mapping[str, str]
    """What wrk needs to find its library."""


def fetch(tools_dir: Path, path: str) -> Programs:
    """Raises Unsupported or Unavailable when they cannot be had."""
    root = fetch_debian(tools_dir, PACKAGES, path, progress=lambda what: print(f"  {what}")).absolute()
    libraries = sorted(root.glob("usr/lib/*-linux-gnu*"))
    return Programs(
        nginx=root / "usr/sbin/nginx",
        wrk=root / "usr/bin/wrk",
        environment={"LD_LIBRARY_PATH": ":".join(map(str, libraries))},
    )
