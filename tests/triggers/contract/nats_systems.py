"""NATS with a stream, and without, for the contract: a real server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import nats
from nats.aio.client import Client

from springtide.triggers.source import Source
from tests.nats_server import NatsServer, running
from tests.triggers.contract.building import built

STREAM = "EVENTS"
TOPICS = "orders,invoices,nobodys"


class NatsSystem:
    connector = "nats-connector"
    shares = True

    def __init__(self, server: NatsServer, client: Client, *, stream: str) -> None:
        self.server, self._client, self._stream = server, client, stream
        self.at_least_once = bool(stream)
        self.asked: Mapping[str, str] = {"kind": "nats", "url": server.url, "topics": TOPICS} | (
            {"stream": stream} if stream else {}
        )

    def source(self) -> Source:
        return built(self.asked)

    async def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        for body in bodies:
            if self._stream:
                await self._client.jetstream().publish(topic, body)
            else:
                await self._client.publish(topic, body)
        await self._client.flush()

    async def break_connections(self) -> None:
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.start)
        await self._client.close()
        self._client = await connected(self.server)


async def connected(server: NatsServer) -> Client:
    async def unheard(_: Exception) -> None:
        """It is raised where it matters; nats-py would print it."""

    return await nats.connect(server.url, error_cb=unheard, allow_reconnect=False)


@contextlib.asynccontextmanager
async def _system(folder: Path, stream: str) -> AsyncIterator[NatsSystem]:
    with running(folder / "nats") as server:
        client = await connected(server)
        if stream:
            await client.jetstream().add_stream(name=stream, subjects=TOPICS.split(","))
        system = NatsSystem(server, client, stream=stream)
        try:
            yield system
        finally:
            await system._client.close()


def stream(folder: Path) -> contextlib.AbstractAsyncContextManager[NatsSystem]:
    return _system(folder, STREAM)


def subjects(folder: Path) -> contextlib.AbstractAsyncContextManager[NatsSystem]:
    return _system(folder, "")
