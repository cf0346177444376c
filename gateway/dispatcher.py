"""From a request's head to its call: which function it names, what its replica will be sent, and where it goes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Protocol
from urllib.parse import unquote_to_bytes

from springtide.gateway.asynchronous.accepting import AsyncCalls
from springtide.gateway.asynchronous.requested import prefers_async
from springtide.gateway.call import Call, CallPorts
from springtide.gateway.call_record import AccessLog, CallRecord, Observer
from springtide.gateway.client_connection import ClientConnection
from springtide.gateway.http1.fields import Malformed
from springtide.gateway.http1.forwarding import forwarded_fields, new_call_id, own_headers, request_head, start_time
from springtide.gateway.http1.request import RequestHead
from springtide.gateway.route import Route
from springtide.gateway.webhooks.webhooks import Webhooks
from springtide.wire.webhooks.webhook import unknown_webhook

_INVOCATION = re.compile(rb"/(?:async-)?function/([^/?]*)(/[^?]*)?(\?.*)?", re.DOTALL)
_WEBHOOK = re.compile(rb"/webhook/([^/?]*)(/[^?]*)?(\?.*)?", re.DOTALL)
_ASYNC_PREFERRED = b"respond-async"


class Routes(Protocol):
    """Where the functions are."""

    connected: bool
    """The provider is there, so that a function which is not known does not exist."""

    def by_name(self, name: bytes) -> Route | None: ...


class Dispatcher:
    """The ``Requests`` of every client connection. ``system`` takes everything that is not an invocation.

    ``unknown`` counts the calls that name no function there is.
    """

    def __init__(
        self,
        routes: Routes,
        ports: CallPorts,
        *,
        asynchronous: AsyncCalls,
        webhooks: Webhooks,
        system: Route,
        unknown: Route,
    ) -> None:
        self._routes = routes
        self._asynchronous = asynchronous
        self._webhooks = webhooks
        self._ports = ports
        self._clock = ports.clock
        self._observer = ports.observer
        self._system = system
        self._unknown = unknown

    def __repr__(self) -> str:
        return f"<Dispatcher to {self._routes!r}>"

    def begin(self, client: ClientConnection, head: RequestHead) -> None:
        target = head.target
        route: Route | None = self._system
        if target.startswith(b"/function/"):
            match = _INVOCATION.fullmatch(target)
            assert match is not None
            name, path, query = match.groups()
            route = self._route(name)
            if _ASYNC_PREFERRED in head.fields and route is not None and self._is_preferred(head):
                self._asynchronous.begin(client, head, route, path=path or b"", query=query or b"", applied=True)
                return
            target = (path or b"/") + (query or b"")
        elif target.startswith(b"/async-function/") and head.method == b"POST":
            self._begin_async(client, head)
            return
        elif target.startswith(b"/webhook/"):
            self._begin_webhook(client, head)
            return
        call = self._call(client, route or self._unknown, head, target)
        client.handle_with(call)
        if head.length:
            try:
                call.expect_body(head.length)
            except Malformed as error:
                call.refuse(error.status, str(error), "malformed")
                return
        if route is None:
            self._refuse_unknown(call, name)
        else:
            call.dispatch()

    def _route(self, name: bytes) -> Route | None:
        route = self._routes.by_name(name)
        if route is None and b"%" in name:
            route = self._routes.by_name(unquote_to_bytes(name))
        return route

    def _is_preferred(self, head: RequestHead) -> bool:
        """A preference may be passed over (RFC 7240), as where nothing could keep the call."""
        return self._asynchronous.configured and prefers_async(head)

    def _begin_async(self, client: ClientConnection, head: RequestHead) -> None:
        match = _INVOCATION.fullmatch(head.target)
        assert match is not None
        name, path, query = match.groups()
        route = self._route(name)
        if route is None:
            status, text, reason = self._not_there(name)
            self._unknown.metrics.refuse(reason)
            self._asynchronous.refuse(client, head, status, text)
        else:
            self._asynchronous.begin(client, head, route, path=path or b"", query=query or b"", applied=False)

    def _begin_webhook(self, client: ClientConnection, head: RequestHead) -> None:
        match = _WEBHOOK.fullmatch(head.target)
        assert match is not None
        name, path, query = match.groups()
        route = self._route(name)
        if route is not None:
            self._webhooks.begin(client, head, route, path=path or b"", query=query or b"", invoke=self._invoke)
            return
        status, text, reason = self._not_there(name)
        self._unknown.metrics.refuse(reason)
        self._webhooks.refuse(client, head, status, unknown_webhook(name.decode("latin-1")) if status == 404 else text)

    def _invoke(
        self, client: ClientConnection, route: Route, head: RequestHead, target: bytes, *, body: bytes, log: AccessLog
    ) -> None:
        """``log`` is told of the call's end."""
        observer = Observer.telling(log, self._observer)
        call = self._call(client, route, head, target, replace(self._ports, observer=observer))
        client.handle_with(call)
        if body:
            call.carry(body)
        call.dispatch()

    def own_headers(self) -> bytes:
        return own_headers(new_call_id(), self._clock.wall())

    def count_refused(self, reason: str) -> None:
        self._unknown.metrics.refuse(reason)

    def _call(
        self, client: ClientConnection, route: Route, head: RequestHead, target: bytes, ports: CallPorts | None = None
    ) -> Call:
        ports = ports or self._ports
        clock, observer = self._clock, ports.observer
        arrived, wall = clock.now(), clock.wall()
        route.metrics.begin(wall)
        call_id = head.call_id or new_call_id()
        own = own_headers(call_id, wall)
        fields = forwarded_fields(head)
        record: CallRecord | None = None
        if observer is not None and not route.is_system:
            record, fields = observer.begin(route.label, head, call_id, fields, now=arrived, wall=wall)
        if not head.host:
            fields += b"\r\nHost: " + route.label.encode()
        request = request_head(
            head, fields, target=target, own=start_time(wall) if head.call_id else own, peer=client.peer
        )
        return Call(
            ports,
            client,
            route=route,
            head=head,
            request=request,
            own_headers=own,
            arrived=arrived,
            record=record,
        )

    def _refuse_unknown(self, call: Call, name: bytes) -> None:
        status, text, reason = self._not_there(name)
        call.refuse(status, text, reason)

    def _not_there(self, name: bytes) -> tuple[int, str, str]:
        """What is answered to a call of a function that is not known, and the reason that is counted."""
        text = name.decode("latin-1")[:100]
        if not name or self._routes.connected:
            return 404, f"there is no function {text!r}", "unknown_function"
        return 503, "which functions there are is not known: the provider is away", "provider_away"
