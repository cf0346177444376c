"""Kafka: topics by a consumer group, whose offsets are committed as far as all is taken."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from springtide.runtime.errors import BadInput
from springtide.runtime.settings import boolean, duration, integer, setting, words
from springtide.triggers.source import Feed, Source
from springtide.triggers.source_settings import Either, address, bracketed, name, password, several, trust
from springtide.triggers.sources.kafka.member import KafkaMember

CONNECTOR = "kafka-connector"
DEFAULT_BROKERS = "127.0.0.1:9092"
MAX_TOPICS, MAX_BROKERS = 100, 50
COMMIT_MS = 500
"""So much of what was taken may be delivered again when the connector is killed."""
FETCHED_AHEAD, FETCHED_AHEAD_KIB = 500, 16 * 1024
METADATA_MS = 30_000
"""A topic that is made later is found so much later."""
MECHANISMS = {"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"}

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def brokers(text: str) -> str:
    """``host:port``, several by commas. Raises ValueError, without what a password would be in."""
    found = words(text)
    if not 0 < len(found) <= MAX_BROKERS:
        raise ValueError(f"{len(found)} servers; write 1 to {MAX_BROKERS}, as host:9092, host:9092")
    return ",".join(map(_broker, found))


def _broker(text: str) -> str:
    parts = address(text, scheme="kafka", secure="kafka")
    if parts.scheme != "kafka" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{text[:80]!r} is no server; write host:port, and tls: true for TLS")
    return f"{bracketed(parts.hostname)}:{parts.port or 9092}"


def topics(text: str) -> tuple[str, ...]:
    found = several(text, MAX_TOPICS)
    for one in found:
        if not _TOPIC.fullmatch(one):
            raise ValueError(f"{one[:60]!r} is no topic; take letters, digits and ._-")
    return found


def mechanism(text: str) -> str:
    try:
        return MECHANISMS[text.lower()]
    except KeyError:
        raise ValueError(f"{text[:40]!r} is none of {', '.join(MECHANISMS)}") from None


@dataclass(frozen=True, kw_only=True)
class Settings:
    brokers: str = setting(DEFAULT_BROKERS, env="brokers", kind=brokers, help="host:port of servers, by commas")
    topics: tuple[str, ...] = setting((), env="topics", kind=topics, help="topics")
    group: str = setting(
        "faas-group-1", env="group", kind=name, help="copies of one group share the partitions of its topics"
    )
    newest: bool = setting(
        False,  # noqa: FBT003 - the default comes first in every setting
        env="initial_offset",
        kind=Either({"oldest": False, "newest": True}),
        help="where a new group begins: oldest or newest",
    )
    max_bytes: int = setting(
        1024 * 1024,
        env="max_bytes",
        kind=integer,
        low=1024,
        high=512 * 1024 * 1024,
        help="bytes asked for of a partition at once; a larger event comes all the same",
    )
    session_s: float = setting(
        15.0,
        env="session",
        kind=duration,
        low=1.0,
        high=1800.0,
        help="how long a copy that says nothing keeps its partitions; servers take 6 s at least, unless told otherwise",
    )
    tls: bool = setting(
        False,  # noqa: FBT003 - the default comes first in every setting
        env="tls",
        kind=boolean,
        help="whether the servers speak TLS",
    )
    ca_path: str = setting("", env="ca_path", help="file with the certificates that the servers' are checked by")
    cert_path: str = setting("", env="cert_path", help="file with our own certificate, where they ask for one")
    key_path: str = setting("", env="key_path", help="file with its key")
    sasl: str = setting(
        "PLAIN", env="sasl", kind=mechanism, help="how user and password are shown: plain, scram-sha-256, scram-sha-512"
    )
    user: str = setting("", env="user", help="user at the servers; empty: there is none")
    password_path: str = setting("", env="password_path", help="file with the password")


def build(name: str, settings: Settings) -> Source:
    """Raises BadInput."""
    if not settings.topics:
        raise BadInput("topics: there is none; write topics: [orders]")
    if not settings.group:
        raise BadInput("group: there is none; write group: faas-group-1")
    config = _client(name, settings) | _trust(settings) | _login(settings)
    return KafkaSource(name, settings, config)


def _client(name: str, settings: Settings) -> dict[str, Any]:
    """In the library's own words."""
    return {
        "bootstrap.servers": settings.brokers,
        "client.id": f"springtide-connector-{name}",
        "group.id": settings.group,
        "session.timeout.ms": int(settings.session_s * 1000),
        "heartbeat.interval.ms": int(min(2000.0, settings.session_s * 1000 / 3)),
        # A copy that joins takes some partitions, and the others read on.
        "partition.assignment.strategy": "cooperative-sticky",
        # What is taken is told by hand, and committed by the client.
        "enable.auto.offset.store": False,
        "enable.auto.commit": True,
        "auto.commit.interval.ms": COMMIT_MS,
        # Of a log whose end was cut off, or whose beginning was thrown away: nothing that is there is passed over.
        "auto.offset.reset": "earliest",
        "fetch.message.max.bytes": settings.max_bytes,
        "queued.min.messages": FETCHED_AHEAD,
        "queued.max.messages.kbytes": FETCHED_AHEAD_KIB,
        "topic.metadata.refresh.interval.ms": METADATA_MS,
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 5000,
        # Its own lines tell of each try; the framework tells of outages.
        "log_level": 2,
    }


def _trust(settings: Settings) -> dict[str, Any]:
    paths = {
        "ca_path": ("ssl.ca.location", settings.ca_path),
        "cert_path": ("ssl.certificate.location", settings.cert_path),
        "key_path": ("ssl.key.location", settings.key_path),
    }
    given = {key: (name, path) for key, (name, path) in paths.items() if path}
    if given and not settings.tls:
        raise BadInput(f"{next(iter(given))}: it is for TLS; write tls: true, or leave it out")
    for key, (_, path) in given.items():
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            raise BadInput(f"{key}: {path}: {error.strerror}") from error
    if settings.ca_path:
        trust(settings.ca_path)
    if bool(settings.cert_path) != bool(settings.key_path):
        raise BadInput("cert_path: a certificate needs its key; write both cert_path and key_path")
    return dict(given.values())


def _login(settings: Settings) -> dict[str, Any]:
    if not settings.user:
        if settings.password_path:
            raise BadInput("user: there is none whose password it is; write user, or leave password_path out")
        return {"security.protocol": "ssl" if settings.tls else "plaintext"}
    secret = password(settings.password_path)
    if not secret:
        raise BadInput(f"password_path: there is no password of {settings.user[:40]}; name a file that holds it")
    return {
        "security.protocol": "sasl_ssl" if settings.tls else "sasl_plaintext",
        "sasl.mechanism": settings.sasl,
        "sasl.username": settings.user,
        "sasl.password": secret,
    }


class KafkaSource:
    connector = CONNECTOR
    at_least_once = True

    def __init__(self, name: str, settings: Settings, config: Mapping[str, Any]) -> None:
        self._name, self._settings, self._config = name, settings, config

    def __repr__(self) -> str:
        return f"<KafkaSource {self._name} of {', '.join(self._settings.topics)}>"

    def connect(self) -> AbstractAsyncContextManager[Feed]:
        return self._connect()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Feed]:
        settings = self._settings
        member = KafkaMember(self._name, self._config, settings.topics, newest=settings.newest)
        try:
            await member.begin()
            yield member
        finally:
            await member.leave()
