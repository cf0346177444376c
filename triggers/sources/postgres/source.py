"""A source of a Postgres: its settings, and its two feeds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from psycopg import Notify, sql

from springtide.runtime.errors import BadInput, SpringtideError, Unavailable
from springtide.runtime.settings import duration, setting
from springtide.triggers.pushed import PushedEvents
from springtide.triggers.source import Feed, Source, Unacknowledged
from springtide.triggers.source_settings import password, several, trust
from springtide.triggers.sources.postgres import setup
from springtide.triggers.sources.postgres.connection import Address, Connection, Login, connected, translated, url
from springtide.triggers.sources.postgres.rows import Topic, topics
from springtide.triggers.sources.postgres.slot_feed import Delivered, SlotFeed, SlotRead
from springtide.wire.events.event import Event

CONNECTOR = "postgres-connector"
NOTIFY_TYPE = "com.springtide.postgres.notification"
MAX_CHANNELS = 100
SETUP_S = 300.0
"""A slot that is made waits for the transactions that are open."""
SSL_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def identifier(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text[:70]!r} is no name; take small letters, digits and _, 63 of them at most")
    return text


def channels(text: str) -> tuple[str, ...]:
    found = several(text, MAX_CHANNELS)
    if long := [one for one in found if len(one.encode()) > 63]:
        raise ValueError(f"{long[0][:70]!r} is longer than 63 bytes, which Postgres would cut")
    return found


def ssl_mode(text: str) -> str:
    if text and text not in SSL_MODES:
        raise ValueError(f"{text[:20]!r} is none of {', '.join(SSL_MODES)}")
    return text


@dataclass(frozen=True, kw_only=True)
class Settings:
    url: Address = setting(  # noqa: RUF009 - frozen
        Address("127.0.0.1", 5432, ""), env="url", kind=url, help="postgresql://host:port/database"
    )
    topics: tuple[Topic, ...] = setting(
        (),
        env="topics",
        kind=topics,
        help="tables, or table:insert, table:update, table:delete; empty: all that the publication tells",
    )
    channels: tuple[str, ...] = setting((), env="channels", kind=channels, help="instead: channels of NOTIFY")
    publication: str = setting(
        "ofltd", env="publication", kind=identifier, help="which tables' changes are told; made where it is missing"
    )
    slot: str = setting(
        "springtide",
        env="slot",
        kind=identifier,
        help="replication slot, which keeps changes until they are delivered; copies of the connector share it",
    )
    poll_s: float = setting(
        0.2, env="poll", kind=duration, low=0.05, high=60.0, help="pause before the log is looked at again"
    )
    user: str = setting("", env="user", help="user at the server; empty: as psql has it")
    password_path: str = setting("", env="password_path", help="file with the password")
    sslmode: str = setting(
        "",
        env="sslmode",
        kind=ssl_mode,
        help="as psql has it: prefer unless it is said, verify-full where there is a ca_path",
    )
    ca_path: str = setting("", env="ca_path", help="file with the certificates that the server's is checked by")


def build(name: str, settings: Settings) -> Source:
    """Raises BadInput."""
    if settings.topics and settings.channels:
        raise BadInput("topics: write either topics, which are tables, or channels, which are NOTIFY's")
    if settings.ca_path:
        trust(settings.ca_path)  # or the library would look when it connects, and be asked again and again
    login = Login(
        where=settings.url,
        user=settings.user,
        password=password(settings.password_path),
        sslmode=settings.sslmode or ("verify-full" if settings.ca_path else "prefer"),
        ca_path=settings.ca_path,
        name=f"springtide-connector-{name}",
    )
    return Notifications(name, settings, login) if settings.channels else RowChanges(name, settings, login)


class RowChanges:
    connector, at_least_once = CONNECTOR, True

    def __init__(self, name: str, settings: Settings, login: Login) -> None:
        self._name = name
        self._settings = settings
        self._login = login
        self._delivered = Delivered()

    def __repr__(self) -> str:
        return f"<RowChanges {self._name} by {self._settings.slot}>"

    def connect(self) -> AbstractAsyncContextManager[Feed]:
        return self._connect()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Feed]:
        settings, where = self._settings, self._settings.url
        async with connected(self._login) as connection:
            with translated(where):
                async with asyncio.timeout(SETUP_S):
                    await setup.prepare(
                        connection, publication=settings.publication, slot=settings.slot, topics=settings.topics
                    )
            what = SlotRead(
                where=where,
                source=f"/{self._name}/{connection.info.dbname}",
                slot=settings.slot,
                publication=f'"{settings.publication}"',
                topics=settings.topics,
                poll_s=settings.poll_s,
            )
            feed = SlotFeed(connection, what, self._delivered)
            async with feed.reading():
                yield feed


class Notifications:
    """None has an id of its own; it is given one."""

    connector, at_least_once = CONNECTOR, False

    def __init__(self, name: str, settings: Settings, login: Login) -> None:
        self._name = name
        self._settings = settings
        self._login = login
        self._run, self._numbers = secrets.token_hex(8), itertools.count(1)

    def __repr__(self) -> str:
        return f"<Notifications {self._name} of {', '.join(self._settings.channels)}>"

    def connect(self) -> AbstractAsyncContextManager[Feed]:
        return self._connect()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Feed]:
        pushed = PushedEvents()
        async with connected(self._login) as connection:
            with translated(self._settings.url):
                for channel in self._settings.channels:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            listening = asyncio.create_task(self._listen(connection, pushed), name=f"listen {self._name}")
            try:
                yield pushed
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, connection: Connection, pushed: PushedEvents) -> None:
        """A server that is gone is noticed by the connection's keepalives."""
        try:
            with translated(self._settings.url):
                async for told in connection.notifies():
                    await pushed.put(Unacknowledged(self._event(told)))
                raise Unavailable(f"{self._settings.url}: the connection is lost")
        except SpringtideError as error:
            pushed.fail(error)

    def _event(self, told: Notify) -> Event:
        return Event(
            topic=told.channel,
            body=told.payload.encode(),
            id=f"{self._run}.{next(self._numbers)}",
            source=f"/{self._name}",
            type=NOTIFY_TYPE,
            content_type="text/plain",
            time=time.time(),
        )
