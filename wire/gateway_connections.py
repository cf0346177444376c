"""Connections to the gateway: one for each call that is under way, and some that are kept for the next ones.

httpcore's own pool looks at all of its connections at the beginning and at the end of each call, which with a thousand
jobs running takes ten times as long as the call. There is one origin here, so the next idle connection will do.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import httpcore
import httpx

from springtide.runtime.tls import client_context

MAX_IDLE = 100


@dataclass(slots=True)
class GatewayConnections:
    """To one origin, of which the scheme, the host and the port count."""

    url: httpx.URL
    _idle: list[httpcore.AsyncHTTPConnection] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<GatewayConnections to {self.url}, {len(self._idle)} idle>"

    @contextlib.asynccontextmanager
    async def answer(self, request: httpcore.Request) -> AsyncGenerator[httpcore.Response]:
        """Left before its body was read to the end the connection is closed. Raises what httpcore raises."""
        connection = await self._taken()
        try:
            response = await connection.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()
        finally:
            if connection.is_idle() and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
            else:
                await connection.aclose()

    async def aclose(self) -> None:
        while self._idle:
            await self._idle.pop().aclose()

    async def _taken(self) -> httpcore.AsyncHTTPConnection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        origin = httpcore.URL(str(self.url)).origin
        return httpcore.AsyncHTTPConnection(
            origin, ssl_context=client_context(), network_backend=httpcore.AnyIOBackend()
        )
