"""Every test of this folder runs inside a pod network; see the emulator's README."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.kubernetes.pod_network import inside_pod_network, pod_network
from tests.kubernetes.stories import Cluster, emulated

pytest_runtest_protocol = inside_pod_network(Path(__file__).parent)

__all__ = ["pod_network"]


@pytest.fixture
@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """A fresh emulator and a client of it."""
    async with emulated() as made:
        yield made
