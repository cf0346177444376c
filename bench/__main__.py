"""``python -m bench``: measure, print a table, keep the figures in ``bench/results``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import programs, report, sections
from bench.report import Row
from runtime.errors import SpringtideError

HERE = Path(__file__).parent


def main() -> int:
    arguments = _arguments()
    try:
        found = programs.fetch(arguments.tools_dir, os.environ["PATH"])
    except SpringtideError as error:
        print(f"nginx and wrk are needed for the comparison and cannot be had: {error}", file=sys.stderr)
        return 1
    quick: bool = arguments.quick
    measured: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for title in arguments.only or ("proxying", "cold_start", "held"):
            folder = Path(name) / title
            folder.mkdir()
            print(f"\n{title.replace('_', ' ')}")
            measured[title] = list(_section(title, found, folder, quick=quick))
            print(report.table(measured[title]))
    print(f"\nkept in {report.save(arguments.results, measured, quick=quick)}")
    return 0


def _section(title: str, found: programs.Programs, folder: Path, *, quick: bool) -> Iterator[Row]:
    if title == "proxying":
        return sections.proxying(found, folder, seconds=2 if quick else 6, rounds=1 if quick else 3)
    if title == "cold_start":
        return sections.cold_start(found, folder, rounds=1 if quick else 5)
    return sections.held(found, folder, callers=2_000 if quick else 10_000)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of ten; the figures are rougher")
    parser.add_argument("--only", action="append", choices=["proxying", "cold_start", "held"])
    parser.add_argument("--tools-dir", type=Path, default=HERE.parent / ".tools")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
