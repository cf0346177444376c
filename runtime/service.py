"""A process is a list of services: started in order, stopped in reverse, all ended when one fails."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol


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


class BackgroundTask:
    """What a service does from its start to its stop, as a task."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<BackgroundTask {self._name!r} {self.state}>"

    @property
    def state(self) -> str:
        return "idle" if self._task is None else "ended" if self._task.done() else "running"

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(work, name=self._name)

    async def stop(self) -> None:
        """Its own failure is told by ``wait``; stopping must go on to the next service."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def wait(self) -> None:
        """Raises what it failed with. Who waits may be cancelled; the task goes on."""
        assert self._task is not None
        await asyncio.shield(self._task)


class Opened:
    """What a service opens at its start, closed in reverse at its stop, or when the start fails."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()

    async def start(self, opening: Callable[[contextlib.AsyncExitStack], Awaitable[None]]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            await opening(stack)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        await self._stack.aclose()


async def first_end(*waits: Coroutine[Any, Any, Any]) -> None:
    """Return when one of them does, or raise what it raises; the others are cancelled."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        if not task.cancelled():
            task.result()


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
