"""A service made of an HTTP server and one loop beside it; it ends when either does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from springtide.runtime.asgi_server import AsgiServer

Loop = Callable[[], Coroutine[Any, Any, None]]


class ServedLoop:
    """Starts the loop once the server listens; on stop the server finishes its requests first."""

    def __init__(self, server: AsgiServer, loop: Loop) -> None:
        self._server = server
        self._loop = loop
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "idle" if self._task is None else "ended" if self._task.done() else "running"
        return f"<ServedLoop {self._server!r} loop {state}>"

    @property
    def name(self) -> str:
        return self._server.name

    @property
    def port(self) -> int:
        """The port really bound, also when 0 was asked for."""
        return self._server.port

    async def start(self) -> None:
        await self._server.start()
        self._task = asyncio.create_task(self._loop(), name=f"{self.name} loop")

    async def stop(self) -> None:
        await self._server.stop()
        if self._task is not None:
            self._task.cancel()
            # The loop's own failure is told by wait(); stopping must go on to the next service.
            await asyncio.wait([self._task])

    async def wait(self) -> None:
        assert self._task is not None
        server = asyncio.create_task(self._server.wait(), name=self.name)
        try:
            done, _ = await asyncio.wait([server, self._task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            server.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([server])
        for task in done:
            if not task.cancelled():
                task.result()
