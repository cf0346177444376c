"""Calls of functions by the gateway, in the queue or at once."""

from __future__ import annotations

from urllib.parse import quote

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import kind_and_reason_of
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.delivery import CallAnswer
from springtide.triggers.gateway_requests import CONNECT_S, NO_ANSWER, NO_QUEUE, STORE_S, answered, shown
from springtide.wire.events.delivery_mode import DeliveryMode
from springtide.wire.events.headers import RawHeaders
from springtide.wire.gateway_connections import GatewayConnections

MAX_TEXT = 500
"""Characters of an answer that are told."""

_PATHS = {DeliveryMode.ASYNC: b"/async-function/", DeliveryMode.SYNC: b"/function/"}


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
        return await self._request("POST", path, headers, body, deadline_s=self._deadlines_s[mode])

    async def has_queue(self) -> bool:
        """False where the gateway says that it has none."""
        headers = shown(self._credentials)
        answer = await self._request("GET", b"/system/queues", headers, b"", deadline_s=CONNECT_S)
        return answer.status != NO_QUEUE

    async def _request(
        self, method: str, path: bytes, headers: RawHeaders, body: bytes, *, deadline_s: float
    ) -> CallAnswer:
        try:
            answer = await answered(
                self._connections, method, path, headers, body, deadline_s=deadline_s, max_bytes=MAX_TEXT
            )
        except NO_ANSWER as error:
            return CallAnswer(0, text=kind_and_reason_of(error))
        return CallAnswer(answer.status, answer.internal, answer.text(MAX_TEXT))
