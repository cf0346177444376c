"""Fixtures every area shares: the real Prometheus and Alertmanager, where the machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from springtide.cli.tools import Missing, Tools, find

ROOT = Path(__file__).parents[1]

# A shared machine stalls now and then; how long an example takes is never what is tested.
settings.register_profile("springtide", deadline=None)
settings.load_profile("springtide")


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
