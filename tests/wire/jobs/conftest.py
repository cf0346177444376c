from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from springtide.wire.jobs.nats.broker import Broker
from tests.nats_server import NatsServer


@pytest.fixture
@asynccontextmanager
async def broker(server: NatsServer) -> AsyncIterator[Broker]:
    broker = Broker(server.settings, name="test")
    yield broker
    await broker.aclose()


@pytest.fixture
def queue() -> str:
    """Of this test alone."""
    return f"q{uuid.uuid4().hex[:12]}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
