"""What all providers must do alike. They run inside a pod network, which one needs."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.kubernetes.pod_network import inside_pod_network, pod_network
from tests.provider.contract.stages import STAGES, Opened, Stage, as_processes_beside_containers, on_kubernetes

__all__ = ["pod_network", "stage"]

pytest_runtest_protocol = inside_pod_network(Path(__file__).parent)

PASSED_ON = {"test_scale_contract", "test_wake_contract", "test_secrets_contract"}
"""Stories of one function's, or of files: a provider in front of two others passes each on as it is, which two memories
show. On a real engine they would take minutes."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One provider after another, opened anew for every test."""
    if "stage" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        left_out = {as_processes_beside_containers} if module in PASSED_ON else set()
        stages = {name: opened for name, opened in STAGES.items() if opened not in left_out}
        metafunc.parametrize("stage", list(stages.values()), ids=list(stages), indirect=True)


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Stage]:
    opened: Opened = request.param
    if opened is on_kubernetes:
        request.getfixturevalue("pod_network")
    return opened()
