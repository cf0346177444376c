"""The dashboards as they were last written, for whoever passes them on: reading them needs no SDK."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "generated"


def committed() -> Mapping[str, str]:
    """File name → content."""
    return {path.name: path.read_text() for path in sorted(FOLDER.glob("*.json"))}
