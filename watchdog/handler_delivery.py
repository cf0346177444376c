"""Sending a handler's answer: whole, or piece by piece as the handler makes them, from its thread or from the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

from .calls import Caller, CallerLeftError, Send, guarded
from .handler_answer import Answer, piece


class Delivery:
    """The way back for one call.

    Nothing is sent before there is a first piece: until then a failure can still be answered. A caller that leaves, or
    does not get the answer in time, ends the handler's iterator, which is closed in the thread that it ran in.
    """

    def __init__(self, send: Send, caller: Caller, method: str) -> None:
        self.send, self._caller, self._method = send, caller, method
        self._loop = asyncio.get_running_loop()
        self._given_up = False
        self.begun = False
        self.sent = 0
        """Heads and pieces, so that it is seen whether it goes on."""

    def give_up(self) -> None:
        """Nothing that the handler still makes is sent."""
        self._given_up = True

    async def whole(self, answer: Answer) -> None:
        await self._begin(answer)
        await self.send({"type": "http.response.body", "body": answer.body if answer.has_body(self._method) else b""})

    def pieces_of_thread(self, answer: Answer) -> None:
        """Send the pieces of a plain iterator, in the thread that runs it. Raises what it raises."""
        pieces = answer.pieces
        assert isinstance(pieces, Iterator)
        try:
            data = _next(pieces)
            if data is None or not answer.has_body(self._method):
                self._wait_for(self.whole(Answer(answer.status, answer.headers, told_length=answer.told_length)))
                return
            self._wait_for(self._begin(answer))
            while data is not None:
                self._wait_for(self._piece(data))
                data = _next(pieces)
            self._wait_for(self._end())
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

    async def pieces_of_loop(self, answer: Answer) -> None:
        """Send the pieces of an async iterator. Raises what it raises, and CallerLeftError."""
        await guarded(self._pieces_of_loop(answer), self._caller.leaves())

    async def _pieces_of_loop(self, answer: Answer) -> None:
        pieces = answer.pieces
        assert isinstance(pieces, AsyncIterator)
        try:
            data = await _anext(pieces)
            if data is None or not answer.has_body(self._method):
                await self.whole(Answer(answer.status, answer.headers, told_length=answer.told_length))
                return
            await self._begin(answer)
            while data is not None:
                await self._piece(data)
                data = await _anext(pieces)
            await self._end()
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()

    def _wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _begin(self, answer: Answer) -> None:
        self._check()
        self.begun = True
        self.sent += 1
        head = answer.head(self._method)
        await self.send({"type": "http.response.start", "status": answer.status, "headers": head})

    async def _piece(self, data: bytes) -> None:
        self._check()
        self.sent += 1
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def _end(self) -> None:
        await self.send({"type": "http.response.body", "body": b""})

    def _check(self) -> None:
        if self._given_up:
            raise CallerLeftError


def _next(pieces: Iterator[Any]) -> bytes | None:
    """The next piece that is not empty; None at the end."""
    return next((data for item in pieces if (data := piece(item))), None)


async def _anext(pieces: AsyncIterator[Any]) -> bytes | None:
    async for item in pieces:
        if data := piece(item):
            return data
    return None
