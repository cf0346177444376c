"""One request to the gateway, and what its answers say to everybody here who has calls for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpcore
import structlog

from springtide.runtime.basic_auth import Credentials
from springtide.scaler.core.ports import Clock
from springtide.wire.events.headers import RawHeaders
from springtide.wire.gateway_connections import GatewayConnections

CONNECT_S = 10.0
STORE_S = 30.0
"""How long the gateway may take to store a call, or to answer about one."""
NO_QUEUE_S = 60.0
"""After it said so the gateway is not asked for a queue for so long."""
NO_QUEUE = 501
NO_ANSWER = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError, TimeoutError)
_INTERNAL = b"x-openfaas-internal"
_PASSING = frozenset((401, 403, 407, 408, 425, 429))
"""They say something of credentials, of a proxy or of load, which passes or which somebody will put right; so do
3xx."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """Headers by their names in small letters; ``body`` is how it begins."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes

    @property
    def internal(self) -> bool:
        """Whether it is the gateway's own."""
        return _INTERNAL in self.headers

    def text(self, most: int) -> str:
        return self.body[:most].decode(errors="replace").strip()


async def answered(
    connections: GatewayConnections,
    method: str,
    path: bytes,
    headers: RawHeaders,
    body: bytes = b"",
    *,
    deadline_s: float,
    max_bytes: int,
) -> GatewayAnswer:
    """Of a longer body the rest is read, too: a connection that is closed early looks to the function like a caller
    that left. Raises what ``NO_ANSWER`` has."""
    url = connections.url
    timeouts: dict[str, Any] = {"connect": CONNECT_S, "read": deadline_s, "write": deadline_s}
    target = url.raw_path.rstrip(b"/") + path
    request = httpcore.Request(
        method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target),
        headers=[(b"Host", url.netloc), *headers, (b"Content-Length", b"%d" % len(body))],
        content=body,
        extensions={"timeout": timeouts},
    )
    kept = bytearray()
    # The time-outs above begin anew with each piece; this one is for the whole.
    async with asyncio.timeout(deadline_s), connections.answer(request) as response:
        async for piece in response.aiter_stream():
            kept += piece[: max_bytes - len(kept)]
    return GatewayAnswer(response.status, {name.lower(): value for name, value in response.headers}, bytes(kept))


def shown(credentials: Credentials | None) -> RawHeaders:
    return [(b"Authorization", credentials.header.encode())] if credentials else []


def refuses(status: int) -> bool:
    """Whether the gateway will never take the call; a 404 may be a function that it has not heard of yet."""
    return 400 <= status < 500 and status not in _PASSING


def told(status: int, text: str) -> str:
    """An answer to a person; ``status`` 0: none came."""
    return f"{status} {text}".strip() if status else f"no answer: {text}"


class Queue:
    """Whether the gateway has a queue, by what it said last. ``warning``: what it means that it has none."""

    def __init__(self, clock: Clock, *, warning: str) -> None:
        self._clock = clock
        self._warning = warning
        self._asked_again_at = float("-inf")
        self._told = False

    def __repr__(self) -> str:
        return f"<Queue {'there' if self.there else 'missing'}>"

    @property
    def there(self) -> bool:
        return self._clock.now() >= self._asked_again_at

    def missing(self) -> None:
        self._asked_again_at = self._clock.now() + NO_QUEUE_S
        if not self._told:
            self._told = True
            _log.warning(self._warning)
