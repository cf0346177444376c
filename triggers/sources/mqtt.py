"""MQTT. What comes with QoS 1 is acknowledged once it is stored, in the order in which it came, as MQTT demands.

The library acknowledges by itself; its own base, paho-mqtt, can be told not to, and is spoken to directly for that.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from springtide.runtime.counted_warning import CountedWarning
from springtide.runtime.errors import BadInput, SpringtideError, Unavailable
from springtide.runtime.settings import duration, integer, setting
from springtide.triggers.consumed import Consumed
from springtide.triggers.pushed import PushedEvents
from springtide.triggers.source import Feed, Received, Source, Unacknowledged
from springtide.triggers.source_errors import as_ours
from springtide.triggers.source_settings import Either, address, name, password, several, trust
from springtide.wire.events.event import Event, Headers

CONNECTOR = "mqtt-connector"
TYPE = "com.springtide.mqtt.message"
DEFAULT_URL = "mqtt://127.0.0.1:1883"
PORTS = {"mqtt": 1883, "tcp": 1883, "mqtts": 8883, "ssl": 8883}
SECURE = ("mqtts", "ssl")
MAX_TOPICS = 100
CONNECT_S, KEEP_ALIVE_S = 10.0, 20
MAX_UNACKNOWLEDGED = 20
"""What the server is asked to lend at once: so many events come once more when the connector is killed."""
MAX_WAITING = 5000
"""Here, until there is room. Messages of QoS 0 beyond it are lost, for nothing holds their producer back."""
MANY_LOSSES, LOSSES_S = 3, 60.0
VERSIONS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}

_CREDENTIALS = "it refuses the credentials; see user and password_path"
_REFUSALS = {
    132: "it does not speak this version of MQTT; write version: 3.1.1",
    133: "it refuses the client_id; write another one",
    134: _CREDENTIALS,
    135: _CREDENTIALS,
    138: "it bans this client; see user and client_id",
    140: "it refuses this way to log in; see user and password_path",
}
"""Reason codes of CONNACK (MQTT 5, section 3.2.2.2) that it will answer again."""
FAILURES = 128
"""From it on they are failures; below, of SUBACK, the QoS that is granted."""
TAKEN_OVER = 142
"""Reason code of DISCONNECT: another connection came with the same client_id."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    secure: bool

    def __str__(self) -> str:
        return f"{'mqtts' if self.secure else 'mqtt'}://{self.host}:{self.port}"


def url(text: str) -> Address:
    """Raises ValueError, without what a password would be in."""
    parts = address(text, scheme="mqtt", secure="mqtts")
    if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{text[:80]!r} is no address; write mqtt://host:port or mqtts://host:port")
    return Address(parts.hostname, parts.port or PORTS[parts.scheme], parts.scheme in SECURE)


def filters(text: str) -> tuple[str, ...]:
    found = several(text, MAX_TOPICS, remedy="take wildcards, as sensors/+/state or sensors/#")
    for one in found:
        levels = one.split("/")
        bad = "#" in one[:-1] or any(len(level) > 1 and ("#" in level or "+" in level) for level in levels)
        if bad or one.startswith("$share/") or len(one.encode()) > 1024:
            raise ValueError(f"{one[:60]!r} is no topic; write sensors/1/state, sensors/+/state or sensors/#")
    return found


@dataclass(frozen=True, kw_only=True)
class Settings:
    url: Address = setting(  # noqa: RUF009 - frozen
        Address("127.0.0.1", 1883, secure=False), env="url", kind=url, help="mqtt://host:port, or mqtts:// with TLS"
    )
    topics: tuple[str, ...] = setting((), env="topics", kind=filters, help="topics, with + and # if need be")
    qos: int = setting(1, env="qos", kind=integer, low=0, high=1, help="1: at least once; 0: at most once")
    client_id: str = setting(
        "",
        env="client_id",
        kind=name,
        help="what the server keeps messages for while the connector is away; one connection at a time has it; empty: "
        "springtide- and the source's name",
    )
    group: str = setting(
        "", env="group", kind=name, help="copies of one group share messages ($share/group); each has its client_id"
    )
    session_s: float = setting(
        7 * 86_400.0,
        env="session",
        kind=duration,
        low=0.0,
        high=365 * 86_400.0,
        help="how long the server keeps messages for a connector that is away (of MQTT 5)",
    )
    version: aiomqtt.ProtocolVersion = setting(  # noqa: RUF009 - a member of an enumeration
        aiomqtt.ProtocolVersion.V5, env="version", kind=Either(VERSIONS), help="of MQTT: 5 or 3.1.1"
    )
    user: str = setting("", env="user", help="user at the server")
    password_path: str = setting("", env="password_path", help="file with the password")
    ca_path: str = setting("", env="ca_path", help="file with the certificates that the server's is checked by")


def build(name: str, settings: Settings) -> Source:
    """Raises BadInput."""
    if not settings.topics:
        raise BadInput("topics: there is none; write topics: [sensors/#]")
    if settings.group and not settings.client_id:
        raise BadInput("client_id: there is none; with a group each copy has one of its own")
    encryption = trust(settings.ca_path) if settings.url.secure else None
    return MqttSource(name, settings, password(settings.password_path), encryption)


class MqttSource:
    connector = CONNECTOR

    def __init__(self, name: str, settings: Settings, password: str | None, trust: ssl.SSLContext | None) -> None:
        self._name = name
        self._settings = settings
        self._password, self._trust = password, trust
        self._run, self._numbers = secrets.token_hex(8), itertools.count(1)
        self._losses: deque[float] = deque(maxlen=MANY_LOSSES)
        self._open: dict[int, tuple[str, bytes, str]] = {}
        """Topic, body and id of what is not acknowledged, by the number that it has in our session at the server."""
        self._dropped = CountedWarning(
            "events of MQTT with QoS 0 were dropped: they come faster than they are delivered"
        )

    def __repr__(self) -> str:
        return f"<MqttSource {self._name} of {', '.join(self._settings.topics)}>"

    @property
    def at_least_once(self) -> bool:
        return self._settings.qos > 0

    def connect(self) -> AbstractAsyncContextManager[Feed]:
        return self._connect()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Feed]:
        settings, feed = self._settings, _Session(str(self._settings.url))
        client = self._client()
        below = client._client
        below.manual_ack_set(on=True)

        def came(_: paho.Client, __: object, message: paho.MQTTMessage) -> None:
            feed.take_in(self._received(feed, below, message), self._dropped, self._name)

        told_before = below.on_disconnect

        def left(*about: Any) -> None:
            feed.lost(self._why_lost(about))
            if told_before is not None:
                told_before(*about)

        below.on_message, below.on_disconnect = came, left
        with _translated(settings.url):
            await client.__aenter__()
        try:
            with _translated(settings.url):
                for topic in settings.topics:
                    await self._subscribe(client, topic)
            yield feed.events
        finally:
            feed.lost()
            with contextlib.suppress(aiomqtt.MqttError, OSError, TimeoutError):
                await client.__aexit__(None, None, None)
            if client._disconnected.done():
                client._disconnected.exception()  # asked for by nobody else, which asyncio would complain of

    def _why_lost(self, about: tuple[Any, ...]) -> str:
        """``about`` is what paho tells of a disconnection. Not every server says that somebody else came."""
        remedy = f"give each copy a client_id of its own, and a group; {self._client_id} is this one's"
        if any(isinstance(one, ReasonCode) and one.value == TAKEN_OVER for one in about):
            return f"another connection has the same client_id: {remedy}"
        self._losses.append(time.monotonic())
        if len(self._losses) == MANY_LOSSES and self._losses[-1] - self._losses[0] < LOSSES_S:
            return f"the connection is lost again and again; if another one has the same client_id, {remedy}"
        return "the connection is lost"

    @property
    def _client_id(self) -> str:
        return self._settings.client_id or f"springtide-{self._name}"

    def _client(self) -> aiomqtt.Client:
        settings = self._settings
        newer = settings.version is aiomqtt.ProtocolVersion.V5
        properties = Properties(PacketTypes.CONNECT) if newer else None  # type: ignore[no-untyped-call]
        if properties is not None:
            properties.SessionExpiryInterval = int(settings.session_s) if settings.qos else 0
            properties.ReceiveMaximum = MAX_UNACKNOWLEDGED
        return aiomqtt.Client(
            settings.url.host,
            settings.url.port,
            identifier=self._client_id,
            username=settings.user or None,
            password=self._password,
            protocol=settings.version,
            clean_session=None if newer else settings.qos == 0,
            clean_start=settings.qos == 0 if newer else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
            tls_context=self._trust,
            timeout=CONNECT_S,
            keepalive=KEEP_ALIVE_S,
        )

    async def _subscribe(self, client: aiomqtt.Client, topic: str) -> None:
        """Raises BadInput where it is refused, or granted for less than was asked."""
        settings = self._settings
        shared = f"$share/{settings.group}/{topic}" if settings.group else topic
        if settings.version is aiomqtt.ProtocolVersion.V5:
            # What is retained comes once, not again with each connection.
            options = SubscribeOptions(qos=settings.qos, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
            codes = await client.subscribe(shared, options=options)
        else:
            codes = await client.subscribe(shared, qos=settings.qos)
        for code in codes:
            granted = code if isinstance(code, int) else code.value
            if granted >= FAILURES:
                raise BadInput(f"topics: {settings.url} refuses {topic}: {code}; see user and its rights")
            if granted < settings.qos:
                raise BadInput(f"qos: {settings.url} grants {topic} only QoS 0, which can lose events; write qos: 0")

    def _received(self, feed: _Session, below: paho.Client, message: paho.MQTTMessage) -> Received:
        id_ = self._id(message)
        event = self._event(message, id_)
        return _Lent(feed, below, message.mid, event, self._open) if message.qos else Unacknowledged(event)

    def _id(self, message: paho.MQTTMessage) -> str:
        """A message has none of its own. One that is told again is known by the number that it still has, unless we
        were killed in between."""
        topic, body = _topic(message), bytes(message.payload)
        known = self._open.get(message.mid) if message.qos and message.dup else None
        if known is not None and known[:2] == (topic, body):
            return known[2]
        id_ = f"{self._run}.{next(self._numbers)}"
        if message.qos:
            self._open[message.mid] = topic, body, id_
        return id_

    def _event(self, message: paho.MQTTMessage, id_: str) -> Event:
        topic = _topic(message)
        said = getattr(message, "properties", None)
        pairs: Headers = tuple(getattr(said, "UserProperty", ()))
        of_cloud_events = any(key == "specversion" for key, _ in pairs)
        return Event(
            topic=topic,
            pattern=next((one for one in self._settings.topics if paho.topic_matches_sub(one, topic)), ""),
            body=bytes(message.payload),
            id=id_,
            source=f"/{self._name}",
            type=TYPE,
            content_type=getattr(said, "ContentType", ""),
            time=time.time(),
            redelivered=bool(message.dup),
            attributes=pairs if of_cloud_events else (),
        )


@dataclass(slots=True)
class _Session:
    """What one connection brought. Acknowledged without a gap, in the order in which it came."""

    where: str
    events: PushedEvents = field(default_factory=lambda: PushedEvents(MAX_WAITING))
    open: Consumed[int] = field(default_factory=Consumed[int])
    """By number."""
    connected: bool = True

    def take_in(self, received: Received, dropped: CountedWarning, name: str) -> None:
        """The server sends no more than it may have unacknowledged: there is room for those."""
        if isinstance(received, _Lent):
            self.open.given(received.number)
            self.events.add(received)
        elif not self.events.offer(received):
            dropped.seen(source=name)

    def lost(self, why: str = "the connection is lost") -> None:
        self.connected = False
        self.events.fail(Unavailable(f"{self.where}: {why}"))

    def done(self, number: int) -> list[int]:
        """The numbers that can be acknowledged now. Raises Unavailable."""
        if not self.connected:
            raise Unavailable(f"{self.where}: the connection is lost")
        return self.open.taken(number)


@dataclass(frozen=True, slots=True)
class _Lent:
    """Implements ``Received`` for a message with QoS 1."""

    session: _Session
    below: paho.Client
    number: int
    event: Event
    known: dict[int, tuple[str, bytes, str]]

    async def taken(self) -> None:
        for number in self.session.done(self.number):
            self.known.pop(number, None)
            if self.below.ack(number, 1) != paho.MQTT_ERR_SUCCESS:
                raise Unavailable(f"{self.session.where}: the connection is lost")

    async def give_back(self) -> None:
        """At the end it stays in our session at the server; before that it is given out here once more."""
        if self.session.connected:
            self.session.events.add(self)

    async def keep(self) -> None: ...


def _topic(message: paho.MQTTMessage) -> str:
    try:
        return str(message.topic)
    except UnicodeDecodeError:
        return bytes(message._topic).decode(errors="replace")


@contextlib.contextmanager
def _translated(where: Address) -> Iterator[None]:
    """The library's errors as ours."""
    try:
        yield
    except SpringtideError:
        raise
    except aiomqtt.MqttError as error:
        refusal = _REFUSALS.get(_code_of(error))
        if refusal is not None:
            raise BadInput(f"{where}: {refusal}") from None
        raise as_ours(where, error) from error
    except (OSError, TimeoutError) as error:
        raise as_ours(where, error) from error


def _code_of(error: aiomqtt.MqttError) -> int:
    """Of a server that refuses the connection, in MQTT 5's numbers, which the library has for older versions, too."""
    code = error.rc if isinstance(error, aiomqtt.MqttCodeError) else None
    return code.value if isinstance(code, ReasonCode) else 0
