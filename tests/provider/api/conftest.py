"""Stories played against the REST API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from springtide.runtime.basic_auth import App
from tests.provider.api.served import DEADLINE_S, Served, serving

Story = Callable[[Served], Awaitable[None]]
Play = Callable[..., None]


@pytest.fixture
def play() -> Play:
    """Run a story against an API served just for it, within a deadline."""

    async def tell(story: Story, app: App | None, read_timeout_s: float) -> None:
        async with asyncio.timeout(DEADLINE_S), serving(app, read_timeout_s=read_timeout_s) as served:
            await story(served)

    def run(story: Story, app: App | None = None, *, read_timeout_s: float = 2 * DEADLINE_S) -> None:
        asyncio.run(tell(story, app, read_timeout_s))

    return run
