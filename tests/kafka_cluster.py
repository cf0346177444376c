"""A cluster of Kafka in this process: the one that the C client has for tests of clients, spoken to over TCP.

It has real groups, partitions and offsets, and keeps all in memory: its servers can be cut off, and come back with
what they had. The Python client has no door to it but one that makes it inside of a client, so the library is called.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import confluent_kafka
from confluent_kafka import Producer

PRODUCER = 0
ONE_SERVER = 1


def _library() -> ctypes.CDLL:
    """The one that the Python client has loaded."""
    assert confluent_kafka.libversion()
    mapped = Path("/proc/self/maps").read_text().splitlines()
    return ctypes.CDLL(next(line.split()[-1] for line in mapped if "librdkafka" in line))


class KafkaCluster:
    def __init__(self, topics: Mapping[str, int]) -> None:
        """``topics``: partitions of each."""
        self._library = library = _library()
        for function in (library.rd_kafka_new, library.rd_kafka_conf_new, library.rd_kafka_mock_cluster_new):
            function.restype = ctypes.c_void_p
        library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        config, why = ctypes.c_void_p(library.rd_kafka_conf_new()), ctypes.create_string_buffer(512)
        library.rd_kafka_conf_set(config, b"log_level", b"2", why, 512)
        self._client = ctypes.c_void_p(library.rd_kafka_new(PRODUCER, config, why, 512))
        self._cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(self._client, ONE_SERVER))
        self.servers: str = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self._partitions = topics
        for topic, partitions in topics.items():
            library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, ONE_SERVER)
        self.producer = Producer({"bootstrap.servers": self.servers, "acks": "all", "linger.ms": 1, "log_level": 2})

    def __repr__(self) -> str:
        return f"<KafkaCluster {self.servers}>"

    def publish(self, topic: str, bodies: Sequence[bytes]) -> None:
        """To all of its partitions in turn."""
        for number, body in enumerate(bodies):
            self.producer.produce(topic, body, partition=number % self._partitions[topic])
        assert self.producer.flush(60.0) == 0

    def cut_off(self) -> None:
        self._library.rd_kafka_mock_broker_set_down(self._cluster, ONE_SERVER)

    def let_back(self) -> None:
        self._library.rd_kafka_mock_broker_set_up(self._cluster, ONE_SERVER)

    def answer_with(self, request: int, error: int, times: int = 1) -> None:
        """The next ones of a kind (https://kafka.apache.org/protocol#protocol_api_keys) are refused by that error."""
        errors = (ctypes.c_int * times)(*([error] * times))
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(times), errors
        )

    def end(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)


@contextlib.contextmanager
def running(**topics: int) -> Iterator[KafkaCluster]:
    cluster = KafkaCluster(topics)
    try:
        yield cluster
    finally:
        cluster.end()
