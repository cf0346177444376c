"""What comes from a process, whatever processes are called."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from springtide.runtime.process_tree import kill_below

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

NAMED_IN_NO_TEXT = r"""
import ctypes, subprocess, sys
ctypes.CDLL(None).prctl(15, b"\xff) \xfe", 0, 0, 0)
below = subprocess.Popen(["sleep", "60"])
print(below.pid, flush=True)
sys.exit(-below.wait())
"""


def test_what_is_below_a_process_is_killed_and_not_itself() -> None:
    with subprocess.Popen([sys.executable, "-c", NAMED_IN_NO_TEXT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()

        kill_below(parent.pid)

    assert parent.returncode == signal.SIGKILL
