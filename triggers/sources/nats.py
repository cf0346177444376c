"""NATS: subjects of its core, and streams of JetStream."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import SlowConsumerError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from springtide.runtime.counted_warning import CountedWarning
from springtide.runtime.cut_short import cut_short
from springtide.runtime.deadlines import stubborn_within
from springtide.runtime.errors import BadInput, NotFound, SpringtideError, Unavailable
from springtide.runtime.settings import duration, setting
from springtide.triggers.pushed import PushedEvents
from springtide.triggers.source import Feed, Received, Source, Unacknowledged
from springtide.triggers.source_errors import as_ours
from springtide.triggers.source_settings import Either, several
from springtide.wire.events.event import Event, Headers
from springtide.wire.jobs.nats import logins
from springtide.wire.jobs.nats.encrypted_client import EncryptedClient, NoEncryption
from springtide.wire.jobs.nats.pulling import pulled
from springtide.wire.jobs.settings import BrokerSettings, servers

CONNECTOR = "nats-connector"
TYPE = "com.springtide.nats.message"
CONNECT_S, REQUEST_S = 5.0, 10.0
PING_S = 5
"""Two unanswered pings, and the connection counts as lost."""
RETRY_S = 0.1
"""Between two tries to connect to one server; the framework's own pause comes after both."""
PULL_S = 20.0
MAX_PENDING, MAX_PENDING_BYTES = 10_000, 64 * 1024 * 1024
"""What the client holds of one subscription of core NATS until there is room; beyond it it drops the newest."""
MAX_PROBLEMS = 20
MAX_TOPICS = 100
DEFAULT_URL = "nats://127.0.0.1:4222"

_SUBJECT = re.compile(r"[^\s.]+(\.[^\s.]+)*")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,100}")
T = TypeVar("T")
Lost = Callable[[], Awaitable[None]]
Failed = Callable[[Exception], Awaitable[None]]


def urls(text: str) -> tuple[str, ...]:
    try:
        return servers(text)
    except ValueError as error:
        raise ValueError(str(error).replace("nats_credentials_path", "credentials_path")) from None


def subjects(text: str) -> tuple[str, ...]:
    found = several(text, MAX_TOPICS, remedy="take wildcards, as orders.*")
    for subject in found:
        if not _SUBJECT.fullmatch(subject) or len(subject) > 255 or ">" in subject[:-1]:
            raise ValueError(f"{subject[:60]!r} is no subject; write orders.new, orders.* or orders.>")
    return found


def word(text: str) -> str:
    if text and not _WORD.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no name; take letters, digits, - and _")
    return text


@dataclass(frozen=True, kw_only=True)
class Settings:
    url: tuple[str, ...] = setting(
        (DEFAULT_URL,), env="url", kind=urls, help="nats://host:port or tls://host:port, several by commas"
    )
    topics: tuple[str, ...] = setting((), env="topics", kind=subjects, help="subjects, with * and > if need be")
    stream: str = setting("", env="stream", kind=word, help="stream of JetStream that has them; empty: core NATS")
    group: str = setting(
        "springtide",
        env="group",
        kind=word,
        help="copies of one group share events: a queue group, or a durable consumer",
    )
    begin: DeliverPolicy = setting(  # noqa: RUF009 - a member of an enumeration
        DeliverPolicy.ALL,
        env="begin",
        kind=Either({"all": DeliverPolicy.ALL, "new": DeliverPolicy.NEW}),
        help="where a new group begins in a stream: all or new",
    )
    ack_wait_s: float = setting(
        60.0,
        env="ack_wait",
        kind=duration,
        low=30.0,
        high=3600.0,
        help="how long an event is a copy's that says nothing",
    )
    credentials_path: str = setting("", env="credentials_path", help="as nats_credentials_path of the gateway")
    ca_path: str = setting("", env="ca_path", help="file with the certificates that the server's is checked by")


def build(name: str, settings: Settings) -> Source:
    """Raises BadInput."""
    if not settings.topics:
        raise BadInput("topics: there is none; write topics: [orders.new]")
    if not settings.url:
        raise BadInput(f"url: there is none; write url: {DEFAULT_URL}")
    broker = BrokerSettings(
        nats_url=settings.url, nats_credentials_path=settings.credentials_path, nats_ca_path=settings.ca_path
    )
    _login(broker)
    return NatsSource(name, settings, broker)


def _login(broker: BrokerSettings) -> dict[str, Any]:
    """Raises BadInput, by our keys."""
    try:
        return logins.options(broker)
    except BadInput as error:
        raise BadInput(
            str(error).replace("nats_credentials_path", "credentials_path").replace("nats_ca_", "ca_")
        ) from error


def _refuses(error: Exception) -> bool:
    """The library has no kinds for it."""
    return isinstance(error, NatsError) and "auth" in str(error).lower()


def _check_rights(where: str, problems: Iterable[Exception]) -> None:
    """Raises BadInput where a right is missing: the server tells that beside what was asked, and answers nothing."""
    for one in problems:
        if "permissions violation" in str(one).lower():
            told = str(one).removeprefix("nats: ")
            raise BadInput(f"{where}: a right is missing ({told[:200]}); see credentials_path and topics")


async def _left(client: Client) -> None:
    if client.is_connected:
        await client.flush()  # the last acknowledgements
    await client.close()


def matches(pattern: str, subject: str) -> bool:
    """Whether a subscription to ``pattern`` has it."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(given) <= len(wanted):
            return False
    elif len(wanted) != len(given):
        return False
    return all(one in ("*", other) for one, other in zip(wanted, given, strict=False))


def overlap(one: str, other: str) -> bool:
    """Whether there is a subject that both patterns have."""
    for left, right in itertools.zip_longest(one.split("."), other.split(".")):
        if left is None or right is None:
            return False
        if ">" in (left, right):
            return True
        if left != right and "*" not in (left, right):
            return False
    return True


class NatsSource:
    def __init__(self, name: str, settings: Settings, broker: BrokerSettings) -> None:
        self._name = name
        self._settings = settings
        self._broker = broker
        self._dropped = CountedWarning("events of core NATS were dropped: they come faster than they are delivered")

    def __repr__(self) -> str:
        return f"<NatsSource {self._name} of {', '.join(self._settings.topics)}>"

    connector = CONNECTOR

    @property
    def at_least_once(self) -> bool:
        return bool(self._settings.stream)

    def connect(self) -> AbstractAsyncContextManager[Feed]:
        return self._connect()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Feed]:
        client, broken, pushed = EncryptedClient(), asyncio.Event(), PushedEvents()
        problems: deque[Exception] = deque(maxlen=MAX_PROBLEMS)

        async def lost() -> None:
            broken.set()
            pushed.fail(Unavailable(f"{self._where}: the connection is lost"))

        async def failed(error: Exception) -> None:
            problems.append(error)
            if isinstance(error, SlowConsumerError):
                self._dropped.seen(source=self._name)

        await self._log_in(client, lost, failed, problems)
        try:
            with _translated(self._where, problems):
                if self._settings.stream:
                    feed: Feed = await self._stream(client, broken)
                else:
                    await self._core(client, pushed)
                    feed = pushed
                _check_rights(self._where, problems)
            yield feed
        finally:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await stubborn_within(CONNECT_S, _left(client))

    async def _log_in(self, client: Client, lost: Lost, failed: Failed, problems: deque[Exception]) -> None:
        """Without reconnections of the client's own: of them the framework knows nothing."""
        connecting = client.connect(
            list(self._settings.url),
            name=f"springtide connector {self._name}",
            connect_timeout=CONNECT_S,  # type: ignore[arg-type] # seconds, of which fractions do as well
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=RETRY_S,  # type: ignore[arg-type] # the same
            ping_interval=PING_S,
            error_cb=failed,
            disconnected_cb=lost,
            closed_cb=lost,
            **_login(self._broker),
        )
        try:
            # It takes our cancellation for one of its own.
            await stubborn_within(CONNECT_S * (len(self._settings.url) + 1), connecting)
        except (NatsError, OSError, TimeoutError) as error:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await stubborn_within(CONNECT_S, client.close())
            # What the tries met tells more than that none is left.
            met = [error, *problems]
            if any(isinstance(one, NoEncryption) for one in met):
                raise BadInput(f"{self._where}: {NoEncryption()}; see url and ca_path") from None
            if any(map(_refuses, met)):
                raise BadInput(f"{self._where}: it refuses the credentials; see credentials_path") from None
            ours = [as_ours(self._where, one) for one in met[1:] or met]
            raise next((one for one in ours if isinstance(one, BadInput)), ours[0]) from error

    @property
    def _where(self) -> str:
        return ", ".join(self._settings.url)

    async def _core(self, client: Client, pushed: PushedEvents) -> None:
        """No event has an id of its own here; it is given one."""
        run, numbers = secrets.token_hex(8), itertools.count(1)

        def listener(pattern: str) -> Callable[[Msg], Awaitable[None]]:
            async def listen(message: Msg) -> None:
                id_ = f"{run}.{next(numbers)}"
                event = _event(message, pattern, id_=id_, source=f"/{self._name}", at=time.time())
                await pushed.put(Unacknowledged(event))

            return listen

        for pattern in self._settings.topics:
            await client.subscribe(
                pattern,
                queue=self._settings.group,
                cb=listener(pattern),
                pending_msgs_limit=MAX_PENDING,
                pending_bytes_limit=MAX_PENDING_BYTES,
            )
        # The client's question goes before what it has put together to send: only the second one is behind all that.
        for _ in range(2):
            await client.flush(timeout=int(REQUEST_S))

    async def _stream(self, client: Client, broken: asyncio.Event) -> Feed:
        settings, jetstream = self._settings, client.jetstream(timeout=REQUEST_S)
        try:
            info = await jetstream.stream_info(settings.stream)
        except NotFoundError:
            raise BadInput(
                f"stream: {self._where} has no stream {settings.stream}; create it, or leave it out"
            ) from None
        except ServiceUnavailableError as error:
            if error.code is not None:  # it has none for now
                raise
            raise BadInput(f"stream: {self._where} has no JetStream; switch it on there, or leave stream out") from None
        self._check_subjects(info.config)
        await self._consumer(jetstream)
        assert info.created is not None
        return _StreamFeed(self._name, settings, client, broken, begun=f"{info.created.timestamp():.6f}")

    def _check_subjects(self, stream: StreamConfig) -> None:
        """One that is filled from other streams may have any."""
        if not stream.subjects or stream.mirror or stream.sources or stream.subject_transform:
            return
        for topic in self._settings.topics:
            if not any(overlap(topic, subject) for subject in stream.subjects):
                has = ", ".join(stream.subjects[:5])
                raise BadInput(f"topics: {stream.name} keeps nothing of {topic}; it has {has}")

    async def _consumer(self, jetstream: JetStreamContext) -> None:
        settings = self._settings
        config = ConsumerConfig(
            durable_name=settings.group,
            deliver_policy=settings.begin,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=settings.ack_wait_s,
            filter_subjects=list(settings.topics),
        )
        try:
            await jetstream.add_consumer(settings.stream, config)
        except APIError as error:
            if error.code == 503:
                raise
            raise BadInput(
                f"the consumer {settings.group} of {settings.stream}: {error.description}; take another group, or "
                "remove that consumer"
            ) from None


class _StreamFeed:
    """``begun``: when the stream was made; one of the same name that is made anew counts from 1 again."""

    def __init__(self, name: str, settings: Settings, client: Client, broken: asyncio.Event, *, begun: str) -> None:
        self._name, self._settings, self._client, self._broken = name, settings, client, broken
        self._jetstream = client.jetstream(timeout=REQUEST_S)
        self._begun = begun

    def __repr__(self) -> str:
        return f"<_StreamFeed {self._name} of {self._settings.stream}>"

    async def take(self, limit: int) -> Sequence[Received]:
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._settings.stream}.{self._settings.group}"
        where = ", ".join(self._settings.url)
        while True:
            try:
                with _translated(where):
                    pull = pulled(self._client, subject, limit, PULL_S)
                    messages = await _unless_broken(pull, self._broken, where)
            except NotFound as error:
                raise Unavailable(f"{where}: the consumer {self._settings.group} is gone") from error
            if messages:
                return [_Lent(message, self._event(message), where) for message in messages]

    async def waiting(self) -> int | None:
        with _translated(", ".join(self._settings.url)):
            consumer = await self._jetstream.consumer_info(self._settings.stream, self._settings.group)
        pending: int | None = consumer.num_pending
        return pending

    def _event(self, message: Msg) -> Event:
        pattern = next((one for one in self._settings.topics if matches(one, message.subject)), "")
        metadata = message.metadata
        return _event(
            message,
            pattern,
            id_=f"{self._begun}.{metadata.sequence.stream}",
            source=f"/{self._name}/{self._settings.stream}",
            at=metadata.timestamp.timestamp(),
            again=metadata.num_delivered > 1,
        )


@dataclass(frozen=True, slots=True)
class _Lent:
    """Implements ``Received`` for a message of a stream."""

    message: Msg
    event: Event
    where: str

    async def taken(self) -> None:
        with _translated(self.where):
            await self.message.ack()

    async def give_back(self) -> None:
        with _translated(self.where):
            await self.message.nak()

    async def keep(self) -> None:
        with _translated(self.where):
            await self.message.in_progress()


@contextlib.contextmanager
def _translated(where: str, problems: Iterable[Exception] = ()) -> Iterator[None]:
    """The library's errors as ours."""
    try:
        yield
    except SpringtideError:
        raise
    except (NatsError, OSError, TimeoutError) as error:
        _check_rights(where, problems)
        raise as_ours(where, error) from error


async def _unless_broken(work: Coroutine[Any, Any, T], broken: asyncio.Event, where: str) -> T:
    """Raises Unavailable once the connection is lost."""
    working = await cut_short(work, broken)
    if working.cancelled():
        raise Unavailable(f"{where}: the connection is lost")
    return working.result()


def _event(message: Msg, pattern: str, *, id_: str, source: str, at: float, again: bool = False) -> Event:
    headers: Mapping[str, str] = message.headers or {}
    lower = {name.lower(): value for name, value in headers.items()}
    attributes: Headers = tuple(
        (name.removeprefix("ce-"), value) for name, value in lower.items() if name.startswith("ce-")
    )
    return Event(
        topic=message.subject,
        pattern=pattern,
        body=message.data,
        id=id_,
        source=source,
        type=TYPE,
        content_type=lower.get("content-type", ""),
        time=at,
        redelivered=again,
        attributes=attributes,
    )
