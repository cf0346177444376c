"""RabbitMQ for the contract: durable queues, and messages that are confirmed once they are on disk."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractConnection

from springtide.triggers.source import Source
from tests import rabbitmq_server
from tests.rabbitmq_server import PASSWORD, USER, RabbitmqServer
from tests.triggers.contract.building import built

TOPICS = ("orders", "invoices", "nobodys")


class RabbitmqSystem:
    connector = "rabbitmq-connector"
    at_least_once = shares = True

    def __init__(self, server: RabbitmqServer, folder: Path) -> None:
        self.server = server
        secret = folder / "password"
        secret.write_text(PASSWORD)
        self.asked: Mapping[str, str] = {
            "kind": "rabbitmq",
            "url": f"amqp://127.0.0.1:{server.port}",
            "queues": ",".join(TOPICS),
            "user": USER,
            "password_path": str(secret),
        }
        self._numbers = itertools.count()

    def source(self) -> Source:
        return built(self.asked)

    async def connected(self) -> AbstractConnection:
        return await aio_pika.connect(
            host="127.0.0.1", port=self.server.port, login=USER, password=PASSWORD, timeout=60
        )

    async def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        async with await self.connected() as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(topic, durable=True)
            messages = [
                aio_pika.Message(
                    body, message_id=str(next(self._numbers)), delivery_mode=aio_pika.DeliveryMode.PERSISTENT
                )
                for body in bodies
            ]
            await asyncio.gather(*(channel.default_exchange.publish(message, queue.name) for message in messages))

    async def break_connections(self) -> None:
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.start)


@contextlib.asynccontextmanager
async def queues(folder: Path) -> AsyncIterator[RabbitmqSystem]:
    system = RabbitmqSystem(rabbitmq_server.shared(), folder)
    try:
        yield system
    finally:
        async with await system.connected() as connection:
            channel = await connection.channel()
            for topic in TOPICS:
                await channel.queue_delete(topic)
