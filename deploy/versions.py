"""The version of the project in files that have to repeat it; pyproject.toml is where it is written by hand."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = (
    ROOT / "deploy" / "chart" / "Chart.yaml",
    ROOT / "deploy" / "Containerfile",
    ROOT / "docs" / "kubernetes.md",
)

_VERSION = re.compile(r"(^version: |^appVersion: |^ARG VERSION=|/springtide:)\d[\w.+-]*", re.MULTILINE)


def project_version(root: Path = ROOT) -> str:
    return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])


def with_version(text: str, root: Path = ROOT) -> str:
    """A file's text with the project's version wherever the file states it."""
    version = project_version(root)
    return _VERSION.sub(lambda found: found[1] + version, text)
