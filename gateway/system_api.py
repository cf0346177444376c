"""The system API: OpenFaaS's ``/system`` routes, forwarded to the provider with what the gateway adds to them."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from springtide.gateway.asynchronous.jobs_api import JobsApi, names_no_call
from springtide.gateway.asynchronous.queues_api import QueuesApi
from springtide.gateway.asynchronous.stores import Stores
from springtide.gateway.asynchronous.transfer_api import TransferApi
from springtide.gateway.builder_api import add_builder
from springtide.gateway.call_limits import CallBounds
from springtide.gateway.deploy_api import add_deploy
from springtide.gateway.endpoint_source import Readiness
from springtide.gateway.events_api import EventsApi
from springtide.gateway.invocation_counts import InvocationCounts
from springtide.gateway.load_streams import LoadStreams, add_load
from springtide.gateway.request_counts import CountedRequests, RequestCounts
from springtide.gateway.route_table import RouteTable
from springtide.gateway.system_proxy import PassedOn, SystemProxy, read_whole, target, told_of_its_page
from springtide.gateway.time_limit import TimeLimit
from springtide.runtime import bounded_json
from springtide.runtime.asgi import App, Receive, Scope, Send, bounded_body
from springtide.runtime.basic_auth import Credentials, RequireBasicAuth
from springtide.runtime.build_version import Version
from springtide.runtime.concurrency_limit import ConcurrencyLimit
from springtide.runtime.dns import resolved_urls
from springtide.runtime.errors import SpringtideError, Unavailable, reason_of, status_of
from springtide.runtime.routes import Routes
from springtide.runtime.wrong_credentials import WrongCredentials
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire import answer_headers, learned_sleep
from springtide.wire.alertmanager import MAX_DELIVERY_BYTES

GUARDED = ("/system", "/ui", "/async-function")
"""All below these needs credentials, whether there is such a route or not; elsewhere there is nothing to guard. What
comes to the last and asks for no call is told that."""

READ = ["GET"]
FORWARDED: tuple[tuple[str, list[str]], ...] = (
    ("/system/functions", ["DELETE"]),
    ("/system/function/{name}/versions", READ),
    ("/system/scale-function/{name}", ["POST"]),
    ("/system/secrets", ["GET", "POST", "PUT", "DELETE"]),
    ("/system/namespaces", READ),
    ("/system/namespace/{name:path}", ["GET", "POST", "PUT", "DELETE"]),
    ("/system/scaling/decisions", ["POST"]),
    ("/system/usage", READ),
    ("/system/telemetry", READ),
    ("/healthz", ["GET", "HEAD"]),
)
STREAMED = ("/system/endpoints", "/system/scaling/decisions")


@dataclass(frozen=True, slots=True)
class SystemDeps:
    """``stream_http`` and ``console_http`` have connections of their own, so that who follows a log or leaves a page
    open takes none from the rest. ``streams`` bounds how many follow something.
    """

    http: httpx.AsyncClient
    stream_http: httpx.AsyncClient
    console_http: httpx.AsyncClient
    streams: ConcurrencyLimit
    credentials: Credentials | None
    counts: InvocationCounts
    load: LoadStreams
    requests: RequestCounts
    clock: Clock
    bounds: CallBounds
    table: RouteTable
    readiness: Readiness
    wrong: WrongCredentials
    stores: Stores
    stopping: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class SystemTargets:
    """Where requests go and how long an answer may take; a deployment may take longer, and a stream be silent so."""

    provider_url: str
    alert_receiver_url: str
    cron_url: str
    connector_urls: tuple[str, ...]
    connectors_dir: str
    console_url: str
    timeout_s: float
    deploy_timeout_s: float
    stream_timeout_s: float


def build_app(targets: SystemTargets, deps: SystemDeps) -> App:
    """The application behind everything that is not an invocation; nothing below GUARDED without credentials."""
    routes = system_routes(targets, deps)
    app = Starlette(routes=routes.routes, exception_handlers={HTTPException: _plain_error, SpringtideError: _failed})
    app.router.redirect_slashes = False
    paths = [route.path for route in routes.routes]
    guarded = RequireBasicAuth(app, credentials=deps.credentials, guarded=GUARDED, wrong=deps.wrong)

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        wrong_way = scope["type"] == "http" and names_no_call(scope["method"], scope["path"])
        await (app if wrong_way else guarded)(scope, receive, send)

    return CountedRequests(door, deps.requests, paths=paths, clock=deps.clock)


def system_routes(targets: SystemTargets, deps: SystemDeps) -> Routes:
    """All of its routes, the console's among them."""
    routes = Routes()
    short = TimeLimit("upstream_timeout", targets.timeout_s)
    silence = TimeLimit("longest silence of a stream", targets.stream_timeout_s)
    provider = SystemProxy(deps.http, what="the provider", credentials=deps.credentials, limit=short)
    deploying = SystemProxy(
        deps.http,
        what="the provider",
        credentials=deps.credentials,
        limit=TimeLimit("deploy_timeout", targets.deploy_timeout_s),
    )
    streams = SystemProxy(
        deps.stream_http,
        what="the provider",
        credentials=deps.credentials,
        limit=silence,
    )
    receiver = SystemProxy(deps.http, what="the alert receiver", credentials=deps.credentials, limit=short)
    for path, methods in FORWARDED:
        _add_forwarded(routes, path, methods, provider, targets.provider_url)
    _add_forwarded(routes, "/system/function/{name}/rollback", ["POST"], deploying, targets.provider_url)
    for path in STREAMED:
        _add_streamed(routes, path, streams, targets.provider_url, deps.streams)
    _add_functions(routes, provider, targets.provider_url, deps.counts)
    add_deploy(
        routes,
        deploying,
        targets.provider_url,
        table=deps.table,
        readiness=deps.readiness,
        bounds=deps.bounds,
    )
    _add_describe(routes, provider, targets.provider_url, deps.table)
    _add_logs(routes, streams, targets.provider_url, deps)
    add_load(routes, deps.load)
    JobsApi(deps.stores, deps.clock, deps.stopping).add_to(routes)
    QueuesApi(deps.stores, deps.clock, deps.table.namespace).add_to(routes)
    TransferApi(deps.stores).add_to(routes)
    _add_info(routes, provider, targets.provider_url)
    _add_alert(routes, receiver, targets.alert_receiver_url)
    cron = SystemProxy(deps.http, what="the cron part", credentials=deps.credentials, limit=short)
    _add_cron(routes, cron, targets.cron_url)
    connectors = EventsApi(
        deps.http,
        targets.connector_urls,
        targets.connectors_dir,
        credentials=deps.credentials,
        namespace=deps.table.namespace,
    )
    connectors.add_to(routes)
    add_builder(routes, streams, targets.provider_url)
    console = SystemProxy(
        deps.console_http,
        what="the console",
        credentials=deps.credentials,
        limit=silence,
    )
    _add_console(routes, console, targets.console_url)
    return routes


def _add_forwarded(routes: Routes, path: str, methods: list[str], proxy: SystemProxy, base_url: str) -> None:
    @routes.route(path, methods=methods)
    async def forwarded(request: Request) -> Response:
        return await proxy.forward(request, target(base_url, request))


def _add_streamed(routes: Routes, path: str, proxy: SystemProxy, base_url: str, places: ConcurrencyLimit) -> None:
    @routes.get(path)
    async def streamed(request: Request) -> Response:
        with _place(request, places) as place:
            return _held(await proxy.forward(request, target(base_url, request)), place)


@contextlib.contextmanager
def _place(request: Request, places: ConcurrencyLimit) -> Iterator[contextlib.ExitStack]:
    """A place for an answer that goes on for ever, kept until the answer is closed. Raises TooMany."""
    asked = request.query_params.get("follow") or request.query_params.get("watch") or ""
    with contextlib.ExitStack() as place:
        if asked.lower() not in ("", "0", "false"):
            place.enter_context(places.place())
        yield place


def _held(response: Response, place: contextlib.ExitStack) -> Response:
    if isinstance(response, PassedOn):
        response.hold(place.pop_all())
    return response


def _add_functions(routes: Routes, provider: SystemProxy, base_url: str, counts: InvocationCounts) -> None:
    @routes.get("/system/functions")
    async def functions(request: Request) -> Response:
        """The provider's list, each with how often it was called; the list alone when that is not known."""
        try:
            response = await provider.send(request, target(base_url, request))
            if response.status_code != 200:
                return PassedOn(response)
            content = await read_whole(response)
        except httpx.HTTPError as error:
            return provider.failed(error)
        try:
            listed = bounded_json.loads(content)
        except ValueError:
            return Response(content, response.status_code)
        if listed and isinstance(listed, list):
            _add_counts(listed, await counts.counts())
        return JSONResponse(listed)


def _add_describe(routes: Routes, provider: SystemProxy, base_url: str, table: RouteTable) -> None:
    @routes.get("/system/function/{name}")
    async def describe(request: Request, name: str) -> Response:
        """As the provider says, and how long calls of it may take here."""
        response = await provider.forward(request, target(base_url, request))
        route = table.of(FunctionRef(request.query_params.get("namespace") or table.namespace, name))
        if route is not None and route.limit is not None:
            response.headers[answer_headers.CALL_LIMIT] = str(route.limit.limit)
        return response


def _add_counts(listed: list[Any], counts: Any) -> None:
    for function in listed:
        if not isinstance(function, dict):
            continue
        count = counts.get(f"{function.get('name')}.{function.get('namespace')}")
        if count:
            function["invocationCount"] = count


def _add_logs(routes: Routes, provider: SystemProxy, base_url: str, deps: SystemDeps) -> None:
    @routes.get("/system/logs")
    async def logs(request: Request) -> Response:
        asked = request.query_params
        if not asked.get("name"):
            return PlainTextResponse("name: missing; say whose logs", 400)
        with _place(request, deps.streams) as place:
            try:
                response = await provider.send(request, target(base_url, request))
                if response.status_code == 200:
                    return _held(PassedOn(response), place)
                why = (await read_whole(response)).decode(errors="replace").strip()
            except httpx.HTTPError as error:
                return PlainTextResponse(f"the logs cannot be read: {reason_of(error)}", 500)
        ref = FunctionRef(asked.get("namespace") or deps.table.namespace, asked["name"])
        return _no_logs(response.status_code, why, ref, deps.table)


def _no_logs(status: int, why: str, ref: FunctionRef, table: RouteTable) -> Response:
    """What a provider says of logs that it does not give. Only one without logs is answered 501."""
    if status == 404 and table.lacks(ref):
        return PlainTextResponse(f"there is no function {ref.name} in namespace {ref.namespace}", 404)
    if status in (404, 501):
        return PlainTextResponse(why or "this provider has no logs", 501)
    if status == 422:
        return PlainTextResponse(why or "tail must be a number and since a time in RFC 3339", 422)
    if status in (400, 429):
        return PlainTextResponse(why, status)
    return PlainTextResponse(f"the provider answered {status} when asked for logs", 500)


def _add_info(routes: Routes, provider: SystemProxy, base_url: str) -> None:
    own = Version.installed()

    @routes.get("/system/info")
    async def info(request: Request) -> Response:
        """Always 200, and the provider's part never null: older clients fail on that."""
        known: dict[str, Any] = {
            "provider": "unknown",
            "orchestration": "unknown",
            "version": {"sha": "unknown", "release": "unknown"},
        }
        try:
            response = await provider.send(request, target(base_url, request))
            content = await read_whole(response)
            answer = bounded_json.loads(content) if response.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            answer = None
        return JSONResponse(
            {
                "provider": answer if isinstance(answer, dict) and answer else known,
                "version": {"sha": own.sha, "release": own.release},
                "arch": platform.machine(),
            }
        )


def _add_alert(routes: Routes, receiver: SystemProxy, url: str) -> None:
    @routes.post("/system/alert")
    async def alert(request: Request) -> Response:
        if not url:
            return PlainTextResponse("no alert receiver is configured; set alert_receiver_url", 501)
        body = await bounded_body(request.stream(), MAX_DELIVERY_BYTES)
        if body is None:
            return PlainTextResponse(
                f"a delivery has at most {MAX_DELIVERY_BYTES} bytes; group alerts by function_name", 413
            )
        try:
            copies = await resolved_urls(url)
        except Unavailable as error:
            return PlainTextResponse(f"the alert receiver cannot be reached: {error}", 502)
        return await _first_to_take(receiver, request, copies, body)


def _add_cron(routes: Routes, cron: SystemProxy, base_url: str) -> None:
    async def asked(request: Request, body: bytes) -> Response:
        if not base_url:
            return PlainTextResponse("no cron part is configured; set cron_url", 501)
        try:
            copies = await resolved_urls(base_url)
        except Unavailable as error:
            return PlainTextResponse(f"the cron part cannot be reached: {error}", 502)
        return await _first_to_take(cron, request, [target(copy, request) for copy in copies], body)

    @routes.route("/system/schedules", methods=["GET"])
    @routes.route("/system/schedules/{name}/{act}", methods=["POST"])
    async def schedules(request: Request) -> Response:
        return await asked(request, b"")

    @routes.post(learned_sleep.PATH)
    async def sleep(request: Request) -> Response:
        body = await bounded_body(request.stream(), learned_sleep.MAX_BODY_BYTES)
        if body is None:
            return PlainTextResponse(f"a question has at most {learned_sleep.MAX_BODY_BYTES} bytes", 413)
        return await asked(request, body)


async def _first_to_take(part: SystemProxy, request: Request, copies: list[str], body: bytes) -> Response:
    """One copy of the part leads; those on standby answer 503, and the next one is asked."""
    answer: Response = PlainTextResponse("there is no copy of it", 502)
    for copy in copies:
        try:
            response = await part.send(request, copy, body)
        except httpx.HTTPError as error:
            answer = part.failed(error)
            continue
        if response.status_code != 503 or copy == copies[-1]:
            return PassedOn(response)
        await response.aclose()
    return answer


def _add_console(routes: Routes, console: SystemProxy, base_url: str) -> None:
    @routes.route("/", methods=["GET", "HEAD"])
    @routes.route("/ui", methods=["GET", "HEAD"])
    async def root() -> Response:
        return RedirectResponse("/ui/", 307)

    @routes.route("/ui/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "DELETE"])
    async def ui(request: Request) -> Response:
        """The console, too, tells its own pages from those of other sites."""
        if not base_url:
            return PlainTextResponse("there is no console here; set console_url", 404)
        return await console.forward(request, target(base_url, request), more=told_of_its_page(request))


async def _failed(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the framework's signature
    assert isinstance(error, SpringtideError)
    status = status_of(error)
    return PlainTextResponse(str(error), status, headers={"retry-after": "5"} if status == 429 else None)


async def _plain_error(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the framework's signature
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return PlainTextResponse("404 page not found", 404)
    return Response(status_code=error.status_code, headers=error.headers)
