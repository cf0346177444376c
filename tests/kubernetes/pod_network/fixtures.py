"""The fixture for tests that reach pods at their addresses."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest

from tests.kubernetes.pod_network import namespace

_MAX_S = 30


@functools.cache
def why_not() -> str:
    """Why no pod network can be made here; empty when it can."""
    command = [sys.executable, "-m", "tests.kubernetes.pod_network", "true"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=_MAX_S, check=False)
    except subprocess.TimeoutExpired:
        return f"making one took more than {_MAX_S} s"
    except OSError as error:
        return str(error)
    return "" if tried.returncode == 0 else tried.stderr.strip().rpartition("\n")[2] or f"exit {tried.returncode}"


@pytest.fixture(scope="session")
def pod_network() -> None:
    """Skips the test where pods cannot have addresses."""
    if not namespace.inside():
        pytest.skip(f"pods have no addresses here: {why_not() or 'run by a pytest outside the pod network'}")
