from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.kubernetes.pod_network import inside_pod_network, pod_network

# The tests of permissions let functions run as pods.
pytest_runtest_protocol = inside_pod_network(Path(__file__).parent)

__all__ = ["pod_network"]


@pytest.fixture(autouse=True)
def helm() -> None:
    """Skips where Helm's engine has no wheel."""
    if importlib.util.find_spec("helm_python") is None:
        pytest.skip("helm-python-sdk is not installed: there is none for this machine")
