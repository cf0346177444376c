"""The watchdog's HTTP server around an application of a test's, on a real socket, and callers that speak raw HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from springtide.watchdog.calls import App, Receive, Scope, Send, reply
from springtide.watchdog.connection import ServerTimeouts
from springtide.watchdog.server import HttpServer

DEADLINE_S = 20.0
"""So that a test that would hang fails; no test waits for it."""

TIMEOUTS = ServerTimeouts(read_s=10.0, write_s=10.0, keep_alive_s=300.0)


class Caller:
    """A connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of an answer that has a length."""
        head = await self.head()
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head.split()[1]), await self.reader.readexactly(int(length.partition(b":")[2]))

    async def rest(self) -> bytes:
        """Until the server ends the connection."""
        return await self.reader.read()


class Served:
    """A server that listens, and its port."""

    def __init__(self, server: HttpServer, port: int) -> None:
        self.server, self.port = server, port

    @contextlib.asynccontextmanager
    async def caller(self) -> AsyncIterator[Caller]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Caller(reader, writer)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def served(app: App, timeouts: ServerTimeouts = TIMEOUTS) -> AsyncIterator[Served]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = HttpServer(app, listener, timeouts)
    await server.start()
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield Served(server, listener.getsockname()[1])
    finally:
        server.stop_listening()
        for connection in list(server.connections):
            connection.abort()
        await server.no_connections()


async def body_of(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        if not message["more_body"]:
            return body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body it got."""
    await reply(send, 200, await body_of(receive), [(b"x-path", scope["path"].encode())])


def answers(status: int, headers: list[tuple[bytes, bytes]], *pieces: bytes) -> App:
    """An application that answers everybody so."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await body_of(receive)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app
