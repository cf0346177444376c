"""Answers that go on for as long as somebody reads: one JSON value a line, each sent at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Generic, TypeVar

import structlog
from starlette.responses import Response

from springtide.runtime.asgi import Receive, Scope, Send, send_stream
from springtide.runtime.errors import SpringtideError

log = structlog.get_logger(__name__)

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
        place: contextlib.AbstractContextManager[object] | None = None,
    ) -> None:
        """``place`` is held for as long as the stream goes on; TooMany from it is the answer."""
        super().__init__()
        del self.headers["content-length"]
        self._items, self._encode = items, encode
        self._stopping = stopping
        self._idle_s, self._idle_line = idle_s, idle_line
        self._place: contextlib.AbstractContextManager[object] = place or contextlib.nullcontext()

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
        try:
            await send_stream(
                receive,
                send,
                (self._encode(item) async for item in self._items),
                stopping=self._stopping,
                idle_s=self._idle_s,
                idle_chunk=self._idle_line,
            )
        except SpringtideError as error:
            # Left unfinished, the answer makes the server break the connection: whoever follows must notice.
            log.info("a stream broke off", why=str(error))
            return
        finally:
            if isinstance(self._items, AsyncGenerator):
                await self._items.aclose()
