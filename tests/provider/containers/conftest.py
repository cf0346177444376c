"""With a real engine, in a network of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from springtide.provider.containers.engine.client import Engine
from tests.container_engine import PodmanServer, podman_of_the_session
from tests.kubernetes.pod_network import inside_pod_network

pytest_runtest_protocol = inside_pod_network(Path(__file__).parent)


@pytest.fixture(scope="session")
def podman() -> PodmanServer:
    return podman_of_the_session()


@asynccontextmanager
async def connected(podman: PodmanServer) -> AsyncIterator[Engine]:
    engine = Engine(podman.socket)
    try:
        await engine.connect()
        yield engine
    finally:
        await engine.aclose()
