"""What became of an asynchronous call, by its id: state, answer, cancelling.

GET    /async-function/ID[?wait=30s]          its state, and its answer once it has ended
GET    /async-function/ID/result[?wait=30s]   the function's own answer: status, headers and body
DELETE /async-function/ID                     cancel it
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from springtide.gateway.asynchronous.stores import Stores
from springtide.runtime.concurrency_limit import ConcurrencyLimit
from springtide.runtime.durations import format_duration, parse_duration_s
from springtide.runtime.errors import BadInput, NotFound, Unavailable
from springtide.runtime.http_headers import end_to_end
from springtide.runtime.routes import Routes
from springtide.scaler.core.ports import Clock
from springtide.wire.jobs.job import JobState, JobStatus
from springtide.wire.jobs.job_id import place_of
from springtide.wire.jobs.ports import JobStore
from springtide.wire.jobs.status_json import TRUNCATED, job_json

PATH = "/async-function"
STATE = "X-Springtide-Job-State"
"""Of every answer about a job, so that ours are told from those of functions."""

MAX_WAIT_S = 300.0
MAX_WAITING = 1000
"""Of one worker."""

LOOK_S = 5.0
"""The end of a job is told, and that may be lost: who waits looks so often, and whether its client is there still."""

STOPPING_S = 0.25
"""How soon who waits is let go when the gateway ends."""

STOPPED_S = 2.0
"""How long a worker has to say that it ended a job, before that is noted in its stead."""

MAX_TRIES = 3
RETRY_AFTER_S = 1

_HARMLESS = [(b"content-security-policy", b"sandbox"), (b"x-content-type-options", b"nosniff")]
"""Who opens it in a browser is logged in to the system API, and what a function answered must not act in their name."""

_OURS = frozenset((b"content-length", b"date", b"server", b"x-call-id"))
_BODILESS = (204, 304)
_VERBS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


class JobsApi:
    """``stopping``: the gateway ends, and whoever waits is answered with what is known."""

    def __init__(self, stores: Stores, clock: Clock, stopping: Callable[[], bool]) -> None:
        self._stores = stores
        self._clock = clock
        self._stopping = stopping
        self._places = ConcurrencyLimit(MAX_WAITING, "requests that wait for the end of an asynchronous call")

    def __repr__(self) -> str:
        return f"<JobsApi over {self._stores!r}>"

    def add_to(self, routes: Routes) -> None:
        @routes.route(PATH + "/{name:path}", methods=_VERBS)
        async def by_id(request: Request, name: str) -> Response:
            if names_no_call(request.method, request.scope["path"]):
                return _not_by_id(request.method, name)
            job_id, _, rest = name.partition("/")
            store = await self._stores.open()
            if request.method == "DELETE":
                return await _cancelled(store, job_id)
            status = await self._found(request, store, job_id)
            return _result(status) if rest else _told(status, 200)

    async def _found(self, request: Request, store: JobStore, job_id: str) -> JobStatus:
        """Raises NotFound."""
        wait_s = _wait_s(request)
        if wait_s <= 0:
            return _there(await store.find(job_id), job_id)
        with self._places.place():
            end = self._clock.now() + wait_s
            while True:
                left = end - self._clock.now()
                status = _there(await self._look(store, job_id, min(LOOK_S, left)), job_id)
                if status.state.final or left <= LOOK_S or self._stopping() or await request.is_disconnected():
                    return status

    async def _look(self, store: JobStore, job_id: str, wait_s: float) -> JobStatus | None:
        """As ``ended``, and not beyond the gateway's own end."""
        looking = asyncio.ensure_future(store.ended(job_id, wait_s))
        try:
            while not looking.done():
                await asyncio.wait([looking], timeout=STOPPING_S)
                if self._stopping() and not looking.done():
                    return await store.find(job_id)
            return looking.result()
        finally:
            looking.cancel()


def names_no_call(method: str, path: str) -> bool:
    """Whether what comes to the paths of asynchronous calls asks about none. That is told, credentials or not: to be
    asked for them would help nobody who took the wrong method."""
    if not path.startswith(PATH + "/"):
        return False
    job_id, _, rest = path.removeprefix(PATH + "/").partition("/")
    return place_of(job_id) is None or method not in ("GET", "DELETE") or rest not in ("", "result")


def _wait_s(request: Request) -> float:
    text = request.query_params.get("wait")
    if text is None:
        return 0.0
    try:
        wait_s = parse_duration_s(text)
    except ValueError as error:
        raise BadInput(f"wait: {error}") from None
    if wait_s > MAX_WAIT_S:
        raise BadInput(f"wait is {text[:40]!r}; at most {format_duration(MAX_WAIT_S)} is waited, then ask again")
    return wait_s


async def _cancelled(store: JobStore, job_id: str) -> Response:
    for _ in range(MAX_TRIES):
        status = _there(await store.remove(job_id), job_id)
        if status.state.final or status.state is JobState.RUNNING:
            break  # else it was moved to its queue, or handed back, at that very moment
    else:
        raise Unavailable("the call is on its way to a worker; try again")
    if status.state in (JobState.DONE, JobState.FAILED):
        return _told(status, 409)
    await store.stop_running(job_id)  # a worker may have taken it just before it was removed
    if status.state is JobState.RUNNING:
        status = _there(await store.ended(job_id, STOPPED_S), job_id)
        if not status.state.final:
            await store.forbid(job_id)
            status = _there(await store.find(job_id), job_id)
    return _told(status, 202)


def _there(status: JobStatus | None, job_id: str) -> JobStatus:
    if status is None:
        raise NotFound(f"there is no asynchronous call {job_id}: nobody made it, or what came of it was forgotten")
    return status


def _told(status: JobStatus, code: int) -> Response:
    return JSONResponse(job_json(status, answer=True), code, headers={STATE: status.state, "cache-control": "no-store"})


def _result(status: JobStatus) -> Response:
    """The function's own, whatever it said; where there is none, why."""
    headers = {STATE: str(status.state), "cache-control": "no-store"}
    if not status.state.final:
        return PlainTextResponse("", 202, headers | {"retry-after": str(RETRY_AFTER_S)})
    answer = status.outcome.answer if status.outcome else None
    if answer is None or not answer.status:
        reason = (status.outcome.reason if status.outcome else "") or "the connection was lost"
        code = 410 if status.state is JobState.CANCELLED else 502
        return PlainTextResponse(f"there is no answer: {reason}", code, headers)
    response = Response(b"" if answer.status in _BODILESS else answer.body, answer.status)
    own = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    kept = end_to_end(
        ((name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers),
        without={*_OURS, *(name for name, _ in own)},
    )
    length = [] if answer.status in _BODILESS else [(b"content-length", str(len(answer.body)).encode())]
    if answer.truncated:
        own.append((TRUNCATED.lower().encode(), b"true"))
    own += _HARMLESS
    response.raw_headers = kept + own + length
    return response


def _not_by_id(method: str, name: str) -> Response:
    if method == "POST":
        return PlainTextResponse(f"there is no function {name[:100]!r}", 404)
    text = (
        f"{method} /async-function/{name[:100]}: that is no call's id. Call a function with POST /async-function/NAME; "
        "GET and DELETE are for the id that its answer has in X-Call-Id. For another method send Prefer: respond-async "
        "to /function/NAME"
    )
    return PlainTextResponse(text, 405, {"allow": "POST"})
