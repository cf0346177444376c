"""``/system/logs``: what functions wrote, and go on writing."""

from __future__ import annotations

import asyncio
import json

from starlette.requests import Request
from starlette.responses import Response

from springtide.provider.api.request_values import TRUE, NamespaceRule, instant, tail
from springtide.provider.ports import LogLine, LogQuery, Provider
from springtide.provider.spec import rfc3339
from springtide.runtime.concurrency_limit import ConcurrencyLimit
from springtide.runtime.errors import BadInput, Unprocessable
from springtide.runtime.line_stream import LineStream
from springtide.runtime.routes import Routes
from springtide.scaler.core.vocabulary import FunctionRef


def router(
    provider: Provider, stopping: asyncio.Event, namespaces: NamespaceRule, *, followers: ConcurrencyLimit
) -> Routes:
    routes = Routes()

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
    try:
        last, since = tail(asked.get("tail")), instant("since", asked.get("since"))
    except BadInput as error:  # These two are 422 in OpenFaaS.
        raise Unprocessable(str(error)) from None
    return LogQuery(
        ref=FunctionRef(namespaces.of(request), asked["name"]),
        tail=last,
        since=since,
        instance=asked.get("instance") or None,
        follow=asked.get("follow", "").lower() in TRUE,  # what is no such word means no: clients differ in theirs
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
