"""Queues in files: ``GET /system/queues/QUEUE/export`` and ``POST /system/queues/import``, lines of JSON."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from springtide.gateway.asynchronous.stores import Opened, Stores
from springtide.runtime.concurrency_limit import ConcurrencyLimit
from springtide.runtime.errors import BadInput, BodyTooLarge, NotFound, SpringtideError, reason_of
from springtide.runtime.routes import Routes
from springtide.wire.jobs import names
from springtide.wire.jobs.transfer_lines import MAX_LINE, Broken, Line, decode_line, encode_line

MAX_AT_ONCE = 2
"""Each holds some megabytes."""

MEDIA_TYPE = "application/x-ndjson"


class TransferApi:
    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._places = ConcurrencyLimit(MAX_AT_ONCE, "exports and imports of queues")

    def __repr__(self) -> str:
        return f"<TransferApi over {self._stores!r}>"

    def add_to(self, routes: Routes) -> None:
        @routes.get("/system/queues/{queue}/export")
        async def export(queue: str) -> Response:
            opened = await self._stores.all()
            if names.checked_queue(queue, "the queue") not in await opened.letters.queues():
                raise NotFound(f"there is no queue {queue}")
            self._places.check()
            return StreamingResponse(self._exported(opened, queue), media_type=MEDIA_TYPE)

        @routes.post("/system/queues/import")
        async def take_in(request: Request) -> Response:
            opened = await self._stores.all()
            with self._places.place():
                lines = _Lines(request.stream())
                try:
                    taken = await opened.transfer.take_in(lines)
                except (BadInput, ValueError) as error:
                    raise BadInput(f"line {lines.number}: {reason_of(error)}") from error
            return JSONResponse(taken._asdict())

    async def _exported(self, opened: Opened, queue: str) -> AsyncGenerator[bytes]:
        """The last line says how it ended, for the status is long gone."""
        with self._places.place():
            try:
                async with contextlib.aclosing(opened.transfer.export(queue)) as lines:
                    async for line in lines:
                        yield encode_line(line)
            except SpringtideError as error:
                yield encode_line(Broken(reason_of(error)))


class _Lines:
    """Those of a request's body, as they come; ``number`` is that of the last. Raises ValueError and BodyTooLarge."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._waiting = bytearray()
        self._over = False
        self.number = 0

    def __repr__(self) -> str:
        return f"<_Lines, {self.number} read>"

    def __aiter__(self) -> _Lines:
        return self

    async def __anext__(self) -> Line:
        while True:
            text = await self._next()
            self.number += 1
            if text.strip():
                return decode_line(text)

    async def _next(self) -> bytes:
        while (end := self._waiting.find(b"\n")) < 0:
            if len(self._waiting) > MAX_LINE:
                raise BodyTooLarge(f"line {self.number + 1} is longer than {MAX_LINE} bytes")
            chunk = b"" if self._over else await anext(self._chunks, b"")
            if not chunk:
                if self._over and not self._waiting:
                    raise StopAsyncIteration
                if self._over:
                    rest, self._waiting = bytes(self._waiting), bytearray()
                    return rest
                self._over = True
            self._waiting += chunk
        line = bytes(self._waiting[:end])
        del self._waiting[: end + 1]
        return line
