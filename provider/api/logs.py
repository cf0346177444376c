"""``/system/logs``: what functions wrote, and go on writing."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from springtide.provider.api.line_stream import LineStream
from springtide.provider.api.request_values import NamespaceRule, flag, instant, tail
from springtide.provider.ports import LogLine, LogQuery, Provider
from springtide.provider.spec import rfc3339
from springtide.runtime.concurrency_limit import ConcurrencyLimit
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef


def router(
    provider: Provider, stopping: asyncio.Event, namespaces: NamespaceRule, *, followers: ConcurrencyLimit
) -> APIRouter:
    routes = APIRouter()

    @routes.get("/system/logs")
    async def logs(request: Request) -> Response:
        query = _query(request, namespaces)
        await provider.status(query.ref)  # An unknown function is told by a status, not by a stream that breaks.
        place = followers.place() if query.follow else None
        return LineStream(provider.logs(query), _encode, stopping=stopping, place=place)

    return routes


def _query(request: Request, namespaces: NamespaceRule) -> LogQuery:
    asked = request.query_params
    if not asked.get("name"):
        raise BadInput("name: missing; say whose logs")
    return LogQuery(
        ref=FunctionRef(namespaces.of(request), asked["name"]),
        tail=tail(asked.get("tail")),
        since=instant("since", asked.get("since")),
        instance=asked.get("instance") or None,
        follow=flag(asked.get("follow")),
    )


def _encode(line: LogLine) -> bytes:
    value = {
        "name": line.ref.name,
        "namespace": line.ref.namespace,
        "instance": line.instance,
        "timestamp": rfc3339(line.at),
        "text": line.text,
    }
    return json.dumps(value).encode() + b"\n"
