"""Stories played on every stage: what all providers must do alike. They run inside a pod network, which one needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.kubernetes.pod_network import inside_pod_network, pod_network
from tests.provider.contract.stages import STAGES, Opened, Stage, on_kubernetes

__all__ = ["play", "pod_network"]

DEADLINE_S = 30.0

pytest_runtest_protocol = inside_pod_network(Path(__file__).parent)

Story = Callable[[Stage], Awaitable[None]]
Play = Callable[[Story], None]


@pytest.fixture(params=STAGES.values(), ids=STAGES.keys())
def play(request: pytest.FixtureRequest) -> Play:
    """Run a story against one provider, within a deadline."""
    opened: Opened = request.param
    if opened is on_kubernetes:
        request.getfixturevalue("pod_network")

    async def tell(story: Story) -> None:
        async with asyncio.timeout(DEADLINE_S), opened() as stage:
            await story(stage)

    return lambda story: asyncio.run(tell(story))
