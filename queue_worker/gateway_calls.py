"""Calls through the gateway, like anybody's: it holds, counts and traces them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import httpcore
import structlog

from springtide.queue_worker.callback_request import CALL_ID, JOB_ID
from springtide.queue_worker.capacity import Capacity
from springtide.queue_worker.execution import Caller
from springtide.queue_worker.retrying import INTERNAL
from springtide.runtime.errors import reason_of
from springtide.wire.gateway_connections import GatewayConnections
from springtide.wire.jobs.job import Answer, Job
from springtide.wire.jobs.ports import Lease

CONNECT_S = 30.0
_UNSENDABLE = re.compile(rb"[^\x21-\x7e]")
_NO_ANSWER = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)

_log = structlog.get_logger(__name__)


class KnownFunctions:
    """Implements ``execution.Caller`` before another one: what is not deployed is not called, but waited for."""

    def __init__(self, caller: Caller, capacity: Capacity) -> None:
        self._caller = caller
        self._capacity = capacity

    def __repr__(self) -> str:
        return f"<KnownFunctions before {self._caller!r}>"

    async def call(self, lease: Lease) -> Answer:
        function = lease.job.lane.function
        if not self._capacity.may_exist(function):
            return Answer(404, ((INTERNAL, "queue-worker"),), f"there is no function {function}".encode())
        return await self._caller.call(lease)


class GatewayCalls:
    """Implements ``execution.Caller``. ``max_result``: bytes of an answer that are kept; the rest is read and dropped,
    for a connection that is closed early looks to the function like a caller that left."""

    def __init__(self, connections: GatewayConnections, *, max_result: int, timeout_s: float) -> None:
        self._connections = connections
        self._max_result = max_result
        timeouts = {"read": timeout_s, "write": timeout_s, "connect": CONNECT_S}
        self._extensions: dict[str, Any] = {"timeout": timeouts}
        self._host = connections.url.netloc
        self._prefix = connections.url.raw_path.rstrip(b"/")

    def __repr__(self) -> str:
        return f"<GatewayCalls over {self._connections!r}>"

    async def call(self, lease: Lease) -> Answer:
        job = lease.job
        url, target = self._connections.url, self._prefix + _target(job)
        request = httpcore.Request(
            job.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target),
            headers=self._headers(lease),
            content=lease.body(),
            extensions=self._extensions,
        )
        try:
            async with self._connections.answer(request) as response:
                return await self._answer(response)
        except _NO_ANSWER as error:
            _log.debug("no answer", job=lease.id, reason=reason_of(error))
            return Answer(0)

    def _headers(self, lease: Lease) -> list[tuple[bytes, bytes]]:
        """The caller's own, and who the call is."""
        job = lease.job
        headers = [(b"Host", self._host)]
        headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in job.headers]
        if not any(name.lower() == b"x-call-id" for name, _ in headers):
            headers.append((CALL_ID.encode(), lease.id.encode()))
        size = job.stored_body.size if job.stored_body else lease.size
        return [*headers, (JOB_ID.encode(), lease.id.encode()), (b"Content-Length", b"%d" % size)]

    async def _answer(self, response: httpcore.Response) -> Answer:
        kept, truncated = bytearray(), False
        async for piece in response.aiter_stream():
            room = self._max_result - len(kept)
            kept += piece[:room]
            truncated = truncated or len(piece) > room
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers)
        return Answer(response.status, headers, bytes(kept), truncated)


def _target(job: Job) -> bytes:
    """As it was asked for. What no request line may hold is quoted, so that the job runs all the same."""
    path = f"/function/{quote(str(job.lane.function), safe='')}{job.path}"
    raw = (f"{path}?{job.query}" if job.query else path).encode("latin-1", errors="replace")
    return _UNSENDABLE.sub(lambda found: b"%%%02X" % found[0][0], raw)
