"""The smallest HTTP server that a test can script: GET only, one answer a connection, stops at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Answer = Callable[[str], Awaitable[tuple[int, bytes]]]


class HttpServer:
    """``answer`` gets path and query, and gives status and body; ``date`` becomes a header."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.date: str | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            status, body = await self._answer(head.split(b" ")[1].decode())
            length = f"Content-Length: {len(body)}\r\n" if status != 204 else ""
            date = f"Date: {self.date}\r\n" if self.date is not None else ""
            writer.write(f"HTTP/1.1 {status} X\r\nConnection: close\r\n{date}{length}\r\n".encode() + body)
            await writer.drain()
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left, or the test is over
        finally:
            self._connections.discard(task)
            writer.close()
