"""What the gateway is asked: to keep a call, to make one at once, what became of one, and to end it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import httpcore

from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import NotFound, Unavailable, kind_and_reason_of
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.events.event import Event
from springtide.wire.events.headers import RawHeaders, call_headers, timestamp
from springtide.wire.gateway_connections import GatewayConnections
from springtide.wire.jobs.job import JobState
from springtide.wire.schedules.annotations import CRON_TOPIC, TickOptions

CONNECTOR = "cron-connector"
SCHEDULED = b"X-Springtide-Scheduled"
CONNECT_S = 10.0
STORE_S = 30.0
"""How long the gateway may take to store a call, or to answer about one."""
MAX_ANSWER_BYTES = 64 * 1024
MAX_TEXT = 300
_NO_ANSWER = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True, kw_only=True)
class TickCall:
    """``at``: the instant that the schedule names, in seconds of the epoch. ``key``: what makes repetitions one call;
    empty for a call of its own."""

    function: FunctionRef
    schedule: str
    at: float
    options: TickOptions
    key: str = ""


@dataclass(frozen=True, slots=True)
class TickAnswer:
    """``status`` 0: none came. ``unmade``: the call was certainly not made."""

    status: int
    job: str = ""
    text: str = ""
    unmade: bool = False


class TickGateway(Protocol):
    async def keep(self, call: TickCall) -> TickAnswer:
        """As an asynchronous call: 202 once it is stored."""

    async def make(self, call: TickCall) -> TickAnswer:
        """At once; the answer is the function's."""

    async def state(self, job: str) -> JobState | None:
        """None where nobody knows it any more. Raises Unavailable."""

    async def cancel(self, job: str) -> None:
        """Return when it has ended, or is about to, however. Raises Unavailable."""


class HttpTickGateway:
    """Implements ``TickGateway``. ``timeout_s``: how long a function may take that is called at once."""

    def __init__(
        self, connections: GatewayConnections, *, credentials: Credentials | None, content_type: str, timeout_s: float
    ) -> None:
        self._connections = connections
        self._credentials = credentials
        self._content_type = content_type
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"<HttpTickGateway over {self._connections!r}>"

    async def keep(self, call: TickCall) -> TickAnswer:
        headers, options = self._headers(call), call.options
        if call.key:
            headers.append((b"Idempotency-Key", call.key.encode()))
        if options.method == "POST":
            return await self._called(call, "/async-function/", headers, deadline_s=STORE_S)
        headers.append((b"Prefer", b"respond-async"))
        return await self._called(call, "/function/", headers, deadline_s=STORE_S)

    async def make(self, call: TickCall) -> TickAnswer:
        return await self._called(call, "/function/", self._headers(call), deadline_s=self._timeout_s)

    async def state(self, job: str) -> JobState | None:
        try:
            status, body = await self._asked("GET", job)
            return JobState(bounded_json.loads(body)["state"]) if status == 200 else None
        except NotFound:
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"what the gateway tells of {job} makes no sense: {error!r:.200}") from error

    async def cancel(self, job: str) -> None:
        try:
            await self._asked("DELETE", job)
        except NotFound:
            return

    def _headers(self, call: TickCall) -> RawHeaders:
        at = timestamp(call.at)
        event = Event(
            topic=CRON_TOPIC,
            body=b"",
            id=f"{call.function} {call.schedule} {at}",
            source="/springtide/cron",
            type="com.springtide.schedule.tick",
            subject=call.schedule,
            time=call.at,
        )
        headers = call_headers(event, connector=CONNECTOR, content_type=self._content_type, also_sdk=False)
        return [*headers, (SCHEDULED, at.encode())]

    async def _called(self, call: TickCall, route: str, headers: RawHeaders, *, deadline_s: float) -> TickAnswer:
        path = f"{route}{quote(str(call.function), safe='')}{call.options.path if call.options.path != '/' else ''}"
        body = call.options.body.encode()
        try:
            status, told, answer = await self._request(
                call.options.method, path, headers, body=body, deadline_s=deadline_s
            )
        except _NO_ANSWER as error:
            unmade = isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout)
            return TickAnswer(0, text=kind_and_reason_of(error), unmade=unmade)
        internal = b"x-openfaas-internal" in told
        text = answer[:MAX_TEXT].decode(errors="replace").strip()
        job = told.get(b"x-call-id", b"").decode("latin-1")
        return TickAnswer(status, job, text, unmade=internal and status in (429, 503))

    async def _asked(self, method: str, job: str) -> tuple[int, bytes]:
        """Raises NotFound and Unavailable."""
        shown = [(b"Authorization", self._credentials.header.encode())] if self._credentials else []
        path = f"/async-function/{quote(job, safe='')}"
        try:
            status, _, body = await self._request(method, path, shown, body=b"", deadline_s=STORE_S)
        except _NO_ANSWER as error:
            raise Unavailable(f"the gateway: {kind_and_reason_of(error)}") from error
        if status == 404:
            raise NotFound(f"there is no call {job}")
        if status >= 400 and status != 409:
            text = body[:MAX_TEXT].decode(errors="replace").strip()
            raise Unavailable(f"the gateway answered {status} when asked about a call: {text}")
        return status, body

    async def _request(
        self, method: str, path: str, headers: RawHeaders, *, body: bytes, deadline_s: float
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, headers by their names in small letters, and how the body begins. Raises what ``_NO_ANSWER`` has."""
        url = self._connections.url
        timeouts: dict[str, Any] = {"connect": CONNECT_S, "read": deadline_s, "write": deadline_s}
        target = url.raw_path.rstrip(b"/") + path.encode()
        request = httpcore.Request(
            method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target),
            headers=[(b"Host", url.netloc), *headers, (b"Content-Length", b"%d" % len(body))],
            content=body,
            extensions={"timeout": timeouts},
        )
        kept = bytearray()
        # The time-outs above begin anew with each piece; this one is for the whole.
        async with asyncio.timeout(deadline_s), self._connections.answer(request) as response:
            async for piece in response.aiter_stream():
                kept += piece[: MAX_ANSWER_BYTES - len(kept)]
        return response.status, {name.lower(): value for name, value in response.headers}, bytes(kept)
