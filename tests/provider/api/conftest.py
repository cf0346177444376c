"""An API over a provider in memory, served just for one test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.provider.api.served import Served, serving


@pytest.fixture
@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    async with serving() as made:
        yield made
