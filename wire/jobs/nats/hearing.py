"""What is said in the broker and not stored."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from springtide.wire.jobs import names
from springtide.wire.jobs.nats.connection import Connection, translated


async def heard(connection: Connection, subject: str) -> AsyncGenerator[Msg]:
    """From now on, for as long as the connection lasts, and after each time that it was made again."""
    async with translated("listening to the queue's server"):
        client = await connection.client()
        subscription = await client.subscribe(subject)
    try:
        async for message in subscription.messages:
            yield message
    finally:
        with contextlib.suppress(NatsError):
            await subscription.unsubscribe()


class NatsCopyChannel:
    """Implements ``ports.CopyChannel`` for the workers of one queue."""

    def __init__(self, connection: Connection, queue: str) -> None:
        self._connection = connection
        self._subject = names.copies_subject(queue)

    def __repr__(self) -> str:
        return f"<NatsCopyChannel {self._subject}>"

    async def say(self, text: bytes) -> None:
        async with translated("telling the other copies of the worker"):
            client = await self._connection.client()
            await client.publish(self._subject, text)

    async def heard(self) -> AsyncGenerator[bytes]:
        async for message in heard(self._connection, self._subject):
            yield message.data
