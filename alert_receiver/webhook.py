"""The webhook over HTTP: one small ASGI application, so that it can also be mounted elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from springtide.alert_receiver import payload
from springtide.runtime.basic_auth import App, Receive, Scope, Send
from springtide.runtime.errors import BadInput
from springtide.runtime.exposition import respond
from springtide.scaler.core import catalogue
from springtide.scaler.core.steps import AlertEvent
from springtide.wire import instruments

PATHS = ("/", "/alert", "/system/alert")
MAX_DELIVERIES = 64
"""Deliveries dealt with at once; Alertmanager repeats one that is answered 503."""

Deliver = Callable[[Sequence[AlertEvent]], Awaitable[list[str]]]


def counted(app: App, registry: CollectorRegistry) -> App:
    """``app`` with its answers to the webhook counted by status, refused ones included."""
    answers = instruments.counter(catalogue.WEBHOOKS, registry)

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and scope["path"] in PATHS:
                answers.labels(str(message["status"])).inc()
            await send(message)

        await app(scope, receive, tell)

    return counting


class Webhook:
    """Answers 200 with an empty body; 400 with the reason for a bad payload; 500 naming what could not be done.

    A copy on standby answers 503, so that Alertmanager tries again, on a new connection and so perhaps elsewhere.
    """

    def __init__(
        self, deliver: Deliver, *, default_namespace: str, standby: Callable[[], str | None] = lambda: None
    ) -> None:
        self._deliver = deliver
        self._standby = standby
        self._default_namespace = default_namespace
        self._under_way = 0

    def __repr__(self) -> str:
        return f"<Webhook {self._under_way} deliveries under way>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in PATHS:
            await respond(send, 404, b"not found; post alerts to /system/alert")
        elif scope["method"] != "POST":
            await respond(send, 405, b"use POST")
        elif self._under_way >= MAX_DELIVERIES:
            await respond(send, 503, b"too many deliveries at once; try again")
        elif (why := self._standby()) is not None:
            await respond(send, 503, why.encode(), more_headers=[(b"connection", b"close")])
        else:
            self._under_way += 1
            try:
                await self._answer(scope, receive, send)
            finally:
                self._under_way -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(scope, receive)
        if body is None:
            await respond(send, 413, f"at most {payload.MAX_BYTES} bytes; group alerts by function_name".encode())
            return
        try:
            events = payload.parse(body, self._default_namespace)
        except BadInput as error:
            await respond(send, 400, str(error).encode())
            return
        failures = await self._deliver(events)
        await respond(send, 500 if failures else 200, "\n".join(failures).encode())


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body, None as soon as it is known to be too long, nothing from a sender who left."""
    told = dict(scope["headers"]).get(b"content-length", b"0")
    if told.isdigit() and int(told) > payload.MAX_BYTES:
        return None
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > payload.MAX_BYTES:
            return None
    return bytes(body)
