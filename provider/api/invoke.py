"""``/function/{name}``: passes a call to one of the function's replicas, byte by byte in both directions.

An ASGI application of its own beside the others. The gateway calls replicas directly and does not come through
here; this is for callers that know only the provider.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from urllib.parse import unquote

import httpx

from springtide.provider.api.endpoints import EndpointFollower
from springtide.runtime.asgi import ClientDisconnected, Receive, RequestBody, Scope, Send, respond
from springtide.runtime.http_headers import RawHeaders, end_to_end
from springtide.runtime.tls import client_context
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint

PREFIX = "/function/"
VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
CONNECT_S = 5.0
MAX_CONNECTIONS, MAX_IDLE, IDLE_S = 4096, 1024, 5.0

NOT_TO_REPLICA = frozenset((b"host", b"expect"))
NOT_TO_CALLER = frozenset((b"date",))  # Our server writes its own date.


class InvokeProxy:
    """Streams calls to replicas. Picks among the ready ones at random."""

    def __init__(self, endpoints: EndpointFollower, *, read_timeout_s: float, default_namespace: str) -> None:
        """``read_timeout_s`` is how long a replica may be silent, before its answer or within it."""
        self._endpoints = endpoints
        self._default_namespace = default_namespace
        self._read_timeout_s = read_timeout_s
        limits = httpx.Limits(
            max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE, keepalive_expiry=IDLE_S
        )
        # A transport and not a client: no redirects, no cookies, no proxies from the environment.
        self._transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=False, verify=client_context())
        self._timeout = httpx.Timeout(read_timeout_s, connect=CONNECT_S, pool=CONNECT_S).as_dict()

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in VERBS:
            await _answer(send, 405)
            return
        name, _, rest = scope["raw_path"].removeprefix(PREFIX.encode()).partition(b"/")
        name = unquote(name.decode("latin-1"))
        function = self._endpoints.of(FunctionRef.parse(name, self._default_namespace))
        if not name:
            await _answer(send, 400, "name: missing; call /function/NAME")
        elif function is None:
            await _answer(send, 404, f"no function {name}", internal=True)
        elif not function.endpoints:
            await _answer(send, 503, f"No endpoints available for: {name}.", internal=True)
        else:
            upload = RequestBody(receive)
            request = self._request(scope, random.choice(function.endpoints), b"/" + rest, upload)
            await _until_caller_leaves(self._forward(request, upload, name, send), upload)

    def _request(self, scope: Scope, endpoint: Endpoint, path: bytes, upload: RequestBody) -> httpx.Request:
        names = {key for key, _ in scope["headers"]}
        with_body = b"content-length" in names or b"transfer-encoding" in names
        if not with_body:
            upload.ignore()
        query: bytes = scope["query_string"]
        return httpx.Request(
            scope["method"],
            httpx.URL(scheme="http", host=endpoint.host, port=endpoint.port, path="/"),
            headers=end_to_end(scope["headers"], without=NOT_TO_REPLICA),
            content=upload if with_body else None,
            # The caller's own bytes: parsing them into the URL would lose escapes and dots.
            extensions={"target": path + b"?" + query if query else path, "timeout": self._timeout},
        )

    async def _forward(self, request: httpx.Request, upload: RequestBody, name: str, send: Send) -> None:
        try:
            response = await self._transport.handle_async_request(request)
        except ClientDisconnected:
            return
        except httpx.HTTPError as error:
            await _answer(send, 500, f"Can't reach service for: {name}.{self._which_limit(error)}", internal=True)
            return
        upload.ignore()
        try:
            headers = _answered_headers(request, response)
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx.HTTPError:
            return  # Leaving the answer unfinished makes the server break the connection: the caller must notice.
        finally:
            await response.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _which_limit(self, error: httpx.HTTPError) -> str:
        """The time-out that it was, as a sentence; empty for anything else."""
        match error:
            case httpx.ConnectTimeout() | httpx.PoolTimeout():
                return f" No connection to a replica within {CONNECT_S:g} s."
            case httpx.TimeoutException():
                return f" It was silent for longer than read_timeout ({self._read_timeout_s:.10g} s) of the provider."
        return ""


async def _until_caller_leaves(forwarding: Coroutine[None, None, None], upload: RequestBody) -> None:
    """A caller who left ends the call at the replica, too."""
    call, left = asyncio.create_task(forwarding), asyncio.create_task(upload.disconnected())
    try:
        await asyncio.wait([call, left], return_when=asyncio.FIRST_COMPLETED)
    finally:
        call.cancel()
        left.cancel()
        await asyncio.gather(call, left, return_exceptions=True)
    if not call.cancelled():
        call.result()


def _answered_headers(request: httpx.Request, response: httpx.Response) -> RawHeaders:
    """The answer's headers; without a type, the request's, as OpenFaaS has it."""
    headers = end_to_end(response.headers.raw, without=NOT_TO_CALLER)
    if not any(name == b"content-type" for name, _ in headers):
        asked = (value for name, value in request.headers.raw if name.lower() == b"content-type")
        headers.append((b"content-type", next(asked, b"text/plain")))
    return headers


async def _answer(send: Send, status: int, text: str = "", *, internal: bool = False) -> None:
    marks = [(b"x-openfaas-internal", b"proxy")] if internal else []
    await respond(send, status, text.encode(), more_headers=marks)
