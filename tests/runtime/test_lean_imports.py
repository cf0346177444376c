"""What an import of the libraries that we are made of brings along."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, sys
from springtide.runtime.lean_imports import import_lean
import_lean()
found = {name: name in sys.modules for name in ("httpx", "structlog", "rich", "pygments")}
import rich.console
print(json.dumps({**found, "rich later": rich.console.Console is not None}))
"""

COMMAND = """
import sys
from springtide.cli.command_line import run
run(["up", "--help"], {})
print("rich" in sys.modules, file=sys.stderr)
"""


def _run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)


def test_libraries_come_without_what_makes_them_pretty_and_who_wants_that_has_it() -> None:
    assert json.loads(_run(PROGRAM).stdout) == {
        "httpx": True,
        "structlog": True,
        "rich": False,
        "pygments": False,
        "rich later": True,
    }


def test_suite_is_started_without_it() -> None:
    assert _run(COMMAND).stderr == "False\n"
