"""Kafka for the contract: topics of several partitions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from springtide.triggers.source import Source
from tests.kafka_cluster import KafkaCluster, running
from tests.triggers.contract.building import built

TOPICS = ("orders", "invoices", "nobodys")
PARTITIONS = 3
SESSION = "3s"
"""For so long, less a second, this cluster waits for others when the last member of a group is gone."""


class KafkaSystem:
    connector = "kafka-connector"
    at_least_once = shares = True

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self.asked: Mapping[str, str] = {
            "kind": "kafka",
            "brokers": cluster.servers,
            "topics": ",".join(TOPICS),
            "session": SESSION,
        }

    def source(self) -> Source:
        return built(self.asked)

    async def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        await asyncio.to_thread(self._cluster.publish, topic, bodies)

    async def break_connections(self) -> None:
        self._cluster.cut_off()
        self._cluster.let_back()


@contextlib.asynccontextmanager
async def topics(_: Path) -> AsyncIterator[KafkaSystem]:
    with running(**dict.fromkeys(TOPICS, PARTITIONS)) as cluster:
        yield KafkaSystem(cluster)
