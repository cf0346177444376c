"""What all providers must do alike. They run inside a pod network, which one needs."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.kubernetes.pod_network import inside_pod_network, pod_network
from tests.provider.contract.stages import STAGES, Opened, Stage, on_kubernetes

__all__ = ["pod_network", "stage"]

pytest_runtest_protocol = inside_pod_network(Path(__file__).parent)


@pytest.fixture(params=list(STAGES.values()), ids=list(STAGES))
def stage(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Stage]:
    """One provider after another, opened anew for every test."""
    opened: Opened = request.param
    if opened is on_kubernetes:
        request.getfixturevalue("pod_network")
    return opened()
