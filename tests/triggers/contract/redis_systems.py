"""Redis with streams and with channels, for the contract: a real server that has every write on disk."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

from redis.asyncio import Redis

from springtide.triggers.source import Source
from tests.debian_programs import program
from tests.free_ports import free_port
from tests.server_process import ServerProcess
from tests.triggers.contract.building import built

TOPICS = "orders,invoices,nobodys"


class RedisServer:
    def __init__(self, folder: Path, *more: str) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        words += ["--appendfsync", "always", "--dir", str(folder), *more]
        self.process = ServerProcess(program("redis-server", "redis-server"), words, folder, self._answers)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _answers(self) -> bool:
        """While it reads its data it says so, which is another answer."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection,
        ):
            connection.sendall(b"PING\r\n")
            return connection.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        return False


@contextlib.contextmanager
def running(folder: Path, *more: str) -> Iterator[RedisServer]:
    server = RedisServer(folder, *more)
    with server.process.running():
        yield server


class RedisSystem:
    connector = "redis-connector"

    def __init__(self, server: RedisServer, *, streams: bool) -> None:
        self.server = server
        self.at_least_once = self.shares = self._streams = streams
        self.asked: Mapping[str, str] = {
            "kind": "redis",
            "url": server.url,
            "topics" if streams else "channels": TOPICS,
        }
        self._client = Redis.from_url(server.url)

    def source(self) -> Source:
        return built(self.asked)

    async def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        for body in bodies:
            if self._streams:
                await self._client.xadd(topic, {"body": body})
            else:
                await self._client.publish(topic, body)

    async def break_connections(self) -> None:
        await asyncio.to_thread(self.server.process.kill)
        await asyncio.to_thread(self.server.process.start)
        await self.aclose()
        self._client = Redis.from_url(self.server.url)

    async def aclose(self) -> None:
        await self._client.aclose()


@contextlib.asynccontextmanager
async def _system(folder: Path, *, streams: bool) -> AsyncIterator[RedisSystem]:
    with running(folder / "redis") as server:
        system = RedisSystem(server, streams=streams)
        try:
            yield system
        finally:
            await system.aclose()


def streams(folder: Path) -> contextlib.AbstractAsyncContextManager[RedisSystem]:
    return _system(folder, streams=True)


def channels(folder: Path) -> contextlib.AbstractAsyncContextManager[RedisSystem]:
    return _system(folder, streams=False)
