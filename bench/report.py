"""Rows as a table for people and as JSON for the record."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def table(rows: Sequence[Row]) -> str:
    """Columns as wide as they need to be, numbers to the right."""
    if not rows:
        return ""
    names = list(rows[0])
    cells = [names, *([_shown(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    numeric = [isinstance(rows[0][name], int | float) for name in names]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join(lines)


def save(folder: Path, sections: Mapping[str, Sequence[Any]], *, quick: bool, kind: str = "") -> Path:
    """Write everything with where and when it was measured; a later run of the same day is kept beside it.

    ``kind`` is part of the file's name.
    """
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{now:%Y-%m-%d}" + (f"-{kind}" if kind else "") + ("-quick" if quick else "")
    path = folder / f"{stem}.json"
    if path.exists() and not quick:
        path = folder / f"{stem}T{now:%H%M%S}.json"
    record = {
        "at": now.isoformat(timespec="seconds"),
        "machine": {
            "processors": os.cpu_count(),
            "architecture": platform.machine(),
            "kernel": platform.release().partition("-")[0],
            "python": platform.python_version(),
        },
        **sections,
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)
