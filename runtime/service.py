"""A process is a list of services: started in order, stopped in reverse, all ended when one fails."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence
from typing import Protocol


class Service(Protocol):
    """One part of a process. ``build(settings, deps)`` of each deployable package returns one."""

    @property
    def name(self) -> str: ...

    async def start(self) -> None:
        """Return once the service does its work; raise if it cannot."""

    async def stop(self) -> None:
        """Take no new work, finish what is under way within the grace period, release everything. Idempotent."""

    async def wait(self) -> None:
        """Return or raise only when the service ended by itself."""


async def run(services: Sequence[Service], *, until: asyncio.Event) -> None:
    """Run until ``until`` is set or a service ends by itself; its error is raised after the others have stopped."""
    async with contextlib.AsyncExitStack() as stack:
        for service in services:
            stack.push_async_callback(service.stop)
            await service.start()
        ends = [asyncio.create_task(service.wait(), name=service.name) for service in services]
        asked = asyncio.create_task(until.wait(), name="until")
        try:
            done, _ = await asyncio.wait([*ends, asked], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*ends, asked):
                task.cancel()
            await asyncio.gather(*ends, asked, return_exceptions=True)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


@contextlib.contextmanager
def stop_signals(until: asyncio.Event) -> Iterator[None]:
    """Set ``until`` on SIGINT or SIGTERM; the handlers are removed afterwards."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, until.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
