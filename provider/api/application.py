"""The API as one ASGI application: routes, who may call them, and what each error looks like from outside."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from springtide.provider.api import (
    builds,
    decisions,
    endpoints,
    functions,
    info,
    library,
    logs,
    namespaces,
    scaling,
    secrets,
    usage,
    versions,
    webhook_checks,
)
from springtide.provider.api.builds import BUILD_PATH, BuildRules
from springtide.provider.api.middleware import MAX_BODY_BYTES, BoundedBody, LeaderFence, RequestMetrics
from springtide.provider.api.request_values import NamespaceRule
from springtide.provider.api.scale_accounting import ScaleAccounting, ScaleWrites
from springtide.provider.ports import ImageBuilder, Library, Provider
from springtide.runtime.asgi import App
from springtide.runtime.basic_auth import Credentials, RequireBasicAuth
from springtide.runtime.build_version import Version
from springtide.runtime.concurrency_limit import ConcurrencyLimit
from springtide.runtime.errors import SpringtideError, status_of
from springtide.scaler.core.ports import Clock
from springtide.wire import instruments
from springtide.wire.decision_log import DecisionLog
from springtide.wire.leadership import Terms
from springtide.wire.webhooks.checks import CHECK_PATH
from springtide.wire.webhooks.webhook import MAX_BODY

MAX_FOLLOWERS = 1000
"""Logs and decisions followed at once; gateways share out far fewer among them."""

OPEN_PATHS = ("/healthz", "/readyz", "/metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the routes work with. ``stopping`` ends every stream that would otherwise go on for ever."""

    provider: Provider
    decisions: DecisionLog
    clock: Clock
    registry: CollectorRegistry
    version: Version
    stopping: asyncio.Event
    heartbeat_s: float
    namespaces: NamespaceRule
    max_followers: int = MAX_FOLLOWERS
    terms: Terms = field(default_factory=Terms)
    builder: ImageBuilder | None = None
    build_rules: BuildRules = field(default_factory=BuildRules)
    library: Library | None = None


def routes(parts: Parts) -> list[Route]:
    """Every route but invocation."""
    followers = ConcurrencyLimit(parts.max_followers, "logs and decisions that are followed")
    accounting = ScaleAccounting(parts.decisions, ScaleWrites(parts.registry))
    routers = (
        functions.router(parts.provider, accounting, parts.namespaces),
        versions.router(parts.provider, parts.namespaces),
        scaling.router(parts.provider, accounting, parts.clock, namespaces=parts.namespaces, terms=parts.terms),
        secrets.router(parts.provider, parts.namespaces),
        webhook_checks.router(parts.provider, parts.namespaces),
        namespaces.router(parts.provider),
        logs.router(parts.provider, parts.stopping, parts.namespaces, followers=followers),
        endpoints.router(parts.provider, parts.stopping, heartbeat_s=parts.heartbeat_s),
        decisions.router(parts.decisions, parts.stopping, parts.namespaces, followers=followers),
        info.router(parts.provider, parts.version, parts.registry),
        usage.router(parts.provider, parts.clock),
        builds.router(parts.builder, parts.build_rules, parts.stopping),
        library.router(parts.library),
    )
    return [route for router in routers for route in router.routes]


def application(parts: Parts, *, credentials: Credentials | None, body_deadline_s: float) -> App:
    """The routes behind authentication, which denies by default, with every request counted and every body bounded."""
    known = routes(parts)
    api = Starlette(routes=known, exception_handlers={SpringtideError: _explain, HTTPException: _refuse})
    fenced = LeaderFence(api, parts.terms, open_paths=OPEN_PATHS)
    larger = {CHECK_PATH: MAX_BODY}
    bounded = BoundedBody(
        fenced, max_bytes=MAX_BODY_BYTES, larger=larger, deadline_s=body_deadline_s, unbounded=(BUILD_PATH,)
    )
    wrong = instruments.wrong_credentials(parts.registry)
    guarded = RequireBasicAuth(bounded, credentials=credentials, open_paths=OPEN_PATHS, wrong=wrong)
    return RequestMetrics(guarded, paths=[route.path for route in known], registry=parts.registry, clock=parts.clock)


async def _explain(_request: Request, error: Exception) -> Response:
    assert isinstance(error, SpringtideError)
    return PlainTextResponse(str(error), status_of(error))


async def _refuse(_request: Request, error: Exception) -> Response:
    """The framework's own refusals: no such path, no such verb."""
    assert isinstance(error, HTTPException)
    text = {404: "404 page not found", 405: ""}.get(error.status_code, error.detail)
    return PlainTextResponse(text, error.status_code, headers=error.headers)
