"""Calls of functions by the gateway, in the queue or at once."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import httpcore

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import kind_and_reason_of
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.delivery import CallAnswer
from springtide.wire.events.delivery_mode import DeliveryMode
from springtide.wire.events.headers import RawHeaders
from springtide.wire.gateway_connections import GatewayConnections

STORE_S = 30.0
"""How long the gateway may take to store a call."""
CONNECT_S = 10.0
MAX_TEXT = 500
"""Characters of an answer that are told."""

_PATHS = {DeliveryMode.ASYNC: b"/async-function/", DeliveryMode.SYNC: b"/function/"}
_INTERNAL = b"x-openfaas-internal"
_NO_ANSWER = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError, TimeoutError)


class GatewayCaller:
    """Implements ``delivery.FunctionCaller``. ``timeout_s``: how long a function that is called at once may take."""

    def __init__(
        self, connections: GatewayConnections, *, timeout_s: float, credentials: Credentials | None = None
    ) -> None:
        self._connections = connections
        self._credentials = credentials
        self._deadlines_s = {DeliveryMode.ASYNC: STORE_S, DeliveryMode.SYNC: timeout_s}

    def __repr__(self) -> str:
        return f"<GatewayCaller over {self._connections!r}>"

    async def call(self, function: FunctionRef, mode: DeliveryMode, headers: RawHeaders, body: bytes) -> CallAnswer:
        path = _PATHS[mode] + quote(str(function), safe="").encode()
        return await self._request(b"POST", path, headers, body, deadline_s=self._deadlines_s[mode])

    async def has_queue(self) -> bool:
        """False where the gateway says that it has none."""
        shown = [(b"Authorization", self._credentials.header.encode())] if self._credentials else []
        answer = await self._request(b"GET", b"/system/queues", shown, b"", deadline_s=CONNECT_S)
        return answer.status != 501

    async def _request(
        self, method: bytes, path: bytes, headers: RawHeaders, body: bytes, *, deadline_s: float
    ) -> CallAnswer:
        url = self._connections.url
        timeouts: dict[str, Any] = {"connect": CONNECT_S, "read": deadline_s, "write": deadline_s}
        request = httpcore.Request(
            method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path.rstrip(b"/") + path
            ),
            headers=[(b"Host", url.netloc), *headers, (b"Content-Length", b"%d" % len(body))],
            content=body,
            extensions={"timeout": timeouts},
        )
        try:
            # The time-outs above begin anew with each piece; this one is for the whole call.
            async with asyncio.timeout(deadline_s), self._connections.answer(request) as response:
                text = await _beginning(response)
        except _NO_ANSWER as error:
            return CallAnswer(0, text=kind_and_reason_of(error))
        internal = any(name.lower() == _INTERNAL for name, _ in response.headers)
        return CallAnswer(response.status, internal, text)


async def _beginning(response: httpcore.Response) -> str:
    """The rest is read, too: a connection that is closed early looks to the function like a caller that left."""
    kept = bytearray()
    async for piece in response.aiter_stream():
        kept += piece[: MAX_TEXT - len(kept)]
    return kept.decode(errors="replace").strip()
