"""Which kinds of sources there are. A kind's library is imported when one of its sources is built, and not before."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from springtide.runtime.errors import BadInput, Unsupported
from springtide.runtime.settings import Declared, SettingsError, declared, read
from springtide.triggers.source import Source
from springtide.wire.events.headers import DEFAULT_CONTENT_TYPE


class SourceModule(Protocol):
    """What a module of ``triggers/sources`` has."""

    Settings: type[Any]

    def build(self, name: str, settings: Any) -> Source: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind:
    """``about`` is one line for the help, which says where events can be lost."""

    about: str
    packages: tuple[str, ...] = ()
    """What its module imports that an ``extra`` brings, by the names of imports."""
    extra: str = ""
    openfaas: Mapping[str, str] = field(default_factory=dict)
    """By the environment names of OpenFaaS's connector of that kind, our keys."""
    content_type: str = DEFAULT_CONTENT_TYPE


KINDS: Mapping[str, SourceKind] = {
    "nats": SourceKind(
        about="subjects of NATS, at most once: what comes while no connector listens is lost; with `stream`, those of "
        "a stream of JetStream, at least once",
        packages=("nats", "nkeys"),
        extra="async",
        openfaas={"broker_host": "url", "topics": "topics"},
    ),
    "mqtt": SourceKind(
        about="topics of MQTT: at least once for what is published with QoS 1 or 2, at most once for QoS 0",
        packages=("aiomqtt", "paho"),
        extra="mqtt",
        openfaas={
            "broker": "url",
            "broker_host": "url",
            "topic": "topics",
            "topics": "topics",
            "clientID": "client_id",
        },
    ),
    "redis": SourceKind(
        about="streams of Redis by a consumer group, at least once; with `channels`, its pub/sub, at most once: what "
        "comes while no connector listens is lost",
        packages=("redis",),
        extra="redis",
        openfaas={"broker_host": "url", "topics": "topics"},
    ),
    "directory": SourceKind(
        about="files of a folder, once they are complete, at least once; what is done with is moved or deleted",
    ),
    "postgres": SourceKind(
        about="changes of rows in Postgres by logical decoding, at least once; with `channels`, its NOTIFY, at most "
        "once: what comes while no connector listens is lost",
        packages=("psycopg",),
        extra="postgres",
        openfaas={
            "broker_host": "url",
            "topics": "topics",
            "filters": "topics",
            "publication": "publication",
        },
        content_type="application/json",
    ),
    "rabbitmq": SourceKind(
        about="queues of RabbitMQ, at least once",
        packages=("aio_pika", "aiormq"),
        extra="rabbitmq",
        openfaas={"broker_host": "url", "rabbitmq_url": "url", "queues": "queues"},
    ),
    "kafka": SourceKind(
        about="topics of Kafka by a consumer group, at least once",
        packages=("confluent_kafka",),
        extra="kafka",
        openfaas={
            "broker_host": "brokers",
            "broker_hosts": "brokers",
            "topics": "topics",
            "group": "group",
            "initial_offset": "initial_offset",
            "max_bytes": "max_bytes",
        },
    ),
    "sqs": SourceKind(
        about="queues of SQS, and events of S3 by them, at least once",
        packages=("aiobotocore", "botocore"),
        extra="sqs",
        openfaas={
            "queueURL": "queue_url",
            "visibilityTimeout": "visibility",
            "waitTime": "wait",
            "maxMessages": "max_messages",
        },
    ),
}


def build(kind: str, name: str, values: Mapping[str, str]) -> Source:
    """``values`` by key. Raises Unsupported for a library that is not there, BadInput for all else that is wrong."""
    module = _module(kind)
    known = [item.env for item in declared(module.Settings)]
    problems = [f"{key}: {_unknown(key, known)}" for key in values if key not in known]
    try:
        settings = read(module.Settings, values)
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise BadInput("\n".join(f"source {name}: {problem}" for problem in problems))
    try:
        return module.build(name, settings)
    except BadInput as error:
        raise BadInput(f"source {name}: {error}") from error


def keys(kind: str) -> tuple[str, ...]:
    """Of its settings. Raises as ``build`` does."""
    return tuple(item.env for item in settings(kind))


def settings(kind: str) -> list[Declared]:
    """What a source of this kind may say. Raises as ``build`` does."""
    return declared(_module(kind).Settings)


def checked_kind(kind: str) -> SourceKind:
    """Raises BadInput that names those there are."""
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 1)
        raise BadInput(f"kind: {kind[:40]!r} is none of {', '.join(KINDS)}" + (f"; {near[0]}?" if near else ""))
    return KINDS[kind]


def _module(kind: str) -> SourceModule:
    known = checked_kind(kind)
    try:
        module: Any = importlib.import_module(f"springtide.triggers.sources.{kind}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in known.packages:
            raise
        raise Unsupported(
            f"a source of the kind {kind} needs the package {error.name}; pip install 'springtide[{known.extra}]'"
        ) from error
    found: SourceModule = module
    return found


def _unknown(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 1)
    return f"there is no such key; {near[0]}?" if near else f"there is no such key; there are {', '.join(known)}"
