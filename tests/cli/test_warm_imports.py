"""What every process of a suite has in memory, whatever it does."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("aiohttp", "jinja2", "kubernetes", "opentelemetry", "pydantic", "pygments", "rich")
"""Each takes one to ten megabytes, and is needed by one command, for one page, or not at all."""

PROGRAM = f"""
import sys
from springtide.runtime.lean_imports import import_lean
import_lean()
from springtide.cli import up, warm_imports
warm_imports.import_all()
assert "springtide.gateway.service" in sys.modules
assert "nats.aio.client" in sys.modules
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_processes_of_a_suite_hold_nothing_heavy_that_they_do_not_need() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "[]\n"
