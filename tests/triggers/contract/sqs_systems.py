"""SQS for the contract: moto's server, behind a door. Bodies are in base 64, for SQS takes texts only."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from springtide.triggers.source import Source
from tests import sqs_server
from tests.sqs_server import KEY, SECRET, Door, SqsServer
from tests.triggers.contract.building import built

TOPICS = ("orders", "invoices", "nobodys")
MAX_WAITING = 200
"""What moto needs for one message grows with all that wait."""


class SqsSystem:
    connector = "sqs-connector"
    at_least_once = True
    shares = False
    """A message comes to one copy mostly: SQS itself promises no more, nor does moto when two ask at once."""

    def __init__(self, server: SqsServer, door: Door, folder: Path) -> None:
        self._server, self._door = server, door
        secret = folder / "secret"
        secret.write_text(SECRET)
        self.asked: Mapping[str, str] = {
            "kind": "sqs",
            "queue_url": ",".join(server.url(topic, door.port) for topic in TOPICS),
            "user": KEY,
            "password_path": str(secret),
            "visibility": "30s",
            "wait": "1s",
        }

    def source(self) -> Source:
        return built(self.asked)

    def unwrapped(self, body: bytes) -> bytes:
        return base64.b64decode(body)

    async def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        """Waits while too much waits."""
        while (await asyncio.to_thread(self._server.left, topic))[0] > MAX_WAITING:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
        encoded = [base64.b64encode(body).decode() for body in bodies]
        await asyncio.to_thread(self._server.send_all, topic, encoded)

    async def break_connections(self) -> None:
        await self._door.drop()


@contextlib.asynccontextmanager
async def queues(folder: Path) -> AsyncIterator[SqsSystem]:
    server = sqs_server.shared()
    server.forget()
    for topic in TOPICS:
        server.create(topic)
    async with Door(server.port) as door:
        yield SqsSystem(server, door, folder)
