"""Postgres for the contract: a database of its own, with a table for each topic, or channels of NOTIFY."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from springtide.triggers.source import Source
from tests import postgres_server
from tests.postgres_server import USER, PostgresServer
from tests.triggers.contract.building import built

TOPICS = "orders,invoices,nobodys"
ROWS = 10
"""Inserted by one transaction."""


class PostgresSystem:
    connector = "postgres-connector"

    def __init__(self, server: PostgresServer, **keys: str) -> None:
        self.server, self.database = server, server.database()
        self.slot = f"slot_{self.database}"
        url = f"postgresql://127.0.0.1:{server.port}/{self.database}"
        self.asked: Mapping[str, str] = {"kind": "postgres", "url": url, "user": USER, "slot": self.slot} | keys

    def source(self) -> Source:
        return built(self.asked)

    async def connected(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(
            host="127.0.0.1", port=self.server.port, dbname=self.database, user=USER, autocommit=True
        )

    async def break_connections(self) -> None:
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.start)


class RowsSystem(PostgresSystem):
    at_least_once = shares = True
    content_type = "application/json"
    topic_told = "{}:insert"

    def unwrapped(self, body: bytes) -> bytes:
        """Of a row, or of a column's text."""
        return bytes.fromhex(json.loads(body)["data"]["body"].removeprefix("\\x"))

    async def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        insert = sql.SQL("INSERT INTO {} (body) VALUES (%b)").format(sql.Identifier(topic))
        async with await self.connected() as connection:
            for at in range(0, len(bodies), ROWS):
                async with connection.transaction(), connection.cursor() as cursor:
                    await cursor.executemany(insert, [(body,) for body in bodies[at : at + ROWS]])


class NotifySystem(PostgresSystem):
    at_least_once = shares = False

    def unwrapped(self, body: bytes) -> bytes:
        """It tells texts only."""
        return bytes.fromhex(body.decode())

    async def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        async with await self.connected() as connection, connection.cursor() as cursor:
            await cursor.executemany("SELECT pg_notify(%s, %s)", [(topic, body.hex()) for body in bodies])


@contextlib.asynccontextmanager
async def rows(_: Path) -> AsyncIterator[RowsSystem]:
    system = RowsSystem(postgres_server.shared(), topics=TOPICS)
    async with await system.connected() as connection:
        for table in TOPICS.split(","):
            await connection.execute(f"CREATE TABLE {table} (id bigserial PRIMARY KEY, body bytea)".encode())
    try:
        yield system
    finally:
        await remove_slot(system)


async def remove_slot(system: PostgresSystem) -> None:
    """Else the server keeps its whole log. One whose reader was killed is in use for a moment more."""
    async with await system.connected() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(active_pid, 30000) FROM pg_replication_slots WHERE slot_name = %s",
            [system.slot],
        )
        await connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [system.slot]
        )


@contextlib.asynccontextmanager
async def notifications(_: Path) -> AsyncIterator[NotifySystem]:
    yield NotifySystem(postgres_server.shared(), channels=TOPICS)
