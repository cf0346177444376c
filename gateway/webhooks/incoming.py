"""One delivery: its proof is checked, then it is stored, or its function called with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from springtide.gateway.asynchronous.acceptance import Acceptance, Target
from springtide.gateway.asynchronous.async_call import Answered, HandedOver, Taken
from springtide.gateway.asynchronous.requested import pairs, requested_by_event
from springtide.gateway.asynchronous.stores import Stores
from springtide.gateway.call_record import CLIENT_LEFT, AccessLog
from springtide.gateway.client_connection import ClientConnection
from springtide.gateway.http1.fields import CHUNKED
from springtide.gateway.http1.forwarding import new_call_id
from springtide.gateway.http1.request import RequestHead
from springtide.gateway.route import Route
from springtide.gateway.webhooks.event import Described, described, fields_with
from springtide.gateway.webhooks.seen import Before, Seen, SeenCall
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import SpringtideError, Unauthenticated, Unavailable, reason_of
from springtide.runtime.wrong_credentials import WrongCredentials
from springtide.scaler.core.ports import Clock
from springtide.wire.events.delivery_mode import DeliveryMode
from springtide.wire.webhooks.checks import WebhookChecks
from springtide.wire.webhooks.shown import Outcome, Shown
from springtide.wire.webhooks.webhook import NOT_ACCEPTED, Kind, Webhook

_STILL_RUNS = 409


class Invoke(Protocol):
    """Calls a function with a body that is here already."""

    def __call__(
        self, client: ClientConnection, route: Route, head: RequestHead, target: bytes, *, body: bytes, log: AccessLog
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPorts:
    """What all deliveries share. ``credentials`` are those of the system API, which are never passed on."""

    clock: Clock
    stores: Stores
    checks: WebhookChecks
    seen: Seen
    wrong: WrongCredentials
    credentials: Credentials | None
    tell: Callable[[Route, Kind | None, Outcome, str], None]
    max_inline: int
    """Bytes of a body that are kept with the job itself: a message of the queue's server holds no more than so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """``path`` is what follows the function's name, ``query`` has its question mark."""

    client: ClientConnection
    head: RequestHead
    route: Route
    path: bytes
    query: bytes
    webhook: Webhook
    shown: Shown


class Incoming:
    """See ``async_call.Acceptor``. What becomes of it is told once."""

    def __init__(self, ports: WebhookPorts, arrived: Arrived, invoke: Invoke) -> None:
        self._ports, self._arrived, self._invoke = ports, arrived, invoke
        self._outcome: Outcome | None = None
        self._why = ""
        self._whole = self._left = False

    def __repr__(self) -> str:
        return f"<Incoming {self._arrived.webhook.kind} for {self._arrived.route.label}>"

    async def opened(self) -> Incoming:
        return self

    async def whole(self, body: bytes) -> Taken:
        self._whole = True
        try:
            return await self._taken(body)
        finally:
            if self._left:
                self._tell(self._outcome or Outcome.INCOMPLETE, self._why)

    async def _taken(self, body: bytes) -> Taken:
        arrived, ports = self._arrived, self._ports
        await self._check(body)
        headers = {name.lower(): value for name, value in pairs(arrived.head.fields)}
        about = described(
            arrived.webhook.kind,
            arrived.shown,
            headers,
            body,
            source=f"/webhook/{arrived.route.label}",
            now=ports.clock.wall(),
            fresh_id=new_call_id().decode(),
        )
        if about.challenge:
            self._outcome = Outcome.ANSWERED
            return Answered(200, about.challenge.encode())
        delivery = arrived.webhook.delivery
        if delivery is DeliveryMode.ASYNC or (delivery is None and ports.stores.configured):
            return await self._store(about, body)
        return self._call(about, body)

    async def streamed(self, pieces: AsyncIterator[bytes]) -> str:  # noqa: ARG002 - the Protocol's
        raise AssertionError("a delivery is checked as a whole")

    def ended(self, status: int) -> None:
        """It was answered, here or before it was whole, or its sender waits no longer."""
        if self._whole and self._outcome is None and status == CLIENT_LEFT:
            self._left = True  # what becomes of it is told once that is known
            return
        early = Outcome.TOO_LARGE if status == 413 else Outcome.INCOMPLETE
        outcome = self._outcome or (Outcome.NOT_STORED if self._whole else early)
        self._tell(outcome, self._why or f"it was answered with {status}")

    def _tell(self, outcome: Outcome, why: str = "") -> None:
        self._ports.tell(self._arrived.route, self._arrived.webhook.kind, outcome, why)

    async def _check(self, body: bytes) -> None:
        """Raises Unauthenticated, and Unavailable where it cannot be told."""
        arrived, ports = self._arrived, self._ports
        proof = arrived.shown.proof
        if proof is None:
            return
        try:
            right = await ports.checks.right(arrived.route.ref, proof, body)
        except SpringtideError as error:
            self._outcome, self._why = Outcome.UNCHECKED, reason_of(error)
            raise Unavailable("the delivery cannot be checked now; try again") from error
        if right:
            return
        self._outcome, self._why = Outcome.WRONG, "no secret of the function's fits it"
        if proof.tokens:
            # A token can be guessed at: each wrong one makes the next wait.
            client = arrived.client.peer.decode("latin-1"), 0
            await ports.wrong.seen({"headers": (), "client": client, "path": f"/webhook/{arrived.route.label}"})
        raise Unauthenticated(NOT_ACCEPTED)

    async def _store(self, about: Described, body: bytes) -> str:
        arrived, ports = self._arrived, self._ports
        try:
            asked = requested_by_event(
                fields_with(arrived.head.fields, arrived.webhook.kind, about.event),
                arrived.route.annotations,
                credentials=ports.credentials,
                key=about.key,
            )
            target = Target(
                arrived.route.ref, "POST", arrived.path.decode("latin-1"), arrived.query[1:].decode("latin-1")
            )
            acceptance = Acceptance(await ports.stores.open(), ports.clock, target, asked)
            inline = len(body) <= ports.max_inline
            job_id = await (acceptance.whole(body) if inline else acceptance.streamed(_pieces(body)))
        except SpringtideError as error:
            self._outcome, self._why = Outcome.NOT_STORED, reason_of(error)
            raise
        self._outcome = Outcome.REPEATED if acceptance.repeated else Outcome.QUEUED
        return job_id

    def _call(self, about: Described, body: bytes) -> Taken:
        arrived, ports, key = self._arrived, self._ports, ""
        if self._left:
            self._why = "its sender did not wait for the answer"
            return Answered(200)
        if about.key:
            key = f"{arrived.route.label} {about.key}"
            before = ports.seen.begin(key)
            if before is not Before.NEVER:
                self._outcome = Outcome.REPEATED
                return Answered(200 if before is Before.DONE else _STILL_RUNS)
        head = arrived.head
        fields = fields_with(head.fields, arrived.webhook.kind, about.event)
        if head.length == CHUNKED:
            fields += b"\r\nContent-Length: %d" % len(body)
        head = head._replace(fields=fields, length=len(body), expects_continue=False, upgrade=b"", plain=False)
        target = (arrived.path or b"/") + arrived.query

        def begin() -> None:
            self._tell(Outcome.CALLED)
            self._invoke(arrived.client, arrived.route, head, target, body=body, log=SeenCall(ports.seen, key))

        return HandedOver(begin)


async def _pieces(body: bytes) -> AsyncGenerator[bytes]:
    yield body
