"""``/system/scaling/decisions``: what was decided about replicas and why, told by every part, read by people."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from springtide.provider.api.request_values import MAX_SHOWN, NamespaceRule, instant, only, read_json, tail, yes_or_no
from springtide.runtime.concurrency_limit import ConcurrencyLimit
from springtide.runtime.errors import BadInput
from springtide.runtime.line_stream import LineStream
from springtide.runtime.routes import Routes
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason
from springtide.wire import decision_log
from springtide.wire.decision_log import DecisionLog

MAX_REPORTED = 1_000
"""Decisions in one report."""


def router(
    log: DecisionLog, stopping: asyncio.Event, namespaces: NamespaceRule, *, followers: ConcurrencyLimit
) -> Routes:
    routes = Routes()

    @routes.get("/system/scaling/decisions")
    async def read(request: Request) -> Response:
        only(request, "function", "since", "reason", "tail", "follow")
        asked = request.query_params
        ref = FunctionRef.parse(asked["function"], namespaces.default) if asked.get("function") else None
        since = instant("since", asked.get("since")) or Instant(0.0)
        reason, last = _reason(asked.get("reason")), tail(asked.get("tail"))
        following = yes_or_no(request, "follow")
        if following:
            decisions = log.follow(since, ref, reason=reason, tail=last)
        else:
            decisions = _each(log.since(since, ref, reason=reason, tail=last))
        return LineStream(decisions, _encode, stopping=stopping, place=followers.place() if following else None)

    @routes.post("/system/scaling/decisions")
    async def report(request: Request) -> Response:
        for decision in await _reported(request):
            log.record(decision)
        return Response(status_code=202)

    return routes


async def _reported(request: Request) -> list[Decision]:
    body = await read_json(request)
    if not isinstance(body, list) or len(body) > MAX_REPORTED:
        raise BadInput(f"the body must be a list of at most {MAX_REPORTED} decisions")
    decisions: list[Decision] = []
    problems: list[str] = []
    for number, item in enumerate(body):
        try:
            decisions.append(decision_log.from_json(item))
        except BadInput as error:
            problems.append(f"[{number}]: {error}")
    if problems:
        raise BadInput("\n".join(problems))
    return decisions


def _reason(text: str | None) -> Reason | None:
    if not text:
        return None
    try:
        return Reason(text)
    except ValueError:
        raise BadInput(f"reason: {text[:MAX_SHOWN]!r} is no reason; write one of {', '.join(Reason)}") from None


async def _each(decisions: list[Decision]) -> AsyncGenerator[Decision, None]:
    for decision in decisions:
        yield decision


def _encode(decision: Decision) -> bytes:
    return json.dumps(decision_log.to_json(decision)).encode() + b"\n"
