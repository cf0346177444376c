"""Stories played on every stage: what all providers must do alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.provider.contract.stages import STAGES, Opened, Stage

DEADLINE_S = 30.0

Story = Callable[[Stage], Awaitable[None]]
Play = Callable[[Story], None]


@pytest.fixture(params=STAGES.values(), ids=STAGES.keys())
def play(request: pytest.FixtureRequest) -> Play:
    """Run a story against one provider, within a deadline."""
    opened: Opened = request.param

    async def tell(story: Story) -> None:
        async with asyncio.timeout(DEADLINE_S), opened() as stage:
            await story(stage)

    return lambda story: asyncio.run(tell(story))
