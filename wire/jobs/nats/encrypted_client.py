"""nats-py's client, which goes on in plain text where a server does not ask for TLS; this one says nothing then."""

from __future__ import annotations

from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError


class NoEncryption(NatsError):
    """What was to be encrypted, password included, would be there for all between to read."""

    def __str__(self) -> str:
        return "it does not speak TLS there"


class EncryptedClient(Client):
    """As its base where ``connect`` is given no ``tls``; else each connection is encrypted, or is not made."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002 - its base's
        # The first line of a connection is the server's, and nothing of ours has been sent yet.
        if initial_connection and "tls" in self.options and not info.get("tls_required"):
            raise NoEncryption
        await super()._process_info(info, initial_connection)
