"""The bill of materials: everything that an installation of the wheel can be made of, by CycloneDX.

By that project's own tool, of the environment in which the wheel was tried out, to which what ``EXTRAS`` bring was
added: the versions are those that worked.
"""

from __future__ import annotations

import sys
from pathlib import Path

from release.preconditions import Release
from release.programs import run

EXTRAS = "connectors,otel"
"""Each that users install: these two bring all the others."""


def write(release: Release, python: Path, staged: Path, out: Path) -> Path:
    """Of the environment of ``python``; with its licences, and without what differs from run to run."""
    target = out / f"springtide-{release.version}.cdx.json"
    tool = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--validate"]
    about = ["--spec-version", "1.6", "--mc-type", "application", "--pyproject", str(staged / "pyproject.toml")]
    run([*tool, *about, "--output-format", "JSON", "--output-file", target, python])
    return target
