"""A process that runs one part until it is asked to stop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import uvloop

from springtide.runtime import logs
from springtide.runtime.service import Service, run, stop_signals

Assembled = AbstractAsyncContextManager[Sequence[Service]]
"""Services in the order in which they start; leaving the context releases what they share."""


def serve(assembled: Assembled) -> None:
    """Run until SIGINT or SIGTERM; raises what made a service fail."""
    logs.configure(stream=sys.stderr)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(assembled))


async def _serve(assembled: Assembled) -> None:
    until = asyncio.Event()
    with stop_signals(until):
        async with assembled as services:
            await run(services, until=until)
