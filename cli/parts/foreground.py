"""A process that runs one part until it is asked to stop."""

from __future__ import annotations

import asyncio

import uvloop

from springtide.runtime import logs
from springtide.runtime.kept_parts import Assembled
from springtide.runtime.service import run, stop_signals


def serve(assembled: Assembled) -> None:
    """Run until SIGINT or SIGTERM; raises what made a service fail."""
    logs.configure()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(assembled))


async def _serve(assembled: Assembled) -> None:
    until = asyncio.Event()
    with stop_signals(until):
        async with assembled as services:
            await run(services, until=until)
