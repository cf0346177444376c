"""The console as one ASGI application: its routes, and what each failure looks like."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from springtide.console import deployments, streams, view
from springtide.console.assets import Assets
from springtide.console.decisions import Decisions
from springtide.console.feed import Feed
from springtide.console.functions import FunctionInfo
from springtide.console.gateway_api import GatewayApi
from springtide.console.gateway_poller import GatewayPoller
from springtide.console.guard import Forbidden, Guard, SafeHeaders
from springtide.console.health import Probes
from springtide.console.invocation import Call, Invoker
from springtide.console.pages import Pages, live_slots
from springtide.console.prometheus import PrometheusHistory
from springtide.console.queue_api import QueueApi
from springtide.console.queues import Queues
from springtide.console.sleep_curve import DEFAULT_SPAN, SleepCurve
from springtide.console.streams import EventStream
from springtide.console.triggers import Triggers
from springtide.console.view import Json
from springtide.console.what_if import WhatIf
from springtide.runtime import bounded_json
from springtide.runtime.asgi import App, bounded_body
from springtide.runtime.basic_auth import Credentials, RequireBasicAuth
from springtide.runtime.errors import (
    AlreadyExists,
    BadInput,
    NotFound,
    SpringtideError,
    Unavailable,
    Unsupported,
    status_of,
)
from springtide.runtime.wrong_credentials import WrongCredentials
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef

OPEN_PATHS = ("/healthz", "/metrics")
NO_PAGES = ("/ui/api/", "/ui/static/", "/ui/events")
MAX_REQUEST_BYTES = 2 << 20
MAX_SPARKS = 100
MAX_DIGITS = 18

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the routes work with. ``stopping`` ends every stream."""

    api: GatewayApi
    watch: GatewayPoller
    decisions: Decisions
    feed: Feed
    log_feed: Feed
    board: streams.Board
    probes: Probes
    invoker: Invoker
    prometheus: PrometheusHistory
    what_if: WhatIf
    sleep_curve: SleepCurve
    queue_api: QueueApi
    queues: Queues
    triggers: Triggers
    pages: Pages
    assets: Assets
    guard: Guard
    clock: Clock
    stopping: asyncio.Event
    about: Callable[[], Json]


def application(parts: Parts, credentials: Credentials | None, wrong: WrongCredentials) -> App:
    """Everything behind the suite's credentials; every act behind the guard, too."""
    reads, acts = _Reads(parts), _Acts(parts)
    app = Starlette(
        routes=[
            Route("/ui/static/{version}/{name}", reads.static),
            Route("/ui/", reads.functions),
            Route("/ui/functions/{key}", reads.function),
            Route("/ui/deploy", reads.deploy),
            Route("/ui/queues", reads.queues),
            Route("/ui/triggers", reads.triggers),
            Route("/ui/sleep", reads.sleep),
            Route("/ui/jobs/{id}", reads.job),
            Route("/ui/system", reads.system),
            Route("/ui/events", reads.events),
            Route("/ui/api/sparks", reads.sparks),
            Route("/ui/api/functions/{key}/history", reads.history),
            Route("/ui/api/functions/{key}/queue", reads.function_queue),
            Route("/ui/api/jobs", reads.jobs),
            Route("/ui/api/jobs/{id}", reads.job_now, methods=["GET"]),
            Route("/ui/api/jobs/{id}", acts.guarded(acts.cancel), methods=["DELETE"]),
            Route("/ui/api/sleep", reads.sleep_now),
            Route("/ui/api/dead-letters", reads.letters),
            Route("/ui/api/dead-letters/{id}", acts.guarded(acts.purge), methods=["DELETE"]),
            Route("/ui/api/dead-letters/{id}/retry", acts.guarded(acts.put_back), methods=["POST"]),
            Route("/ui/api/functions/{key}/usage", reads.usage),
            Route("/ui/api/functions/{key}/triggers", reads.function_triggers),
            Route("/ui/api/functions/{key}/versions", reads.versions),
            Route("/ui/api/functions", acts.guarded(acts.deploy), methods=["POST", "PUT"]),
            Route("/ui/api/functions/{key}", acts.guarded(acts.remove), methods=["DELETE"]),
            Route("/ui/api/functions/{key}/scale", acts.guarded(acts.scale), methods=["POST"]),
            Route("/ui/api/functions/{key}/invoke", acts.guarded(acts.invoke), methods=["POST"]),
            Route("/ui/api/functions/{key}/rollback", acts.guarded(acts.rollback), methods=["POST"]),
            Route("/ui/api/functions/{key}/schedules/{act}", acts.guarded(acts.schedule), methods=["POST"]),
            Route("/ui/api/functions/{key}/what-if", acts.guarded(acts.what_if), methods=["POST"]),
            Route("/ui", _to_the_start),
        ],
        exception_handlers={SpringtideError: reads.failed, 404: reads.nowhere},
    )
    # Its redirects would name the host that the gateway knows us by, which is none for a browser.
    app.router.redirect_slashes = False
    # Events are not compressed: the middleware leaves their media type alone.
    compressed = GZipMiddleware(app, minimum_size=1024, compresslevel=6)
    return SafeHeaders(RequireBasicAuth(compressed, credentials=credentials, open_paths=OPEN_PATHS, wrong=wrong))


class _Reads:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def static(self, request: Request) -> Response:
        return self._parts.assets.answer(request)

    async def functions(self, request: Request) -> Response:
        return self._parts.pages.functions(request)

    async def function(self, request: Request) -> Response:
        try:
            info = await self._described(request)
        except NotFound:
            return self._parts.pages.missing(request, f"There is no function {request.path_params['key']}.")
        except Unavailable:
            # Its page is wanted most when something is down: what the last list told of it has to do.
            listed = self._parts.watch.functions.get(request.path_params["key"])
            if listed is None:
                raise
            info = listed
        return self._parts.pages.function(request, info, long_history=self._parts.prometheus.configured)

    async def deploy(self, request: Request) -> Response:
        key, info = request.query_params.get("function"), None
        if key:
            try:
                info = await self._parts.api.function(FunctionRef.parse(key))
            except NotFound:
                return self._parts.pages.missing(request, f"There is no function {key}.")
        try:
            secrets = await self._parts.api.secret_names(info.ref.namespace if info else None)
        except SpringtideError:
            secrets = []  # They are only suggested; what is wrong shows on the page of the system.
        return self._parts.pages.deploy(request, info, secrets)

    async def system(self, request: Request) -> Response:
        return await self._parts.pages.system(request, self._parts.probes, self._parts.about())

    async def queues(self, request: Request) -> Response:
        return await self._parts.pages.queues(request, self._parts.queues)

    async def triggers(self, request: Request) -> Response:
        return await self._parts.pages.triggers(request, self._parts.triggers)

    async def sleep(self, request: Request) -> Response:
        return self._parts.pages.sleep(request, self._sleep_curve(request))

    async def sleep_now(self, request: Request) -> Response:
        return JSONResponse(self._sleep_curve(request))

    def _sleep_curve(self, request: Request) -> Json:
        return self._parts.sleep_curve.seen(request.query_params.get("span", DEFAULT_SPAN))

    async def job(self, request: Request) -> Response:
        try:
            job = await self._parts.queue_api.job(request.path_params["id"])
        except NotFound as error:
            return self._parts.pages.missing(request, f"{str(error)[:1].upper()}{str(error)[1:]}.")
        return self._parts.pages.job(request, job)

    async def events(self, request: Request) -> Response:
        parts, asked = self._parts, request.query_params
        parts.feed.admit()
        if key := asked.get("function"):
            after = _number(request.headers.get("last-event-id") or asked.get("after"), parts.decisions.number)
            source = streams.function_events(
                parts.board, parts.feed, parts.decisions, parts.watch, key=key, after=after
            )
            if "log" in asked:
                log = streams.log_events(parts.api, parts.log_feed, FunctionRef.parse(key))
                source = streams.joined(source, log)
        elif asked.get("page") == "system":
            source = streams.health_events(parts.probes, parts.feed, parts.about)
        elif asked.get("page") == "queues":
            source = streams.queue_events(parts.queues, parts.feed)
        elif asked.get("page") == "triggers":
            source = streams.trigger_events(parts.triggers, parts.feed, asked)
        else:
            source = streams.board_events(parts.board, parts.feed)
        return EventStream(source, parts.stopping)

    async def sparks(self, request: Request) -> Response:
        keys = request.query_params.get("keys", "").split(",")[:MAX_SPARKS]
        return JSONResponse({key: view.spark(key, self._parts.watch) for key in keys if key})

    async def history(self, request: Request) -> Response:
        parts, key = self._parts, str(request.path_params["key"])
        span = request.query_params.get("range", "live")
        if span == "live":
            return JSONResponse(view.history(key, parts.watch, live_slots(parts.watch)))
        series = await parts.prometheus.read(key, span, parts.clock.wall())
        return JSONResponse({"until": series.until, "step": series.step_s, "columns": dict(series.columns)})

    async def function_queue(self, request: Request) -> Response:
        key = str(FunctionRef.parse(request.path_params["key"]))
        return JSONResponse(await self._parts.queues.of_function(key))

    async def function_triggers(self, request: Request) -> Response:
        ref = FunctionRef.parse(request.path_params["key"])
        return JSONResponse(await self._parts.triggers.of_function(ref))

    async def versions(self, request: Request) -> Response:
        """None while they are not known. Somebody else's provider keeps none."""
        try:
            found = await self._parts.api.versions(FunctionRef.parse(request.path_params["key"]))
        except (NotFound, Unsupported):
            return JSONResponse([])
        except SpringtideError:
            return JSONResponse(None)
        return JSONResponse(found)

    async def jobs(self, request: Request) -> Response:
        return JSONResponse(await self._parts.queue_api.jobs(request.query_params))

    async def job_now(self, request: Request) -> Response:
        return JSONResponse(await self._parts.queue_api.job(request.path_params["id"]))

    async def letters(self, request: Request) -> Response:
        return JSONResponse(await self._parts.queue_api.letters(request.query_params))

    async def usage(self, request: Request) -> Response:
        info = await self._described(request)
        return JSONResponse({"cpu": info.cpu_millicores, "memory": info.memory_bytes})

    async def nowhere(self, request: Request, _: Exception) -> Response:
        if request.url.path.startswith(NO_PAGES):
            return PlainTextResponse("404 page not found", 404)
        return self._parts.pages.missing(request, "There is no such page.")

    async def failed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, SpringtideError)
        status = 403 if isinstance(error, Forbidden) else status_of(error)
        if not request.url.path.startswith(NO_PAGES):
            return self._parts.pages.failed(request, str(error), status=status)
        return PlainTextResponse(str(error), status, headers={"retry-after": "5"} if status in (429, 503) else None)

    async def _described(self, request: Request) -> FunctionInfo:
        return await self._parts.api.function(FunctionRef.parse(request.path_params["key"]))


class _Acts:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def guarded(self, handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            self._parts.guard.check(request)
            return await handler(request)

        return checked

    async def deploy(self, request: Request) -> Response:
        value = await _json(request)
        made = deployments.deployment(value)
        update = request.method == "PUT"
        if not update:
            await self._name_is_free(made)
        await self._parts.api.deploy(made, update=update)
        self._parts.watch.look_soon()
        return JSONResponse({"key": await self._key_of(made)}, 202)

    async def _name_is_free(self, made: Json) -> None:
        """To the provider, deploying what is there changes it; nobody who fills in an empty form means that."""
        with contextlib.suppress(NotFound, BadInput):  # What is no name is the provider's to explain.
            there = await self._parts.api.function(deployments.ref_of(made))
            raise AlreadyExists(
                f"name: there is a function {there.key} already; change it on its own page, or remove it first"
            )

    async def _key_of(self, made: Json) -> str:
        """Where no namespace is named, which one is meant is the provider's to say."""
        ref = deployments.ref_of(made)
        if ref.namespace:
            return str(ref)
        try:
            return (await self._parts.api.function(ref)).key
        except SpringtideError:
            return str(FunctionRef.parse(ref.name))

    async def remove(self, request: Request) -> Response:
        await self._parts.api.remove(FunctionRef.parse(request.path_params["key"]))
        self._parts.watch.look_soon()
        return Response(status_code=202)

    async def scale(self, request: Request) -> Response:
        value = await _json(request)
        replicas = value.get("replicas") if isinstance(value, dict) else None
        if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
            raise BadInput("replicas: write a whole number, zero or more")
        warning = await self._parts.api.scale(FunctionRef.parse(request.path_params["key"]), replicas)
        self._parts.watch.look_soon()
        return JSONResponse({"warning": warning}, 202)

    async def rollback(self, request: Request) -> Response:
        value = await _json(request)
        to = value.get("to") if isinstance(value, dict) else None
        if not isinstance(to, str) or not to:
            raise BadInput("to: write a version of the function")
        await self._parts.api.rollback(FunctionRef.parse(request.path_params["key"]), to)
        self._parts.watch.look_soon()
        return Response(status_code=202)

    async def schedule(self, request: Request) -> Response:
        value, ref = await _json(request), FunctionRef.parse(request.path_params["key"])
        schedule = value.get("schedule") if isinstance(value, dict) else None
        if not isinstance(schedule, str | None):
            raise BadInput("schedule: write one of the function's schedules")
        return JSONResponse(await self._parts.triggers.act(ref, request.path_params["act"], schedule or ""), 202)

    async def invoke(self, request: Request) -> Response:
        call = Call.from_json(await _json(request))
        return JSONResponse(await self._parts.invoker.invoke(FunctionRef.parse(request.path_params["key"]), call))

    async def cancel(self, request: Request) -> Response:
        return JSONResponse(await self._parts.queue_api.cancel(request.path_params["id"]), 202)

    async def put_back(self, request: Request) -> Response:
        await self._parts.queue_api.put_back(request.path_params["id"])
        return Response(status_code=202)

    async def purge(self, request: Request) -> Response:
        await self._parts.queue_api.purge(request.path_params["id"])
        return Response(status_code=204)

    async def what_if(self, request: Request) -> Response:
        key = str(FunctionRef.parse(request.path_params["key"]))
        return JSONResponse(await self._parts.what_if.ask(key, await _json(request)))


async def _to_the_start(_: Request) -> Response:
    return RedirectResponse("/ui/", 307)


async def _json(request: Request) -> Any:
    try:
        body = await bounded_body(request.stream(), MAX_REQUEST_BYTES)
        if body is None:
            raise BadInput(f"the request has more than {MAX_REQUEST_BYTES} bytes")
        return bounded_json.loads(body, halves=True)
    except ClientDisconnect as error:
        raise BadInput("the browser left before its request was whole") from error
    except ValueError as error:
        raise BadInput("the request is not JSON") from error


def _number(text: str | None, highest: int) -> int:
    """What a page has seen; a number from before a restart of ours counts for nothing."""
    if not text or not text.isdecimal() or len(text) > MAX_DIGITS:
        return 0
    number = int(text)
    return number if number <= highest else 0
