"""Passing a request of the system API on, as it came, and streaming the answer back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import httpx
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from springtide.gateway.time_limit import TimeLimit
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import reason_of
from springtide.runtime.http_headers import HOP_BY_HOP
from springtide.wire import answer_headers

log = structlog.get_logger(__name__)

MAX_CONNECT_S = 30.0
"""Longest wait for a connection to another part, in seconds."""

Headers = list[tuple[bytes, bytes]]
_NONE = Headers()

_OF_A_PAGE = (b"origin", b"sec-fetch-site")
"""Looked at here: the provider knows neither our public name nor ``allowed_origins``."""

_NOT_FORWARDED = frozenset((*HOP_BY_HOP, b"host", b"authorization", b"expect", *_OF_A_PAGE))
_NOT_RETURNED = frozenset((*HOP_BY_HOP, b"x-call-id", b"x-start-time", b"date", b"server"))


class SystemProxy:
    """Sends requests to one other part of the suite in our own name: the caller's credentials stop here."""

    def __init__(
        self, http: httpx.AsyncClient, *, what: str, credentials: Credentials | None, limit: TimeLimit
    ) -> None:
        """``what`` names the other side in messages; ``limit`` is how long it may be silent."""
        self._http = http
        self._what = what
        self._authorization = (
            [(b"authorization", credentials.header.encode())] if credentials is not None else Headers()
        )
        self._limit = limit
        self._timeout = _timeout(limit.seconds)

    async def send(
        self, request: Request, url: str, body: bytes | None = None, *, more: Headers = _NONE
    ) -> httpx.Response:
        """The other side's answer with its body unread; whoever asked closes it. Raises httpx.HTTPError.

        ``body`` is the request's if it has been read already; ``more`` headers take the place of the caller's.
        """
        replaced = _NOT_FORWARDED.union(name for name, _ in more)
        headers = _without(request.headers.raw, replaced) + self._authorization + more
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        content = (request.stream() if body is None else body) if has_body else None
        # Not the client's build_request: that would add headers of its own, and cookies that others were given.
        outgoing = httpx.Request(
            request.method, url, headers=headers, content=content, extensions={"timeout": self._timeout.as_dict()}
        )
        return await self._http.send(outgoing, stream=True, follow_redirects=False)

    async def forward(
        self, request: Request, url: str, body: bytes | None = None, *, more: Headers = _NONE
    ) -> Response:
        """Answer with what ``url`` answers, chunk by chunk; 502 or 504 with one sentence when it does not."""
        try:
            response = await self.send(request, url, body, more=more)
        except httpx.HTTPError as error:
            return self.failed(error)
        return PassedOn(response)

    def failed(self, error: httpx.HTTPError) -> Response:
        if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
            return PlainTextResponse(f"{self._what} did not answer within {self._limit}", 504)
        return PlainTextResponse(f"{self._what} cannot be reached: {reason_of(error)}", 502)


class PassedOn(StreamingResponse):
    """An answer as it came, streamed; closed when it has been passed on, or cannot be any more."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.aiter_raw(), status_code=response.status_code)
        self.raw_headers = _without(response.headers.raw, _NOT_RETURNED)
        self._held = contextlib.AsyncExitStack()
        self._held.push_async_callback(response.aclose)

    def hold(self, context: contextlib.AbstractContextManager[object]) -> None:
        """End ``context``, which was entered, when this answer is closed."""
        self._held.push(context)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            try:
                await super().__call__(scope, receive, send)
            except httpx.HTTPError as error:
                # Left unfinished, the answer makes the server break the connection: the caller must notice.
                log.info("an answer broke off", path=scope["path"], why=str(error) or type(error).__name__)

    async def aclose(self) -> None:
        """For who does not pass it on after all."""
        await self._held.aclose()


async def warned(response: Response, warning: str) -> Response:
    """``response`` with a warning in a header, and as its body where it has none: clients that know neither go on."""
    if response.headers.get("content-length", "0") != "0" or "transfer-encoding" in response.headers:
        response.headers.append(answer_headers.WARNING, warning)
        return response
    if isinstance(response, PassedOn):
        await response.aclose()
    kept = {name: value for name, value in response.headers.items() if name not in ("content-length", "content-type")}
    return PlainTextResponse(f"warning: {warning}\n", response.status_code, {**kept, answer_headers.WARNING: warning})


async def read_whole(response: httpx.Response) -> bytes:
    """The body of an answer that goes no further, which is closed however that ends. Raises httpx.HTTPError."""
    try:
        return await response.aread()
    finally:
        await response.aclose()


def target(base_url: str, request: Request) -> str:
    """The request's own path and query, byte for byte, below ``base_url``."""
    path: str = request.scope["raw_path"].decode("latin-1")
    query: str = request.scope["query_string"].decode("latin-1")
    return base_url.rstrip("/") + path + (f"?{query}" if query else "")


def told_of_its_page(request: Request) -> Headers:
    """What the browser said of the page that a request comes from, and the host it asked."""
    return [(name, value) for name, value in request.headers.raw if name in (b"host", *_OF_A_PAGE)]


def _timeout(read_s: float) -> httpx.Timeout:
    """On a machine that is busy a connection takes its time, and who waits gets an answer. 0 is no limit."""
    connect_s = min(read_s or MAX_CONNECT_S, MAX_CONNECT_S)
    return httpx.Timeout(read_s or None, connect=connect_s, pool=connect_s)


def _without(headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> Headers:
    return [(name, value) for name, value in headers if name.lower() not in names]
