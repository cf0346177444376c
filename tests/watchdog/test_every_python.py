"""The watchdog runs in the interpreters that functions have: in each of this machine's, under the name it has there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "served_alone.py"
OLDEST, NEWEST = 9, 14


def interpreters() -> dict[str, str]:
    """One of each version since the oldest that is supported: on PATH, or where pyenv keeps them; and our own."""
    versions = {f"3.{minor}" for minor in range(OLDEST, NEWEST + 1)}
    found = {version: path for version in versions if (path := shutil.which(f"python{version}"))}
    for folder in sorted(Path.home().glob(".pyenv/versions/3.*")):
        version = ".".join(folder.name.split(".")[:2])
        if version in versions and (folder / "bin" / "python3").exists():
            found[version] = str(folder / "bin" / "python3")
    return dict(sorted({**found, f"3.{sys.version_info.minor}": sys.executable}.items()))


MODES = ("python", "classic", "streaming", "serializing", "http", "static")
PYTHONS = interpreters()
OLDEST_HERE = min(PYTHONS, key=lambda version: int(version.partition(".")[2]))


@pytest.mark.parametrize(
    ("version", "mode"),
    # What only newer ones have is what fails: the oldest is asked for everything.
    [(version, mode) for version in PYTHONS for mode in (MODES if version == OLDEST_HERE else MODES[:1])],
)
def test_watchdog_serves_in_this_python(version: str, mode: str, tmp_path: Path) -> None:
    package = tmp_path / "package" / "_springtide_watchdog"
    shutil.copytree(ROOT / "watchdog", package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "files").mkdir()

    done = subprocess.run(
        [PYTHONS[version], "-W", "error", "-I", PROGRAM, package.parent, mode, tmp_path / "files"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    (answer, health, metrics) = json.loads(done.stdout)
    assert (answer, health) == ([200, "body"], [200, "OK"])
    assert 'http_requests_total{code="200",method="post"} 1.0' in metrics[1]
