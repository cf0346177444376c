"""Answers that go on for as long as somebody reads: one JSON value a line, each sent at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Generic, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")


class LineStream(Response, Generic[T]):
    """Sends each item as a line until they end, the client leaves, or the service stops; then closes their source.

    ``encode`` returns the line with its newline, or nothing for an item to leave out. With ``idle_s`` an ``idle_line``
    is sent whenever no item came for so long.
    """

    media_type = "application/x-ndjson"

    def __init__(
        self,
        items: AsyncIterator[T],
        encode: Callable[[T], bytes],
        *,
        stopping: asyncio.Event,
        idle_s: float | None = None,
        idle_line: bytes = b"",
        place: contextlib.AbstractContextManager[None] | None = None,
    ) -> None:
        """``place`` is held for as long as the stream goes on; TooMany from it is the answer."""
        super().__init__()
        del self.headers["content-length"]
        self._items, self._encode = items, encode
        self._stopping = stopping
        self._idle_s, self._idle_line = idle_s, idle_line
        self._place = place or contextlib.nullcontext()

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002 - the framework's signature
        receive: Receive,
        send: Send,
    ) -> None:
        with self._place:
            await self._stream(receive, send)

    async def _stream(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        ends = [asyncio.create_task(self._stopping.wait()), asyncio.create_task(_client_left(receive))]
        try:
            await self._send_lines(send, ends)
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
            if isinstance(self._items, AsyncGenerator):
                await self._items.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_lines(self, send: Send, ends: list[asyncio.Task[object]]) -> None:
        # One read stays under way across idle lines: cancelling it would lose the item it was about to return.
        item = asyncio.ensure_future(anext(self._items))
        try:
            while True:
                await asyncio.wait([item, *ends], timeout=self._idle_s, return_when=asyncio.FIRST_COMPLETED)
                if any(task.done() for task in ends):
                    return
                line = self._encode(item.result()) if item.done() else self._idle_line
                if item.done():
                    item = asyncio.ensure_future(anext(self._items))
                if line:
                    await send({"type": "http.response.body", "body": line, "more_body": True})
        except StopAsyncIteration:
            return
        finally:
            item.cancel()
            await asyncio.gather(item, return_exceptions=True)


async def _client_left(receive: Receive) -> object:
    while (await receive())["type"] != "http.disconnect":
        pass
    return None
