"""What a process logs, as it leaves the process."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from springtide.runtime import logs
logs.configure()
structlog.get_logger("ours").info("woken", function="echo", after=1)
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("a.library").exception("it broke: %s", "why")
logging.getLogger("a.library").info("nobody needs to know")
"""


def test_lines_of_ours_and_of_libraries_are_json_where_nobody_reads_along() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=True)

    ours, theirs = (json.loads(line) for line in done.stderr.splitlines())
    assert ours.pop("timestamp") <= theirs.pop("timestamp")
    assert ours == {"event": "woken", "function": "echo", "after": 1, "level": "info"}
    assert "ZeroDivisionError" in theirs.pop("exception")
    assert theirs == {"event": "it broke: why", "level": "error", "logger": "a.library"}
