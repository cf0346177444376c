"""``/system/endpoints``: which replicas take calls, pushed to gateways as it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from springtide.provider.api import queries
from springtide.provider.api.lines import LineStream
from springtide.provider.ports import EndpointSource
from springtide.wire.endpoint_stream import Event, Heartbeat, encode


def router(source: EndpointSource, stopping: asyncio.Event, *, heartbeat_s: float) -> APIRouter:
    routes = APIRouter()

    @routes.get("/system/endpoints")
    async def endpoints(request: Request) -> Response:
        if not queries.flag(request.query_params.get("watch")):
            return LineStream(_snapshot(source), encode, stopping=stopping)
        return LineStream(
            source.watch_endpoints(), encode, stopping=stopping, idle_s=heartbeat_s, idle_line=encode(Heartbeat())
        )

    return routes


async def _snapshot(source: EndpointSource) -> AsyncIterator[Event]:
    async for event in source.watch_endpoints():
        yield event
        return
