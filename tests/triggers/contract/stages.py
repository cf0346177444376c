"""The systems that the contract is tested over: a row for each."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from springtide.triggers.source import Source
from tests.fakes.events import MemorySystem
from tests.triggers.contract import (
    directory_systems,
    kafka_systems,
    mqtt_systems,
    nats_systems,
    postgres_systems,
    rabbitmq_systems,
    redis_systems,
    sqs_systems,
)


class EventSystem(Protocol):
    """A system that has events, and what the contract does with it.

    ``shares``: of several copies of a connector each event comes to one. One whose events have no number of their own
    also has ``repeats``: so many may be delivered twice when it is killed. Topics are ``orders``, ``invoices`` and
    ``nobodys``, all three of which its sources listen to.

    One that tells of a body in words of its own also has ``unwrapped``, ``content_type`` and ``topic_told``, with {}
    for the topic.
    """

    connector: str
    at_least_once: bool
    shares: bool
    asked: Mapping[str, str]
    """``kind`` and keys of its source, as a connector's file has them; what ``source`` builds."""

    def source(self) -> Source:
        """A copy more, of the same source."""

    async def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        """In this order; return when the system has them."""

    async def break_connections(self) -> None:
        """All of them break; a server is killed by SIGKILL and started again over its data."""


def unwrapped(system: EventSystem, body: bytes) -> bytes:
    """What was published, of the body that a function is called with."""
    unwrap: Callable[[bytes], bytes] = getattr(system, "unwrapped", lambda body: body)
    return unwrap(body)


@contextlib.asynccontextmanager
async def memory(_: Path) -> AsyncIterator[EventSystem]:
    yield MemorySystem()


Stage = Callable[[Path], AbstractAsyncContextManager[EventSystem]]

STAGES: Mapping[str, Stage] = {
    "memory": memory,
    "nats stream": nats_systems.stream,
    "nats subjects": nats_systems.subjects,
    "mqtt": mqtt_systems.at_least_once,
    "mqtt qos 0": mqtt_systems.at_most_once,
    "redis streams": redis_systems.streams,
    "redis channels": redis_systems.channels,
    "directory": directory_systems.directory,
    "postgres rows": postgres_systems.rows,
    "postgres notify": postgres_systems.notifications,
    "rabbitmq": rabbitmq_systems.queues,
    "kafka": kafka_systems.topics,
    "sqs": sqs_systems.queues,
}
