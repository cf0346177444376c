"""What the gateway is asked: to keep a call, to make one at once, what became of one, and to end it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

import httpcore

from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import NotFound, Unavailable, Unsupported, kind_and_reason_of
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.gateway_requests import NO_ANSWER, NO_QUEUE, STORE_S, GatewayAnswer, answered, shown
from springtide.wire.events.event import Event
from springtide.wire.events.headers import RawHeaders, call_headers, timestamp
from springtide.wire.gateway_connections import GatewayConnections
from springtide.wire.jobs.job import JobState
from springtide.wire.schedules.annotations import CRON_TOPIC, TickOptions

CONNECTOR = "cron-connector"
SCHEDULED = b"X-Springtide-Scheduled"
MAX_ANSWER_BYTES = 64 * 1024
MAX_JOBS_BYTES = 512 * 1024
MAX_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class TickCall:
    """``at``: the instant that the schedule names, in seconds of the epoch. ``key``: what makes repetitions one call;
    empty for a call of its own."""

    function: FunctionRef
    schedule: str
    at: float
    options: TickOptions
    key: str = ""

    @property
    def claim(self) -> str:
        """What the queue knows it by."""
        return f"{self.function} {self.key}"


@dataclass(frozen=True, slots=True)
class TickAnswer:
    """``status`` 0: none came. ``unmade``: the call was certainly not made."""

    status: int
    job: str = ""
    text: str = ""
    unmade: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TickJob:
    """A call that the queue knows. ``status``: of the function's answer, 0 while there is none; ``reason``: why it was
    given up."""

    id: str
    state: JobState
    accepted_at: float
    status: int = 0
    reason: str = ""


class TickGateway(Protocol):
    async def keep(self, call: TickCall) -> TickAnswer:
        """As an asynchronous call: 202 once it is stored."""

    async def make(self, call: TickCall) -> TickAnswer:
        """At once; the answer is the function's."""

    async def state(self, job: str) -> JobState | None:
        """None where nobody knows it any more. Raises Unavailable."""

    async def jobs(self, ids: Sequence[str]) -> Mapping[str, TickJob]:
        """By their ids, those that are known still. Raises NotFound or Unsupported where there is no queue, and
        Unavailable."""

    async def jobs_of(self, calls: Sequence[TickCall]) -> Mapping[str, TickJob]:
        """By what the queue knows calls by, those that were kept. Raises as ``jobs`` does."""

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
            answer = await self._asked("GET", _path(job))
            return JobState(bounded_json.loads(answer.body)["state"]) if answer.status == 200 else None
        except NotFound:
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"what the gateway tells of {job} makes no sense: {error!r:.200}") from error

    async def jobs(self, ids: Sequence[str]) -> Mapping[str, TickJob]:
        return await self._jobs("id", ids)

    async def jobs_of(self, calls: Sequence[TickCall]) -> Mapping[str, TickJob]:
        return await self._jobs("key", [call.claim for call in calls])

    async def _jobs(self, by: str, names: Sequence[str]) -> Mapping[str, TickJob]:
        asked = "&".join(f"{by}={quote(name, safe='')}" for name in names)
        answer = await self._asked("GET", f"/system/jobs?{asked}", max_bytes=MAX_JOBS_BYTES)
        try:
            return {str(job[by]): _job(job) for job in bounded_json.loads(answer.body)["jobs"]}
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"what the gateway tells of calls makes no sense: {error!r:.200}") from error

    async def cancel(self, job: str) -> None:
        try:
            await self._asked("DELETE", _path(job))
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
            answer = await self._request(call.options.method, path, headers, body, deadline_s=deadline_s)
        except NO_ANSWER as error:
            unmade = isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout)
            return TickAnswer(0, text=kind_and_reason_of(error), unmade=unmade)
        job = answer.headers.get(b"x-call-id", b"").decode("latin-1")
        unmade = answer.internal and answer.status in (429, 503)
        return TickAnswer(answer.status, job, answer.text(MAX_TEXT), unmade)

    async def _asked(self, method: str, path: str, *, max_bytes: int = MAX_ANSWER_BYTES) -> GatewayAnswer:
        """Raises NotFound, Unsupported and Unavailable."""
        try:
            answer = await self._request(
                method, path, shown(self._credentials), deadline_s=STORE_S, max_bytes=max_bytes
            )
        except NO_ANSWER as error:
            raise Unavailable(f"the gateway: {kind_and_reason_of(error)}") from error
        if answer.status == 404:
            raise NotFound(f"the gateway knows no {path[:80]}")
        if answer.status == NO_QUEUE:
            raise Unsupported("the gateway has no queue")
        if answer.status >= 400 and answer.status != 409:
            text = answer.text(MAX_TEXT)
            raise Unavailable(f"the gateway answered {answer.status} when asked about a call: {text}")
        return answer

    async def _request(
        self,
        method: str,
        path: str,
        headers: RawHeaders,
        body: bytes = b"",
        *,
        deadline_s: float,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> GatewayAnswer:
        """Raises what ``NO_ANSWER`` has."""
        return await answered(
            self._connections, method, path.encode(), headers, body, deadline_s=deadline_s, max_bytes=max_bytes
        )


def _path(job: str) -> str:
    return f"/async-function/{quote(job, safe='')}"


def _job(told: Any) -> TickJob:
    """Raises KeyError, TypeError and ValueError."""
    return TickJob(
        id=str(told["id"]),
        state=JobState(told["state"]),
        accepted_at=datetime.fromisoformat(told["accepted_at"]).timestamp(),
        status=int(told["status"] or 0),
        reason=str(told["reason"] or "")[:MAX_TEXT],
    )
