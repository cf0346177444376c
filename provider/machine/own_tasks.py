"""What a fleet does beside everything else, as tasks of which none should fail."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class OwnTasks:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed = asyncio.Event()
        self._failure: BaseException | None = None

    def __repr__(self) -> str:
        return f"<OwnTasks {len(self._tasks)} running>"

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def wait(self) -> None:
        """Raises what the first one failed with; never returns."""
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    async def cancel(self) -> None:
        """Returns when all have ended."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and self._failure is None:
            self._failure = error
            self._failed.set()
