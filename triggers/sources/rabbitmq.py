"""RabbitMQ: queues, each message acknowledged once it is stored or delivered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ProbableAuthenticationError,
)
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelLockedResource,
    ConnectionNotAllowed,
    InvalidFrameError,
)

from springtide.runtime.errors import BadInput, SpringtideError, Unavailable, kind_and_reason_of
from springtide.runtime.settings import integer, setting, words
from springtide.triggers.pushed import PushedEvents
from springtide.triggers.source import Feed, Source
from springtide.triggers.source_errors import as_ours
from springtide.triggers.source_settings import address, bracketed, password, trust
from springtide.wire.events.event import Event, Headers

CONNECTOR = "rabbitmq-connector"
TYPE = "com.springtide.rabbitmq.message"
PORTS = {"amqp": 5672, "amqps": 5671}
MAX_QUEUES = 100
MAX_NAME_BYTES = 255
CONNECT_S, ANSWER_S = 10.0, 15.0
HEARTBEAT_S = 15
"""Two that do not come, and the connection counts as lost; for the server, too."""
CLOUD_EVENTS = ("cloudEvents:", "cloudEvents_")
"""How its binding for AMQP begins the names of attributes."""
OPTIONS = ("durable", "nowait", "autodelete", "exclusive")

_log = structlog.get_logger(__name__)
for _library in ("aio_pika", "aiormq"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)
    """What they log of each try is told here, and less often."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    vhost: str
    secure: bool

    def __str__(self) -> str:
        scheme, vhost = "amqps" if self.secure else "amqp", "" if self.vhost == "/" else self.vhost
        return f"{scheme}://{bracketed(self.host)}:{self.port}/{vhost}"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAsked:
    """What it is made with where it is missing."""

    name: str
    durable: bool = True
    autodelete: bool = False
    exclusive: bool = False

    def __str__(self) -> str:
        return self.name


def url(text: str) -> Address:
    """Raises ValueError, without what a password would be in."""
    parts = address(text, scheme="amqp", secure="amqps")
    if parts.scheme not in PORTS or not parts.hostname or "/" in parts.path[1:] or parts.query:
        raise ValueError(f"{text[:80]!r} is no address; write amqp://host:port/vhost, with %2F for a / in its name")
    return Address(
        parts.hostname, parts.port or PORTS[parts.scheme], unquote(parts.path[1:]) or "/", parts.scheme == "amqps"
    )


def queues(text: str) -> tuple[QueueAsked, ...]:
    """Names, or OpenFaaS's list in JSON. Raises ValueError."""
    if text.strip().startswith("["):
        found = tuple(_queue(item) for item in _list(text))
    else:
        found = tuple(QueueAsked(name=name) for name in words(text))
    names = [queue.name for queue in found]
    if len(names) > MAX_QUEUES:
        raise ValueError(f"{len(names)} are more than {MAX_QUEUES}")
    for name in names:
        if not 0 < len(name.encode()) <= MAX_NAME_BYTES or names.count(name) > 1:
            raise ValueError(f"{name[:60]!r} is there twice, or has not 1 to {MAX_NAME_BYTES} bytes")
    return found


def _list(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'it is no JSON ({str(error)[:80]}); write [{{"name": "orders", "durable": true}}]') from None
    assert isinstance(found, list)
    return found


def _queue(item: Any) -> QueueAsked:
    if not (isinstance(item, dict) and isinstance(item.get("name"), str)):
        raise ValueError(  # noqa: TRY004 - what is wrong with settings is one
            f'{str(item)[:60]} has no name; write {{"name": "orders", "durable": true}}'
        )
    given = {key: value for key, value in item.items() if key != "name"}
    for key, value in given.items():
        if key not in OPTIONS or not isinstance(value, bool):
            raise ValueError(
                f"{item['name'][:60]}: {str(key)[:20]} is none of {', '.join(OPTIONS)}, or not true or false"
            )
    given.pop("nowait", None)  # whether the server answers; ours is always waited for
    return QueueAsked(name=item["name"], **given)


@dataclass(frozen=True, kw_only=True)
class Settings:
    url: Address = setting(  # noqa: RUF009 - frozen
        Address("127.0.0.1", 5672, "/", secure=False),
        env="url",
        kind=url,
        help="amqp://host:port/vhost, or amqps:// with TLS",
    )
    queues: tuple[QueueAsked, ...] = setting(
        (),
        env="queues",
        kind=queues,
        help="queues: names, or a list in JSON with name, durable, autodelete, exclusive; made where they are missing",
    )
    prefetch: int = setting(
        100,
        env="prefetch",
        kind=integer,
        low=1,
        high=10_000,
        help="messages of one queue that the server lends at once; as many come again when the connector is killed",
    )
    user: str = setting("guest", env="user", help="user at the server")
    password_path: str = setting("", env="password_path", help="file with the password; without it: guest")
    ca_path: str = setting("", env="ca_path", help="file with the certificates that the server's is checked by")


def build(name: str, settings: Settings) -> Source:
    """Raises BadInput."""
    if not settings.queues:
        raise BadInput("queues: there is none; write queues: [orders]")
    known = password(settings.password_path)
    encryption = trust(settings.ca_path) if settings.url.secure else None
    return RabbitmqSource(name, settings, "guest" if known is None else known, encryption)


class RabbitmqSource:
    connector, at_least_once = CONNECTOR, True

    def __init__(self, name: str, settings: Settings, password: str, trust: ssl.SSLContext | None) -> None:
        self._name = name
        self._settings = settings
        self._password, self._trust = password, trust

    def __repr__(self) -> str:
        return f"<RabbitmqSource {self._name} of {', '.join(map(str, self._settings.queues))}>"

    def connect(self) -> AbstractAsyncContextManager[Feed]:
        return self._connect()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Feed]:
        settings, pushed = self._settings, PushedEvents(self._settings.prefetch * len(self._settings.queues))
        connection = await self._log_in()

        def lost(_: object, error: BaseException | None) -> None:
            pushed.fail(
                Unavailable(f"{settings.url}: {kind_and_reason_of(error) if error else 'the connection is lost'}")
            )

        connection.close_callbacks.add(lost)
        try:
            with _translated(settings.url):
                for queue in settings.queues:
                    await _make(connection, queue, settings)
                channel = await connection.channel(publisher_confirms=False)
                channel.close_callbacks.add(lost)
                await self._consume(channel, pushed)
            yield pushed
        finally:
            connection.close_callbacks.discard(lost)
            with contextlib.suppress(AMQPError, ChannelInvalidStateError, OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_S):
                    await connection.close()  # after the last acknowledgements; all else goes back to its queue

    async def _log_in(self) -> AbstractConnection:
        """Without reconnections of the library's own: of them the framework knows nothing."""
        where = self._settings.url
        with _translated(where), _let_in(where, self._settings.user):
            async with asyncio.timeout(CONNECT_S):
                return await aio_pika.connect(
                    host=where.host,
                    port=where.port,
                    virtualhost=where.vhost,
                    login=self._settings.user,
                    password=self._password,
                    ssl=where.secure,
                    ssl_context=self._trust,
                    client_properties={"connection_name": f"springtide connector {self._name}"},
                    heartbeat=HEARTBEAT_S,
                )

    async def _consume(self, channel: AbstractChannel, pushed: PushedEvents) -> None:
        where = self._settings.url

        def cancelled(_: object) -> None:
            pushed.fail(Unavailable(f"{where}: the server ended a subscription; was its queue removed?"))

        below = await channel.get_underlay_channel()
        below.on_consumer_cancel_callbacks.add(cancelled)
        await channel.set_qos(self._settings.prefetch, timeout=ANSWER_S)
        for asked in self._settings.queues:
            queue = await channel.get_queue(asked.name, ensure=False)

            async def came(message: AbstractIncomingMessage, topic: str = asked.name) -> None:
                pushed.add(_Lent(message, self._event(message, topic), where))

            await queue.consume(came, timeout=ANSWER_S)

    def _event(self, message: AbstractIncomingMessage, queue: str) -> Event:
        """One without an id has none that would be the same when it is told again: equal bodies may be two events."""
        headers = [("X-Rabbitmq-Msg-Id", message.message_id)] if message.message_id else []
        headers.append(("X-Rabbitmq-Routing-Key", message.routing_key or ""))
        return Event(
            topic=queue,
            body=message.body,
            id=message.message_id or secrets.token_hex(16),
            source=f"/{self._name}/{queue}",
            type=TYPE,
            content_type=message.content_type or "",
            time=message.timestamp.timestamp() if message.timestamp else None,
            headers=tuple(headers),
            redelivered=bool(message.redelivered),
            attributes=_attributes(message),
        )


@dataclass(frozen=True, slots=True)
class _Lent:
    """Implements ``Received``."""

    message: AbstractIncomingMessage
    event: Event
    where: Address

    async def taken(self) -> None:
        with _translated(self.where):
            await self.message.ack()

    async def give_back(self) -> None:
        with _translated(self.where):
            await self.message.nack(requeue=True)

    async def keep(self) -> None: ...


def _attributes(message: AbstractIncomingMessage) -> Headers:
    told = [(name, value) for name, value in (message.headers or {}).items() if name.startswith(CLOUD_EVENTS)]
    return tuple(
        (name[len(CLOUD_EVENTS[0]) :], value.decode(errors="replace") if isinstance(value, bytes) else str(value))
        for name, value in told
    )


async def _make(connection: AbstractConnection, queue: QueueAsked, settings: Settings) -> None:
    """Where it is missing. One that is there is taken as it is. A question that fails ends its channel."""
    try:
        if await _is_there(connection, queue, settings.url):
            return
        channel = await connection.channel()
        await channel.declare_queue(
            queue.name,
            durable=queue.durable,
            auto_delete=queue.autodelete,
            exclusive=queue.exclusive,
            timeout=ANSWER_S,
        )
    except ChannelAccessRefused as error:
        raise BadInput(
            f"queues: {queue} is missing, and {settings.user} may not make it, or not read it "
            f"({kind_and_reason_of(error)}); see rabbitmqctl set_permissions"
        ) from None
    _log.info("a queue is made", queue=queue.name)
    await channel.close()


async def _is_there(connection: AbstractConnection, queue: QueueAsked, where: Address) -> bool:
    channel = await connection.channel()
    try:
        await channel.declare_queue(queue.name, passive=True, timeout=ANSWER_S)
    except ChannelNotFoundEntity:
        return False
    except ChannelLockedResource:
        raise Unavailable(f"{where}: {queue} is exclusive to another connection") from None
    await channel.close()
    return True


@contextlib.contextmanager
def _let_in(where: Address, user: str) -> Iterator[None]:
    """The library does not tell why a connection is refused whose user and password are right."""
    try:
        yield
    except InvalidFrameError as error:
        if "OpenOk" not in str(error):
            raise
        raise BadInput(
            f"{where}: the server has no virtual host {where.vhost}, or does not let {user} in, or nobody more; "
            "see url, and rabbitmqctl list_permissions"
        ) from None


@contextlib.contextmanager
def _translated(where: Address) -> Iterator[None]:
    """The library's errors as ours."""
    try:
        yield
    except SpringtideError:
        raise
    except (AuthenticationError, ProbableAuthenticationError):
        raise BadInput(f"{where}: it refuses the credentials; see user and password_path") from None
    except (ConnectionNotAllowed, ChannelAccessRefused) as error:
        raise BadInput(f"{where}: {kind_and_reason_of(error)}; see url, user and its permissions") from None
    except (AMQPError, ChannelInvalidStateError, OSError, TimeoutError) as error:
        raise as_ours(where, error) from error
