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


LOOKS = """
import sys
from springtide.runtime.lean_imports import import_lean
looked = []
class Spy:
    def find_spec(name, path=None, target=None):
        looked.append(name)
sys.meta_path.insert(0, Spy)
import_lean()
looked.clear()
import asyncio, httpcore._synchronization
for _ in range(3):
    httpcore._synchronization.current_async_library()
print(looked.count("sniffio"))
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


def test_requests_look_for_no_module() -> None:
    assert _run(LOOKS).stdout == "0\n"
