"""The webhook over HTTP: one small ASGI application, so that it can also be mounted elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from springtide.alert_receiver import payload
from springtide.runtime.asgi import App, ClientDisconnected, Receive, RequestBody, Scope, Send, bounded, respond
from springtide.runtime.errors import BadInput, BodyTooLarge
from springtide.scaler.core import catalogue
from springtide.scaler.core.steps import AlertEvent
from springtide.wire import instruments
from springtide.wire.alertmanager import MAX_DELIVERY_BYTES

PATHS = ("/", "/alert", "/system/alert")
MAX_DELIVERIES = 64
"""Deliveries dealt with at once; Alertmanager repeats one that is answered 503."""

MAX_TOLD = 20
"""Failures named in an answer, which Alertmanager logs."""

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
        try:
            events = payload.parse(await _body(scope, receive), self._default_namespace)
        except BodyTooLarge:
            await respond(send, 413, f"at most {MAX_DELIVERY_BYTES} bytes; group alerts by function_name".encode())
            return
        except BadInput as error:
            await respond(send, 400, str(error).encode())
            return
        failures = await self._deliver(events)
        told = failures[:MAX_TOLD] + ([f"and {more} more"] if (more := len(failures) - MAX_TOLD) > 0 else [])
        await respond(send, 500 if failures else 200, "\n".join(told).encode())


async def _body(scope: Scope, receive: Receive) -> bytes:
    """Raises BodyTooLarge, unread where the sender says so itself, and BadInput for a sender who left."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > MAX_DELIVERY_BYTES:
        raise BodyTooLarge
    try:
        return await RequestBody(bounded(receive, max_bytes=MAX_DELIVERY_BYTES)).read()
    except ClientDisconnected as error:
        raise BadInput("the sender left before its body was complete") from error
