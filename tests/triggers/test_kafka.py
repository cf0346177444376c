"""What only Kafka has: keys and headers of records, partitions that come and go, offsets committed in order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from springtide.runtime.errors import BadInput, Unavailable
from springtide.triggers.source import Source
from springtide.triggers.sources import kinds
from springtide.wire.events.headers import call_headers
from tests.certificates import self_signed
from tests.fakes.events import MemoryFunctions, MemoryGateway
from tests.kafka_cluster import KafkaCluster, running
from tests.triggers.contract.kafka_systems import SESSION
from tests.triggers.reading import eventually, first, reading

JOIN_GROUP, GROUP_AUTHORIZATION_FAILED, INVALID_SESSION_TIMEOUT = 11, 30, 26


@pytest.fixture
def cluster() -> Iterator[KafkaCluster]:
    with running(orders=1, invoices=3) as cluster:
        yield cluster


def source(cluster: KafkaCluster, **keys: str) -> Source:
    asked = {"brokers": cluster.servers, "topics": "orders", "session": SESSION}
    return kinds.build("kafka", "k", asked | keys)


async def test_a_record_is_told_with_its_place_key_and_headers(cluster: KafkaCluster) -> None:
    headers: list[tuple[str, str | bytes | None]] = [
        ("shop", "größe".encode()),
        ("raw", b"\xff\x00"),
        ("Offset", b"99"),
        ("a b", b"c"),
        ("content-type", b"application/json"),
        ("ce_type", b"order.new"),
    ]
    cluster.producer.produce("orders", b"one", key="größe".encode(), headers=headers, timestamp=1_700_000_000_123)
    cluster.producer.produce("orders", b"two", key=b"\x00\x01\xff", timestamp=1_700_000_000_124)
    cluster.producer.produce("orders", b"three", timestamp=1_700_000_000_125)
    assert cluster.producer.flush(60.0) == 0
    async with source(cluster).connect() as feed:
        events = [each.event for each in await first(feed, 3)]

    one, two, three = (call_headers(event, connector="kafka-connector") for event in events)
    assert one == [
        (b"Content-Type", b"application/json"),
        (b"X-Topic", b"orders"),
        (b"X-Connector", b"connector-sdk"),
        (b"X-Connector", b"kafka-connector"),
        (b"User-Agent", b"springtide/kafka-connector"),
        (b"ce-specversion", b"1.0"),
        (b"ce-id", b"orders/0/0/1700000000123"),
        (b"ce-source", b"/k/orders"),
        (b"ce-type", b"order.new"),
        (b"ce-time", b"2023-11-14T22:13:20.123Z"),
        (b"X-Kafka-Partition", b"0"),
        (b"X-Kafka-Offset", b"0"),
        (b"X-Kafka-Key", "größe".encode()),
        (b"X-Kafka-shop", "größe".encode()),
        (b"X-Kafka-raw", b"/wA="),
        (b"X-Kafka-raw-Enc", b"b64"),
        (b"X-Kafka-content-type", b"application/json"),
        (b"X-Kafka-ce_type", b"order.new"),
    ]
    assert two[-4:] == [
        (b"X-Kafka-Partition", b"0"),
        (b"X-Kafka-Offset", b"1"),
        (b"X-Kafka-Key", b"AAH/"),
        (b"X-Kafka-Key-Enc", b"b64"),
    ]
    assert three[-2:] == [(b"X-Kafka-Partition", b"0"), (b"X-Kafka-Offset", b"2")]
    assert dict(three)[b"Content-Type"] == b"text/plain"


async def test_an_event_that_is_not_over_holds_back_all_behind_it(cluster: KafkaCluster) -> None:
    cluster.publish("orders", [b"one", b"two", b"three"])
    async with source(cluster).connect() as feed:
        one, two, three = await first(feed, 3)
        await three.taken()
        await one.taken()
    async with source(cluster).connect() as feed:
        again = await first(feed, 2)
        with pytest.raises(Unavailable, match="partition 0 of orders is another copy's now"):
            await two.taken()
        await again[1].taken()
        await again[0].taken()
    cluster.publish("orders", [b"four"])
    async with source(cluster).connect() as feed:
        last = await first(feed, 1)

    assert [each.event.body for each in again] == [b"two", b"three"]
    assert [each.event.id for each in again] == [two.event.id, three.event.id]
    assert [each.event.body for each in last] == [b"four"]


async def test_an_event_that_is_given_back_is_given_again(cluster: KafkaCluster) -> None:
    cluster.publish("orders", [b"one", b"two"])
    async with source(cluster).connect() as feed:
        one, two = await first(feed, 2)
        await two.taken()
        await one.give_back()
        [again] = await first(feed, 1)

        assert again.event == one.event


async def test_what_is_delivered_when_a_partition_goes_to_another_copy_is_not_repeated_there() -> None:
    """A real group takes commits from its members while it prepares for another; this cluster refuses them then, which
    a busy machine can make happen, and the partition is rightly repeated. So one time of several has to be without."""
    second = [b"second %d" % number for number in range(90)]
    for _ in range(5):
        with running(invoices=3) as cluster:
            seen = await _seen_by_two(cluster, second)
        assert all(seen)
        repeated = Counter(body for found in seen for body in found)
        repeated.subtract(second)
        assert set((+repeated).values()) <= {1}
        assert not -repeated, "none is lost"
        if not +repeated:
            return
    raise AssertionError("what was taken before the partition went was never committed")


async def _seen_by_two(cluster: KafkaCluster, second: Sequence[bytes]) -> list[list[bytes]]:
    """What each of two copies is given once the second took a partition from the first, which had 30 in flight."""
    cluster.publish("invoices", [b"first %d" % number for number in range(30)])
    seen: list[list[bytes]] = [[], []]
    async with source(cluster, topics="invoices").connect() as one:
        lent = await first(one, 30)
        async with source(cluster, topics="invoices").connect() as other:
            await eventually(lambda: "3 partitions" not in repr(one))
            for each in lent:
                await each.taken()
            await eventually(lambda: "0 partitions" not in repr(other))
            await asyncio.to_thread(cluster.publish, "invoices", second)
            tasks = [asyncio.create_task(_follow(feed, found)) for feed, found in zip((one, other), seen, strict=True)]
            await eventually(lambda: {*second} <= {body for found in seen for body in found})
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    return seen


async def _follow(feed: Any, found: list[bytes]) -> None:
    while True:
        for each in await feed.take(10):
            await each.taken()
            found.append(each.event.body)


async def test_a_group_that_begins_with_the_newest_loses_nothing_from_then_on(cluster: KafkaCluster) -> None:
    cluster.publish("orders", [b"before"])
    async with source(cluster, initial_offset="newest").connect() as feed:
        await eventually(lambda: "1 partitions" in repr(feed))
    cluster.publish("orders", [b"while it is away"])
    async with source(cluster, initial_offset="newest").connect() as feed:
        [event] = await first(feed, 1)

    assert event.event.body == b"while it is away"


async def test_nothing_is_fetched_while_nobody_asks(cluster: KafkaCluster) -> None:
    bodies = [b"%d" % number for number in range(1000)]
    cluster.publish("orders", bodies)
    async with source(cluster).connect() as feed:
        await eventually(lambda: "paused" in repr(feed))
        waiting = repr(feed)
        seen = [each.event.body for each in await first(feed, 1000)]

    assert int(waiting.split(",")[1].split()[0]) < 100
    assert seen == bodies


async def test_servers_that_stay_away_are_an_outage(cluster: KafkaCluster) -> None:
    async with source(cluster).connect() as feed:
        await eventually(lambda: "1 partitions" in repr(feed))
        cluster.cut_off()
        with pytest.raises(Unavailable, match=f"{cluster.servers}.*onnect"):
            await feed.take(1)
    cluster.let_back()


async def test_a_topic_that_is_not_there_holds_up_no_other(cluster: KafkaCluster) -> None:
    cluster.publish("orders", [b"one"])
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "orders")
    async with reading(source(cluster, topics="orders,later"), gateway, functions) as copy:
        await eventually(lambda: len(gateway.jobs) == 1)
        await copy.stop()


async def test_servers_that_do_not_answer_are_told() -> None:
    absent = kinds.build("kafka", "k", {"brokers": "127.0.0.1:1", "topics": "orders"})

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1: .*Connection refused"):
        async with absent.connect():
            pass


async def test_a_login_that_is_refused_is_told_without_the_password(cluster: KafkaCluster, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")
    refused = source(cluster, user="me", password_path=str(tmp_path / "password"))

    with pytest.raises(BadInput, match=r"refuses the credentials .*; see user, password_path, sasl and tls") as told:
        async with refused.connect():
            pass
    assert "s3cret" not in str(told.value) + repr(refused)


async def test_certificates_that_are_not_trusted_are_told(cluster: KafkaCluster, tmp_path: Path) -> None:
    shown, other = self_signed(tmp_path), self_signed(tmp_path, "other")
    async with await asyncio.start_server(_silent, "127.0.0.1", 0, ssl=shown.context()) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        given = {"brokers": address, "tls": "true", "ca_path": str(other.crt)}
        with pytest.raises(BadInput, match=r"there is no TLS with it .*verify failed.*; see tls, ca_path"):
            async with source(cluster, **given).connect():
                pass
        with pytest.raises(Unavailable, match=r"no answer .*; if that lasts, see whether it wants TLS or a user"):
            async with source(cluster, brokers=address).connect():
                pass


async def _silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (GROUP_AUTHORIZATION_FAILED, "the user may not be in the group .*; see user, and its rights"),
        (INVALID_SESSION_TIMEOUT, "it refuses the session's length .*; write session: 15s"),
    ],
)
async def test_a_group_that_is_refused_is_told(cluster: KafkaCluster, error: int, told: str) -> None:
    cluster.answer_with(JOIN_GROUP, error, times=5)
    async with source(cluster).connect() as feed:
        with pytest.raises(BadInput, match=told):
            await feed.take(1)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"topics": ""}, r"topics: there is none; write topics: \[orders\]"),
        ({"topics": "a/b"}, "topics: 'a/b' is no topic"),
        ({"topics": ",".join(f"t{n}" for n in range(101))}, "topics: 101 are more than 100"),
        ({"brokers": ","}, "brokers: 0 servers; write 1 to 50"),
        ({"brokers": "me:s3cret@host"}, "brokers: it holds a user or a password; put them into user"),
        ({"brokers": "http://host"}, "brokers: 'http://host' is no server; write host:port"),
        ({"brokers": "host:port"}, "brokers: it cannot be read"),
        ({"initial_offset": "late"}, "initial_offset: 'late' is neither oldest nor newest"),
        ({"max_bytes": "1"}, "max_bytes: 1 is out of range"),
        ({"session": "1h"}, "session: 3600 is out of range"),
        ({"sasl": "gssapi"}, "sasl: 'gssapi' is none of plain, scram-sha-256, scram-sha-512"),
        ({"user": "me"}, "password_path: there is no password of me; name a file"),
        ({"password_path": "/nowhere"}, "user: there is none whose password it is"),
        ({"user": "me", "password_path": "/nowhere"}, "password_path: /nowhere: No such file"),
        ({"ca_path": "/nowhere"}, "ca_path: it is for TLS; write tls: true"),
        ({"tls": "true", "ca_path": "/nowhere"}, "ca_path: /nowhere: No such file"),
        ({"tls": "true", "ca_path": __file__}, "ca_path: .*: no certificates in it"),
        ({"tls": "true", "cert_path": "/dev/null"}, "cert_path: a certificate needs its key"),
    ],
)
def test_what_is_wrong_with_its_keys_is_told(keys: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told) as error:
        kinds.build("kafka", "k", {"topics": "orders"} | keys)
    assert "s3cret" not in str(error.value)


async def test_a_file_that_is_no_certificate_of_ours_is_told() -> None:
    """The client looks at it, which trusts nobody else's reading."""
    given = {"topics": "a", "brokers": "127.0.0.1:1", "tls": "true", "cert_path": __file__, "key_path": __file__}

    with pytest.raises(BadInput, match=r"127\.0\.0\.1:1: .*ssl\.certificate\.location"):
        async with kinds.build("kafka", "k", given).connect():
            pass
