"""The watchdog runs in functions' own interpreters, so it uses nothing that CPython 3.9 does not have."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

WATCHDOG = Path(__file__).parents[2] / "watchdog"
FILES = sorted(WATCHDOG.rglob("*.py"))


def newer_than_3_9(*files: Path) -> str:
    """What vermin finds in the files that needs a newer Python; empty when there is nothing."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import vermin; vermin.main()",
            "--no-tips",
            "--violations",
            "--target=3.9-",
            *map(str, files),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_watchdog_uses_nothing_newer() -> None:
    assert FILES
    assert newer_than_3_9(*FILES) == ""


@pytest.mark.parametrize(
    ("source", "named"),
    [
        pytest.param("match 1:\n    case 1: pass\n", "pattern matching", id="syntax"),
        pytest.param("import asyncio\nasyncio.timeout(1)\n", "asyncio.timeout", id="a function"),
        pytest.param("import re\nre.NOFLAG\n", "re.NOFLAG", id="a constant"),
    ],
)
def test_what_is_newer_is_found(source: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "newer.py").write_text(source)

    assert named in newer_than_3_9(tmp_path / "newer.py")


def test_no_module_evaluates_its_annotations() -> None:
    """Unions are written with a bar, which only a Python that does not look at them takes before 3.10."""
    without = [
        file.name
        for file in FILES
        if (tree := ast.parse(file.read_text())).body[1:]
        and not any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    ]

    assert without == []
