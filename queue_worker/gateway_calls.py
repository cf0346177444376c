"""Calls through the gateway, like anybody's: it holds, counts and traces them."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import structlog

from springtide.queue_worker.callback_request import CALL_ID, JOB_ID
from springtide.queue_worker.capacity import Capacity
from springtide.queue_worker.execution import Caller
from springtide.queue_worker.retrying import INTERNAL
from springtide.runtime.errors import reason_of
from springtide.wire.jobs.job import Answer
from springtide.wire.jobs.ports import Lease

CONNECT_S = 30.0
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

    def __init__(self, http: httpx.AsyncClient, url: str, *, max_result: int, timeout_s: float) -> None:
        self._http = http
        self._url = httpx.URL(url)
        self._max_result = max_result
        self._timeout = httpx.Timeout(timeout_s, connect=CONNECT_S, pool=None)

    def __repr__(self) -> str:
        return f"<GatewayCalls to {self._url}>"

    async def call(self, lease: Lease) -> Answer:
        job = lease.job
        path = f"/function/{quote(str(job.lane.function), safe='')}{job.path}"
        target = f"{path}?{job.query}" if job.query else path
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in job.headers]
        if not any(name.lower() == b"x-call-id" for name, _ in headers):
            headers.append((CALL_ID.encode(), lease.id.encode()))
        headers.append((JOB_ID.encode(), lease.id.encode()))
        size = job.stored_body.size if job.stored_body else lease.size
        headers.append((b"Content-Length", b"%d" % size))
        url = self._url.copy_with(raw_path=target.encode("latin-1"))
        request = self._http.build_request(
            job.method, url, headers=headers, content=lease.body(), timeout=self._timeout
        )
        request.headers.pop("transfer-encoding", None)
        try:
            response = await self._http.send(request, stream=True)
            try:
                return await self._answer(response)
            finally:
                await response.aclose()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            _log.debug("no answer", job=lease.id, reason=reason_of(error))
            return Answer(0)

    async def _answer(self, response: httpx.Response) -> Answer:
        kept, truncated = bytearray(), False
        async for piece in response.aiter_raw():
            room = self._max_result - len(kept)
            kept += piece[:room]
            truncated = truncated or len(piece) > room
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw)
        return Answer(response.status_code, headers, bytes(kept), truncated)
