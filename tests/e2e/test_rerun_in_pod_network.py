"""Tests that a child pytest runs leave the ones of the parent as they find them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kubernetes.pod_network import namespace
from tests.kubernetes.pod_network.fixtures import why_not

ROOT = Path(__file__).parents[2]
ONE_FOLDER = ("tests/provider/test_spec.py", "tests/provider/contract/test_secrets_contract.py")
"""The first has its tests run by the parent, the second by the child."""
ANOTHER = "tests/scaler/test_steps.py"


@pytest.mark.skipif(why_not() or namespace.inside(), reason="needs to enter a pod network")
def test_after_a_test_of_the_child_nothing_stays_set_up() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-x", "-p", "no:cacheprovider", *ONE_FOLDER, ANOTHER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
