"""What every ASGI application here is made of: the interface's types, whole answers, streams, and bounded bodies.

Plain functions over the specification's messages, so that a part needs no framework for its three paths.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from springtide.runtime.errors import BodyTimeout, BodyTooLarge

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientDisconnected(Exception):
    """The client closed the connection before its body was complete."""


async def respond(
    send: Send,
    status: int,
    body: bytes = b"",
    *,
    content_type: bytes = b"text/plain; charset=utf-8",
    more_headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send one whole answer."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *more_headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def bounded(receive: Receive, *, max_bytes: int, deadline_s: float | None = None, limit: str = "") -> Receive:
    """``receive`` that raises BodyTooLarge or, once ``deadline_s`` from now is over before the body, BodyTimeout.

    ``limit`` is what the deadline is called where it is set.
    """
    deadline = None if deadline_s is None else asyncio.get_running_loop().time() + deadline_s
    received_bytes, complete = 0, False

    async def receive_bounded() -> Message:
        nonlocal received_bytes, complete
        if complete:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            within = f"{limit} ({deadline_s:.10g} s)" if limit else f"{deadline_s:.10g} s"
            raise BodyTimeout(f"the body did not arrive within {within}") from None
        received_bytes += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if received_bytes > max_bytes:
            raise BodyTooLarge(f"the body is larger than {max_bytes} bytes")
        return message

    return receive_bounded


async def bounded_body(stream: AsyncIterable[bytes], max_bytes: int) -> bytes | None:
    """The whole body of a framework's request, or None when it has more bytes."""
    body = bytearray()
    async for part in stream:
        body += part
        if len(body) > max_bytes:
            return None
    return bytes(body)


class RequestBody:
    """A client's body as it arrives, to be read once; afterwards, word of the client's leaving."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._over = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        """Raises ClientDisconnected, and whatever ``receive`` raises."""
        while not self._over.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            if not message.get("more_body", False):
                self._over.set()
            if chunk := message.get("body"):
                yield chunk

    async def read(self) -> bytes:
        """All of it. Raises ClientDisconnected."""
        return b"".join([chunk async for chunk in self])

    def ignore(self) -> None:
        """Nobody reads it any more, so ``disconnected`` may."""
        self._over.set()

    async def disconnected(self) -> None:
        """Once the body is read or ignored: until the client is gone, or its whole answer is sent."""
        await self._over.wait()
        await disconnected(self._receive)


async def disconnected(receive: Receive) -> None:
    """Until the client is gone, or its whole answer is sent. Parts of a body that arrive are thrown away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_stream(
    receive: Receive,
    send: Send,
    chunks: AsyncGenerator[bytes, None],
    *,
    stopping: asyncio.Event,
    idle_s: float | None = None,
    idle_chunk: bytes = b"",
) -> None:
    """After a head: send what ``chunks`` yields until it ends, the client leaves or ``stopping`` is set, then close it.

    With ``idle_s`` an ``idle_chunk`` is sent whenever nothing came for so long. Empty chunks are left out.
    """
    ends = [asyncio.create_task(stopping.wait()), asyncio.create_task(disconnected(receive))]
    # One read stays under way across idle chunks: cancelling it would lose what it was about to return.
    item = asyncio.ensure_future(anext(chunks))
    try:
        while True:
            await asyncio.wait([item, *ends], timeout=idle_s, return_when=asyncio.FIRST_COMPLETED)
            if any(task.done() for task in ends):
                break
            body = item.result() if item.done() else idle_chunk
            if item.done():
                item = asyncio.ensure_future(anext(chunks))
            if body:
                await send({"type": "http.response.body", "body": body, "more_body": True})
    except StopAsyncIteration:
        pass
    finally:
        for task in (item, *ends):
            task.cancel()
        await asyncio.gather(item, *ends, return_exceptions=True)
        await chunks.aclose()
    await send({"type": "http.response.body", "body": b"", "more_body": False})
