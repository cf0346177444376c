"""A service made of an HTTP server and one loop beside it; it ends when either does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.service import BackgroundTask, first_end

Loop = Callable[[], Coroutine[Any, Any, None]]


class ServedLoop:
    """Starts the loop once the server listens; on stop the server finishes its requests first."""

    def __init__(self, server: AsgiServer, loop: Loop) -> None:
        self._server = server
        self._loop = loop
        self._task = BackgroundTask(f"{server.name} loop")

    def __repr__(self) -> str:
        return f"<ServedLoop {self._server!r} loop {self._task.state}>"

    @property
    def name(self) -> str:
        return self._server.name

    @property
    def port(self) -> int:
        """The port really bound, also when 0 was asked for."""
        return self._server.port

    async def start(self) -> None:
        await self._server.start()
        self._task.start(self._loop())

    async def stop(self) -> None:
        await self._server.stop()
        await self._task.stop()

    async def wait(self) -> None:
        await first_end(self._server.wait(), self._task.wait())
