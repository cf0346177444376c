from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.queue_worker.world import World, a_world


@pytest.fixture
@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with a_world() as world:
        yield world
