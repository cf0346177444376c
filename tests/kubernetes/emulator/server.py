"""The HTTP side: from a request to an answer or a stream, with a listener that can go away and come back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.kubernetes.emulator.requests import Answer, Handling
from tests.kubernetes.emulator.settings import EmulatorSettings

MAX_BODY_BYTES = 3 << 20
"""As the real server's limit for a request."""

Handle = Callable[[web.BaseRequest], Awaitable[Answer]]


class Server:
    """Listens at one port for its whole life, with pauses."""

    def __init__(self, handling: Handling, settings: EmulatorSettings) -> None:
        self._handling, self._settings = handling, settings
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._streams: set[asyncio.Transport] = set()
        self.port = settings.port

    def __repr__(self) -> str:
        return f"<Server port {self.port} {'listening' if self._listener else 'away'}, {len(self._streams)} streams>"

    async def start(self) -> None:
        """Listen, again at the same port. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._web = web.Server(self._serve, request_factory=_request, access_log=None)
        self._listener = await loop.create_server(self._web, self._settings.host, self.port, reuse_address=True)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and every connection at once."""
        if self._listener is None or self._web is None:
            return
        self._listener.close()
        self._listener = None
        for connection in list(self._web.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await self._web.shutdown(0.1)  # 0 would be no bound at all
        self._web = None

    def cut_streams(self) -> int:
        """End the connections of all watches and followed logs as a broken network does."""
        cut = list(self._streams)
        for transport in cut:
            transport.abort()
        return len(cut)

    @property
    def streams(self) -> int:
        return len(self._streams)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._handling.answer(request)
        if answer.stream is None:
            return web.Response(
                status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type, **answer.headers}
            )
        return await self._stream(request, answer)

    async def _stream(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        assert answer.stream is not None
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            raise ConnectionResetError("the client has left")
        self._limit(transport)
        self._streams.add(transport)
        response = web.StreamResponse(headers={"Content-Type": answer.content_type, **answer.headers})
        try:
            response.enable_chunked_encoding()
            await response.prepare(request)
            async with contextlib.aclosing(answer.stream(transport.abort)) as pieces:
                async for piece in pieces:
                    await response.write(piece)
        except ConnectionError:
            pass  # The client left, or the connection was cut.
        finally:
            self._streams.discard(transport)
        return response

    def _limit(self, transport: asyncio.Transport) -> None:
        if self._settings.watch_send_bytes is None:
            return
        transport.set_write_buffer_limits(high=self._settings.watch_send_bytes)
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._settings.watch_send_bytes)


def _request(message, payload, protocol, writer, task):  # type: ignore[no-untyped-def]
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES)
