"""Fixtures every area shares: the real Prometheus and Alertmanager, where the machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from springtide.cli.tools import Missing, Tools, find
from springtide.runtime.virtual_time import VirtualTimeLoop
from tests import loops

ROOT = Path(__file__).parents[1]

# A shared machine stalls now and then; how long an example takes is never what is tested.
settings.register_profile("springtide", deadline=None)
settings.load_profile("springtide")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Async tests run on the loop that their marker names."""
    return loops.run_if_async(pyfuncitem)


@pytest.fixture
def loop() -> VirtualTimeLoop:
    """The loop on which the test that asks for it runs."""
    return VirtualTimeLoop()


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Prometheus, promtool, Alertmanager and amtool; ``make test`` fetches them where it can."""
    found = find(ROOT / ".tools", os.environ["PATH"])
    if isinstance(found, Missing):
        pytest.skip(f"Prometheus and Alertmanager are not here: {found.why}")
    return found


@pytest.fixture(scope="session")
def prometheus_binary(tools: Tools) -> Path:
    return tools.prometheus
