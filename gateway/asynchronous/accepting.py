"""Asynchronous calls as the dispatcher hands them over: what is asked for, and where it is stored."""

from __future__ import annotations

from springtide.gateway.asynchronous.acceptance import Acceptance, Target
from springtide.gateway.asynchronous.async_call import AsyncCall, AsyncPorts, refuse
from springtide.gateway.asynchronous.requested import requested
from springtide.gateway.asynchronous.stores import Stores
from springtide.gateway.client_connection import ClientConnection
from springtide.gateway.http1.request import RequestHead
from springtide.gateway.route import Route
from springtide.gateway.settings import GatewaySettings
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import BadInput
from springtide.wire.jobs.callback_address import CallbackRules


class AsyncCalls:
    """``credentials`` are those of the system API, which are never stored."""

    def __init__(
        self, ports: AsyncPorts, stores: Stores, *, rules: CallbackRules, credentials: Credentials | None
    ) -> None:
        self._ports = ports
        self._stores = stores
        self._rules = rules
        self._credentials = credentials

    def __repr__(self) -> str:
        return f"<AsyncCalls to {self._stores!r}, {len(self._ports.tasks)} being stored>"

    @property
    def configured(self) -> bool:
        return self._stores.configured

    def begin(
        self, client: ClientConnection, head: RequestHead, route: Route, *, path: bytes, query: bytes, applied: bool
    ) -> None:
        """``path`` is what follows the function's name, ``query`` has its question mark."""

        async def acceptance() -> Acceptance:
            return Acceptance(await self._stores.open(), self._ports.clock, target, asked)

        call = AsyncCall(self._ports, client, head, acceptance, applied=applied)
        client.handle_with(call)
        target = Target(route.ref, head.method.decode(), path.decode("latin-1"), query[1:].decode("latin-1"))
        try:
            asked = requested(
                head,
                route.annotations,
                rules=self._rules,
                credentials=self._credentials,
                now=self._ports.clock.wall(),
            )
        except BadInput as error:
            call.refuse(400, str(error))
        else:
            call.begin(head)

    def refuse(self, client: ClientConnection, head: RequestHead, status: int, text: str) -> None:
        """One whose function is not there."""
        refuse(self._ports, client, head, status, text)


def callback_rules(settings: GatewaySettings) -> CallbackRules:
    """Functions behind this gateway are the usual callback."""
    return settings.callbacks.rules((settings.host,), settings.port)
