"""Redis: streams by a consumer group, and channels of its pub/sub."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    MovedError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from springtide.runtime.errors import BadInput, SpringtideError
from springtide.runtime.settings import duration, setting
from springtide.triggers.pushed import PushedEvents
from springtide.triggers.source import Feed, Received, Source, Unacknowledged
from springtide.triggers.source_errors import as_ours
from springtide.triggers.source_settings import Either, address, bracketed, name, password, several, trust
from springtide.wire.events.event import Event, Headers

CONNECTOR = "redis-connector"
STREAM_TYPE, CHANNEL_TYPE = "com.springtide.redis.entry", "com.springtide.redis.message"
DEFAULT_URL = "redis://127.0.0.1:6379/0"
MAX_TOPICS = 100
CONNECT_S = 5.0
BLOCK_S = 2.0
"""How long one question for new entries waits; between two the entries of the dead are looked for."""
ANSWER_S = 15.0
"""How long the server may take to answer, the wait included."""
MAX_HEADERS = 30
"""Fields of an entry that become headers."""

_HEADER = re.compile(r"[A-Za-z0-9_-]{1,60}")
_log = structlog.get_logger(__name__)


def url(text: str) -> str:
    """``redis://host:port/database`` or ``rediss://``. Raises ValueError, without what a password would be in."""
    parts = address(text, scheme="redis", secure="rediss")
    database = parts.path.strip("/") or "0"
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not database.isdecimal() or parts.query:
        raise ValueError(f"{text[:80]!r} is no address; write redis://host:port/0 or rediss://host:port/0")
    return f"{parts.scheme}://{bracketed(parts.hostname)}:{parts.port or 6379}/{database}"


def keys(text: str) -> tuple[str, ...]:
    return several(text, MAX_TOPICS)


@dataclass(frozen=True, kw_only=True)
class Settings:
    url: str = setting(DEFAULT_URL, env="url", kind=url, help="redis://host:port/database, or rediss:// with TLS")
    topics: tuple[str, ...] = setting((), env="topics", kind=keys, help="streams")
    channels: tuple[str, ...] = setting(
        (), env="channels", kind=keys, help="instead: channels of pub/sub, or patterns of them, as news.*"
    )
    group: str = setting("springtide", env="group", kind=name, help="copies of one group share a stream's entries")
    consumer: str = setting(
        "", env="consumer", kind=name, help="this copy's name in its group; empty: the host's, and more"
    )
    begin: str = setting(
        "0",
        env="begin",
        kind=Either({"all": "0", "new": "$"}),
        help="where a new group begins in a stream: all or new",
    )
    body: str = setting("body", env="body", help="field of an entry that is the event's body; others are headers")
    claim_s: float = setting(
        60.0,
        env="claim",
        kind=duration,
        low=30.0,
        high=86_400.0,
        help="how long an entry is a copy's that says nothing",
    )
    user: str = setting("", env="user", help="user of Redis' access lists; empty: the default one")
    password_path: str = setting("", env="password_path", help="file with the password")
    ca_path: str = setting("", env="ca_path", help="file with the certificates that the server's is checked by")


def build(name: str, settings: Settings) -> Source:
    """Raises BadInput."""
    if bool(settings.topics) == bool(settings.channels):
        raise BadInput("topics: write either topics, which are streams, or channels, which are pub/sub")
    if settings.ca_path:
        trust(settings.ca_path)
    return RedisSource(name, settings, password(settings.password_path))


class RedisSource:
    connector = CONNECTOR

    def __init__(self, name: str, settings: Settings, password: str | None) -> None:
        self._name = name
        self._settings = settings
        self._password = password
        self._consumer = settings.consumer or f"{socket.gethostname()[:60]}-{secrets.token_hex(4)}"
        self._lent: set[tuple[str, bytes]] = set()
        """Entries that are in flight here, over whichever connection they came."""

    def __repr__(self) -> str:
        return f"<RedisSource {self._name} of {', '.join(self._settings.topics or self._settings.channels)}>"

    @property
    def at_least_once(self) -> bool:
        return bool(self._settings.topics)

    def connect(self) -> AbstractAsyncContextManager[Feed]:
        return self._entries() if self._settings.topics else self._messages()

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[Redis]:
        """Without tries of its own: of them the framework knows nothing."""
        settings = self._settings
        more: dict[str, Any] = {"ssl_ca_certs": settings.ca_path} if settings.ca_path else {}
        client = Redis.from_url(
            settings.url,
            username=settings.user or None,
            password=self._password,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            client_name=f"springtide-connector-{self._name}",
            retry=Retry(NoBackoff(), 0),
            **more,
        )
        try:
            with _translated(settings):
                await client.ping()
            yield client
        finally:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_S):
                    await client.aclose()

    # Streams.

    @contextlib.asynccontextmanager
    async def _entries(self) -> AsyncIterator[Feed]:
        settings = self._settings
        async with self._client() as client:
            with _translated(settings):
                for stream in settings.topics:
                    await _group(client, stream, settings)
            feed = _StreamFeed(self._name, settings, client, self._consumer, self._lent)
            try:
                yield feed
            finally:
                await feed.leave()

    # Channels.

    @contextlib.asynccontextmanager
    async def _messages(self) -> AsyncIterator[Feed]:
        """No message has an id of its own; it is given one."""
        async with self._client() as client:
            listener, pushed = client.pubsub(ignore_subscribe_messages=True), PushedEvents()
            with _translated(self._settings):
                plain = [one for one in self._settings.channels if not _is_pattern(one)]
                patterns = [one for one in self._settings.channels if _is_pattern(one)]
                if plain:
                    await listener.subscribe(*plain)
                if patterns:
                    await listener.psubscribe(*patterns)
            listening = asyncio.create_task(self._listen(listener, pushed), name=f"listen {self._name}")
            try:
                yield pushed
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
                with contextlib.suppress(RedisError, OSError, TimeoutError):
                    await listener.aclose()  # type: ignore[no-untyped-call]

    async def _listen(self, listener: PubSub, pushed: PushedEvents) -> None:
        run, numbers = secrets.token_hex(8), itertools.count(1)
        try:
            with _translated(self._settings):
                while True:
                    message = await listener.get_message(timeout=ANSWER_S / 2)
                    if message is None:
                        await listener.ping()  # a connection that is dead is noticed
                        continue
                    if message["type"] not in ("message", "pmessage"):
                        continue
                    await pushed.put(Unacknowledged(self._event(message, f"{run}.{next(numbers)}")))
        except SpringtideError as error:
            pushed.fail(error)

    def _event(self, message: Mapping[str, Any], id_: str) -> Event:
        return Event(
            topic=_text(message["channel"]),
            pattern=_text(message["pattern"] or b""),
            body=bytes(message["data"]),
            id=id_,
            source=f"/{self._name}",
            type=CHANNEL_TYPE,
            time=time.time(),
        )


class _StreamFeed:
    """What our name was given, and never came or could not be acknowledged, comes first. Then entries of the dead:
    those that a copy was given, and said nothing of for long."""

    def __init__(
        self, name: str, settings: Settings, client: Redis, consumer: str, lent: set[tuple[str, bytes]]
    ) -> None:
        self._name, self._settings, self._client, self._consumer = name, settings, client, consumer
        self._returned: list[_Entry] = []
        """Given back, or fetched by a question that was cancelled."""
        self._lent = lent
        self._unread = dict.fromkeys(settings.topics, b"0")
        """Up to which entry what our name has was read anew, of streams where that is not over."""
        self._left = False
        self._claim_at = 0.0

    def __repr__(self) -> str:
        return f"<_StreamFeed {self._name} as {self._consumer}>"

    async def take(self, limit: int) -> Sequence[Received]:
        with _translated(self._settings):
            while True:
                if self._returned:
                    taken, self._returned = self._returned[:limit], self._returned[limit:]
                    return taken
                if self._unread:
                    found = await self._whole(self._own(limit))
                elif asyncio.get_running_loop().time() >= self._claim_at:
                    found = await self._whole(self._claimed(limit))
                    if not found:
                        self._claim_at = asyncio.get_running_loop().time() + self._settings.claim_s / 4
                else:
                    found = await self._whole(self._new(limit))
                self._returned += found

    async def _whole(self, fetching: Any) -> list[_Entry]:
        """Fetched entries are kept for the next question when this one is cancelled: the server counts them as ours."""
        task = asyncio.create_task(fetching)
        try:
            found: list[_Entry] = await asyncio.shield(task)
        except asyncio.CancelledError:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                self._returned += await task
            raise
        return found

    async def _own(self, limit: int) -> list[_Entry]:
        stream, after = next(iter(self._unread.items()))
        answer: Any = await self._client.xreadgroup(self._settings.group, self._consumer, {stream: after}, count=limit)
        entries = [entry for _, each in _answered(answer) for entry in each]
        if entries:
            self._unread[stream] = entries[-1][0]
        else:
            del self._unread[stream]
        return self._read(stream, entries)

    async def _new(self, limit: int) -> list[_Entry]:
        streams: dict[Any, Any] = dict.fromkeys(self._settings.topics, ">")
        answer: Any = await self._client.xreadgroup(
            self._settings.group, self._consumer, streams, count=limit, block=int(BLOCK_S * 1000)
        )
        return [received for stream, entries in _answered(answer) for received in self._read(stream, entries)]

    async def _claimed(self, limit: int) -> list[_Entry]:
        found: list[_Entry] = []
        for stream in self._settings.topics:
            answer: Any = await self._client.xautoclaim(
                stream,
                self._settings.group,
                self._consumer,
                min_idle_time=int(self._settings.claim_s * 1000),
                count=max(1, limit - len(found)),
            )
            found += self._read(stream, answer[1])
            if len(found) >= limit:
                break
        return found

    def _read(self, stream: str, entries: Sequence[tuple[bytes, Mapping[bytes, bytes] | None]]) -> list[_Entry]:
        """Those that were removed meanwhile have no fields, and are nothing any more."""
        found: list[_Entry] = []
        for entry, fields in entries:
            if not fields or (stream, entry) in self._lent:
                continue
            self._lent.add((stream, entry))
            found.append(_Entry(self, stream, entry, self._event(stream, entry, fields)))
        return found

    def _event(self, stream: str, entry: bytes, fields: Mapping[bytes, bytes]) -> Event:
        id_, said = entry.decode(), {_text(key): value for key, value in fields.items()}
        attributes: Headers = tuple(
            (key[3:], _text(value)) for key, value in said.items() if key.lower().startswith("ce-")
        )
        headers = [("X-Redis-Id", id_)] + [
            (f"X-Redis-{key}", _text(value))
            for key, value in said.items()
            if key != self._settings.body and _HEADER.fullmatch(key) and not key.lower().startswith(("ce-", "content-"))
        ]
        return Event(
            topic=stream,
            body=said.get(self._settings.body, b""),
            id=id_,
            source=f"/{self._name}/{stream}",
            type=STREAM_TYPE,
            content_type=_text(said.get("content-type", b"")),
            time=int(id_.partition("-")[0]) / 1000,
            headers=tuple(headers[: MAX_HEADERS + 1]),
            attributes=attributes,
        )

    async def waiting(self) -> int | None:
        """None before Redis 7, and where entries were removed in between."""
        total = 0
        with _translated(self._settings):
            for stream in self._settings.topics:
                groups: Any = await self._client.xinfo_groups(stream)
                lags = [each.get("lag") for each in groups if _text(each["name"]) == self._settings.group]
                if len(lags) != 1 or lags[0] is None:
                    return None
                total += int(lags[0])
        return total

    async def acknowledge(self, stream: str, entry: bytes) -> None:
        """Where that fails the entry is still ours there, and comes again."""
        try:
            with _translated(self._settings):
                await self._client.xack(stream, self._settings.group, entry)
        finally:
            self._lent.discard((stream, entry))

    def put_back(self, received: _Entry) -> None:
        if self._left:
            self._lent.discard((received.stream, received.entry))
        else:
            self._returned.append(received)

    async def prolong(self, stream: str, entry: bytes) -> None:
        with _translated(self._settings):
            await self._client.xclaim(stream, self._settings.group, self._consumer, 0, [entry], justid=True)

    async def leave(self) -> None:
        """What was given back is left for others at once, by making it look old. A name that has nothing any more goes:
        with one that has, its entries would go, too."""
        self._left = True
        returned, self._returned = self._returned, []
        self._lent -= {(each.stream, each.entry) for each in returned}
        with contextlib.suppress(RedisError, OSError, TimeoutError, SpringtideError):
            async with asyncio.timeout(CONNECT_S):
                for stream in self._settings.topics:
                    ours: list[Any] = [each.entry for each in returned if each.stream == stream]
                    if ours:
                        old = int(self._settings.claim_s * 1000) + 1
                        await self._client.xclaim(
                            stream, self._settings.group, self._consumer, 0, ours, idle=old, justid=True
                        )
                    elif not self._settings.consumer:
                        await self._end_name(stream)

    async def _end_name(self, stream: str) -> None:
        group = self._settings.group
        pending: Any = await self._client.xpending_range(stream, group, "-", "+", 1, consumername=self._consumer)
        if not pending:
            await self._client.xgroup_delconsumer(stream, group, self._consumer)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Implements ``Received``."""

    feed: _StreamFeed
    stream: str
    entry: bytes
    event: Event

    async def taken(self) -> None:
        await self.feed.acknowledge(self.stream, self.entry)

    async def give_back(self) -> None:
        self.feed.put_back(self)

    async def keep(self) -> None:
        await self.feed.prolong(self.stream, self.entry)


async def _group(client: Redis, stream: str, settings: Settings) -> None:
    """Made with its stream, where there is none."""
    try:
        await client.xgroup_create(stream, settings.group, id=settings.begin, mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" in str(error):
            return
        if "WRONGTYPE" in str(error):
            raise BadInput(f"topics: {stream} is there and is no stream; name another key, or remove it") from None
        raise


def _is_pattern(channel: str) -> bool:
    return any(character in channel for character in "*?[")


def _answered(answer: Any) -> list[tuple[str, list[tuple[bytes, Mapping[bytes, bytes] | None]]]]:
    """Entries by stream. In newer protocols it is a mapping, and entries are a list in a list."""
    pairs = answer.items() if isinstance(answer, dict) else answer or ()
    return [
        (_text(stream), list(found[0]) if found and isinstance(found[0], list) else list(found))
        for stream, found in pairs
    ]


def _text(data: bytes | str) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else data


@contextlib.contextmanager
def _translated(settings: Settings) -> Iterator[None]:
    """The library's errors as ours."""
    try:
        yield
    except SpringtideError:
        raise
    except (RedisError, OSError, TimeoutError) as error:
        raise _ours(settings, error) from error


def _ours(settings: Settings, error: Exception) -> SpringtideError:
    """Of what the server answers, that is BadInput which it will answer again; its errors have no codes."""
    where, told = settings.url, str(error)
    match error:
        case AuthenticationError():
            shown = "refuses the credentials" if settings.password_path else "wants a password"
            return BadInput(f"{where}: it {shown}; see user and password_path")
        case AuthorizationError() | NoPermissionError():
            return BadInput(f"{where}: {settings.user or 'the default user'} lacks a right ({told}); see user")
        case MovedError():
            return BadInput(
                f"{where}: a node of a cluster, and what is asked for is on another; clusters cannot be read"
            )
        case ResponseError() if "DB index" in told or told.startswith("SELECT "):
            return BadInput(f"url: {where}: it has no database of that number; write redis://host:port/0")
        case ResponseError() if told.lower().startswith("unknown command"):
            return BadInput(f"{where}: it is too old; Redis 6.2 or newer is needed ({told[:80]})")
        case _:
            return as_ours(where, error)
