"""Deliveries as the dispatcher hands them over: which function takes them, and what their head shows.

Senders are told little: that a delivery is taken, or not. Why is told to whoever runs the function, in the log and by
``gateway_webhook_deliveries_total``; nothing of a secret, of a signature or of a body is in either.
"""

from __future__ import annotations

from springtide.gateway.asynchronous.async_call import AsyncCall, AsyncPorts, refuse
from springtide.gateway.client_connection import ClientConnection
from springtide.gateway.http1.request import RequestHead
from springtide.gateway.route import Route
from springtide.gateway.webhooks.incoming import Arrived, Incoming, Invoke, WebhookPorts
from springtide.runtime.counted_warning import CountedWarning
from springtide.runtime.errors import BadInput, reason_of
from springtide.wire.webhooks.shown import Outcome, Refused, Shown, shown_by
from springtide.wire.webhooks.webhook import NOT_ACCEPTED, Kind, Webhook, unknown_webhook, webhook_of

REFUSALS = frozenset(Outcome) - {Outcome.QUEUED, Outcome.CALLED, Outcome.ANSWERED, Outcome.REPEATED}
MAX_WARNINGS = 1_000
"""Of functions and outcomes apart, so that who floods one function's webhook hides nothing of another's."""

COUNTED_AS = "/webhook/"


class Webhooks:
    def __init__(self, taking: AsyncPorts, ports: WebhookPorts, *, tolerance_s: float) -> None:
        """``taking`` is for the receiving of bodies, ``ports`` for what comes then."""
        self._taking, self._ports = taking, ports
        self._tolerance_s = tolerance_s

    def __repr__(self) -> str:
        return f"<Webhooks, {len(self._taking.tasks)} deliveries being checked>"

    def begin(
        self, client: ClientConnection, head: RequestHead, route: Route, *, path: bytes, query: bytes, invoke: Invoke
    ) -> None:
        """``path`` is what follows the function's name, ``query`` has its question mark."""
        try:
            webhook = webhook_of(route.annotations)
        except BadInput as error:
            self._ports.tell(route, None, Outcome.UNCHECKED, reason_of(error))
            self.refuse(client, head, 503, "the delivery cannot be checked now; try again")
            return
        if webhook is None:
            self.refuse(client, head, 404, unknown_webhook(route.ref.name))
            return
        if head.method != b"POST":
            self._ports.tell(route, webhook.kind, Outcome.METHOD, f"it came by {head.method[:20].decode()}")
            self.refuse(client, head, 405, "deliveries are posted", extra=b"\r\nAllow: POST")
            return
        shown = self._shown(head, route, webhook)
        if shown is None:
            self.refuse(client, head, 401, NOT_ACCEPTED)
            return
        arrived = Arrived(client=client, head=head, route=route, path=path, query=query, webhook=webhook, shown=shown)
        incoming = Incoming(self._ports, arrived, invoke)
        call = AsyncCall(self._taking, client, head, incoming.opened, ended=incoming.ended)
        client.handle_with(call)
        call.begin(head)

    def refuse(
        self, client: ClientConnection, head: RequestHead, status: int, text: str, *, extra: bytes = b""
    ) -> None:
        """A request of which nothing is read but its head."""
        refuse(self._taking, client, head, status, text, extra)

    def _shown(self, head: RequestHead, route: Route, webhook: Webhook) -> Shown | None:
        try:
            return shown_by(webhook.kind, _fields(head), now=self._ports.clock.wall(), tolerance_s=self._tolerance_s)
        except Refused as error:
            self._ports.tell(route, webhook.kind, error.outcome, reason_of(error))
            return None


class Told:
    """What became of each delivery: counted, and where it was refused, told in a log that does not grow."""

    def __init__(self) -> None:
        self._warnings: dict[tuple[str, Outcome], CountedWarning] = {}

    def __repr__(self) -> str:
        return f"<Told of {len(self._warnings)} refusals>"

    def __call__(self, route: Route, kind: Kind | None, outcome: Outcome, why: str) -> None:
        route.metrics.deliver(outcome)
        if outcome not in REFUSALS:
            return
        key = route.label, outcome
        if key not in self._warnings and len(self._warnings) >= MAX_WARNINGS:
            self._warnings.clear()
        warning = self._warnings.setdefault(key, CountedWarning("a webhook's delivery is refused"))
        warning.seen(function=route.label, kind=str(kind or "unknown"), outcome=str(outcome), why=why)


def _fields(head: RequestHead) -> list[tuple[bytes, bytes]]:
    split = (line.partition(b":") for line in head.fields.split(b"\r\n")[1:])
    return [(name, value) for name, _, value in split]
