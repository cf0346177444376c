"""What a process logs, as it leaves the process."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

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
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=True)

    ours, theirs = (json.loads(line) for line in done.stderr.splitlines())
    assert ours.pop("timestamp") <= theirs.pop("timestamp")
    assert ours == {"event": "woken", "function": "echo", "after": 1, "level": "info"}
    assert "ZeroDivisionError" in theirs.pop("exception")
    assert theirs == {"event": "it broke: why", "level": "error", "logger": "a.library"}


FAILS_WITH_A_SECRET = """
import structlog
from springtide.runtime import logs
logs.configure()
def log_in(password):
    raise ValueError("no such user")
try:
    log_in("".join(["hunt", "er2"]))
except ValueError:
    structlog.get_logger().exception("refused")
"""


def test_traceback_on_a_terminal_shows_no_values() -> None:
    ours, terminal = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", FAILS_WITH_A_SECRET], stderr=terminal, timeout=300, check=True)
        os.close(terminal)
        text = b"".join(iter(lambda: _read(ours), b"")).decode()
    finally:
        os.close(ours)

    assert "ValueError: no such user" in text
    assert "hunter2" not in text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 64 * 1024)
    except OSError:  # a terminal's way to say that nobody is left who writes
        return b""


LOGS_TWICE = """
import os, sys, structlog
from pathlib import Path
from springtide.runtime import logs
logs.configure()
class Strange:
    def __repr__(self):
        raise RuntimeError
for to in sys.argv[1:]:
    if to != "-":
        os.dup2(os.open(to, os.O_WRONLY | os.O_APPEND | os.O_CREAT), 2)
    structlog.get_logger().warning("it went on", strange=Strange())
    structlog.get_logger().warning("it went on")
    print("and printed", file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize("to", [pytest.param("2>/dev/full", id="full"), pytest.param("2>&-", id="closed")])
def test_line_that_cannot_be_written_ends_nothing(to: str) -> None:
    command = f'"{sys.executable}" -c "$0" - {to}'

    assert subprocess.run(["sh", "-c", command, LOGS_TWICE], timeout=300, check=False).returncode == 0


def test_reader_of_the_log_that_is_gone_ends_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([sys.executable, "-c", LOGS_TWICE, "-"], stderr=write, timeout=300, check=False)
    finally:
        os.close(write)

    assert done.returncode == 0


def test_lines_that_were_lost_are_told_of_by_the_next_that_is_not(tmp_path: Path) -> None:
    log = tmp_path / "log"
    subprocess.run([sys.executable, "-c", LOGS_TWICE, "/dev/full", str(log)], timeout=300, check=True)

    first, second, printed = log.read_text().splitlines()
    assert (json.loads(first)["not_shown"], json.loads(first)["lines_lost"]) == ("RuntimeError", 2)
    assert json.loads(first)["event"] == json.loads(second)["event"] == "it went on"
    assert (json.loads(second).get("lines_lost"), printed) == (None, "and printed")
