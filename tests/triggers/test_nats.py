"""What only NATS has: wildcards, streams that are made anew, and its headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import BadInput
from springtide.triggers.connector import ConnectorDeps, NamedSource, Reading
from springtide.triggers.connector_settings import ConnectorSettings
from springtide.triggers.gateway_caller import GatewayCaller
from springtide.triggers.sources import kinds
from springtide.triggers.sources.nats import matches, overlap
from springtide.wire.gateway_connections import GatewayConnections
from tests.certificates import self_signed
from tests.fakes.events import MemoryFunctions, MemoryGateway
from tests.gateway.harness import data_plane, replica
from tests.nats_server import NatsServer, running
from tests.triggers.contract import nats_systems
from tests.triggers.reading import eventually, reading


@pytest.mark.parametrize(
    ("pattern", "subject", "fits"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("*.b", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("a.b", "a.c", False),
    ],
)
def test_wildcards_are_those_of_nats(pattern: str, subject: str, fits: bool) -> None:
    assert matches(pattern, subject) is fits


@pytest.mark.parametrize(
    ("one", "other", "do"),
    [
        ("a.b", "a.b", True),
        ("a.*", "*.b", True),
        ("a.>", "a.b.c", True),
        (">", "a", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b.c", False),
        ("a.>", "a", False),
        ("a.>", "b.>", False),
    ],
)
def test_patterns_overlap_where_one_subject_has_both(one: str, other: str, do: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is do


@pytest.mark.parametrize("topics", ["a..b", ".a", "a.>.b", ",".join(f"t{n}" for n in range(101))])
def test_subjects_that_are_none_are_refused(topics: str) -> None:
    with pytest.raises(BadInput, match="source n: topics: "):
        kinds.build("nats", "n", {"topics": topics})


@pytest.fixture
@asynccontextmanager
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    with running(tmp_path / "nats") as server:
        yield server


async def test_a_stream_that_is_made_anew_has_new_events(server: NatsServer) -> None:
    """It counts from 1 again; the same event with the same number is another one."""
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "orders.*")
    client = await nats_systems.connected(server)
    jetstream = client.jetstream()
    await jetstream.add_stream(name="S", subjects=["orders.>"])
    source = kinds.build("nats", "n", {"url": server.url, "topics": "orders.*", "stream": "S"})
    async with reading(source, gateway, functions) as copy:
        await jetstream.publish("orders.new", b"one", headers={"ce-id": "A 1", "Content-Type": "application/json"})
        await eventually(lambda: len(gateway.jobs) == 1)
        await jetstream.delete_stream("S")
        await jetstream.add_stream(name="S", subjects=["orders.>"])
        await jetstream.publish("orders.new", b"one")
        await eventually(lambda: len(gateway.jobs) == 2)
        await copy.stop()
    await client.close()

    first, second = gateway.jobs.values()
    assert first.values("X-Topic") == [b"orders.new"]
    assert first.values("ce-id") == [b"A%201"]
    assert first.values("ce-source") == [b"/n/S"]
    assert first.values("Content-Type") == [b"application/json"]
    assert second.values("ce-id")[0].endswith(b".1")


async def test_an_event_of_a_stream_that_is_given_again_says_so(server: NatsServer) -> None:
    client = await nats_systems.connected(server)
    await client.jetstream().add_stream(name="S", subjects=["orders"])
    source = kinds.build("nats", "n", {"url": server.url, "topics": "orders", "stream": "S"})
    async with source.connect() as feed:
        await client.jetstream().publish("orders", b"one")
        [before] = await feed.take(1)
        await before.give_back()
        [again] = await feed.take(1)
    await client.close()

    assert (before.event.redelivered, again.event.redelivered) == (False, True)
    assert before.event.id == again.event.id


async def test_a_stream_that_is_not_there_is_told(server: NatsServer) -> None:
    source = kinds.build("nats", "n", {"url": server.url, "topics": "orders", "stream": "S"})

    with pytest.raises(BadInput, match=r"stream: nats://.* has no stream S; create it"):
        async with source.connect():
            pass


async def test_topics_that_no_message_of_the_stream_has_are_told(server: NatsServer) -> None:
    client = await nats_systems.connected(server)
    await client.jetstream().add_stream(name="S", subjects=["orders.>"])
    await client.close()

    with pytest.raises(BadInput, match=r"topics: S keeps nothing of bills\.\*; it has orders\.>"):
        async with kinds.build("nats", "n", {"url": server.url, "topics": "bills.*", "stream": "S"}).connect():
            pass


async def refused(told: str, url: str, **keys: str) -> None:
    with pytest.raises(BadInput, match=told):
        async with kinds.build("nats", "n", {"url": url, "topics": "a", **keys}).connect():
            pass


async def test_a_server_without_jetstream_is_told(tmp_path: Path) -> None:
    with running(tmp_path / "nats", jetstream=False) as server:
        await refused(r"stream: .* has no JetStream; switch it on there, or leave stream out", server.url, stream="S")


@pytest.mark.parametrize("stream", ["", "S"])
async def test_a_right_that_is_missing_is_told(stream: str, tmp_path: Path) -> None:
    """The server says so beside what it was asked: a subscription looks as if nothing came."""
    user = '{ user: "a", password: "b", permissions: { subscribe: ["ok"], publish: ["ok"] } }'
    with running(tmp_path / "nats", also=f"authorization {{ users: [{user}] }}\nno_auth_user: a") as server:
        await refused(r"a right is missing .*; see credentials_path and topics", server.url, stream=stream)


async def test_a_server_that_is_not_trusted_or_does_not_encrypt_is_told(tmp_path: Path) -> None:
    shown = await asyncio.to_thread(self_signed, tmp_path)
    with running(tmp_path / "tls", also=f'tls {{ cert_file: "{shown.crt}", key_file: "{shown.key}" }}') as server:
        await refused(r"its certificate is not trusted .*; see ca_path", server.url)
    with running(tmp_path / "plain") as server:
        await refused(r"it does not speak TLS there; see url and ca_path", server.url.replace("nats:", "tls:"))


@pytest.mark.parametrize("key", ["credentials_path", "ca_path"])
def test_files_that_are_not_there_are_told_by_their_key(key: str) -> None:
    with pytest.raises(BadInput, match=f"source n: {key}: /nowhere: No such file"):
        kinds.build("nats", "n", {"topics": "a", key: "/nowhere"})


async def test_wrong_credentials_are_told_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "nats-user").write_text("somebody")
    (tmp_path / "nats-password").write_text("s3cret")
    with running(tmp_path / "nats", also='authorization { user: "a", password: "b" }') as server:
        asked = {"url": server.url, "topics": "orders", "credentials_path": str(tmp_path)}
        with pytest.raises(BadInput, match="it refuses the credentials") as told:
            async with kinds.build("nats", "n", asked).connect():
                pass
    assert "s3cret" not in str(told.value)


async def test_headers_reach_the_function_byte_for_byte(server: NatsServer, tmp_path: Path) -> None:
    """By a real gateway, through its queue's acceptance and at once."""
    functions = MemoryFunctions()
    functions.deploy("echo", "size.größe", com__springtide__trigger__delivery="sync")
    async with replica() as echo, data_plane(broker=server.settings) as gateway:
        gateway.publish("echo", [echo])
        connections = GatewayConnections(httpx.URL(f"http://127.0.0.1:{gateway.port}"))
        deps = ConnectorDeps(
            sources=[
                NamedSource(
                    name="n",
                    source=kinds.build("nats", "n", {"url": server.url, "topics": "size.>"}),
                    content_type="text/plain",
                )
            ],
            endpoints=functions,
            caller=GatewayCaller(connections, timeout_s=30.0),
            clock=SystemClock(),
            registry=CollectorRegistry(),
        )
        read = Reading(ConnectorSettings(), deps)
        tasks = [asyncio.create_task(work) for work in (read.follow(), read.run())]
        client = await nats_systems.connected(server)
        sample = deps.registry.get_sample_value
        await eventually(lambda: sample("springtide_connector_source_connected", {"source": "n"}) == 1)
        await client.publish("size.größe", b"\x00\xff")
        await eventually(lambda: bool(echo.received) and bool(echo.received[-1].body))
        functions.deploy("echo", "size.größe")
        await eventually(lambda: bool(read.journal.newest(1)))
        await client.publish("size.größe", b"stored")
        await eventually(lambda: read.journal.newest(1)[0].outcome == "stored")
        read.stop()
        await tasks[1]
        tasks[0].cancel()
        await connections.aclose()
        await client.close()

    [received] = echo.received
    told: Any = dict(
        line.split(b": ", 1) for line in received.head.rstrip(b"\r\n").split(b"\r\n")[1:] if b"connector" not in line
    )
    assert received.line == b"POST / HTTP/1.1"
    assert received.body == b"\x00\xff"
    assert received.values("X-Connector") == ["connector-sdk", "nats-connector"]
    assert told[b"X-Topic"] == "size.größe".encode()
    assert told[b"Content-Type"] == b"text/plain"
    assert told[b"ce-specversion"] == b"1.0"
    assert told[b"ce-source"] == b"/n"
    assert b"Authorization" not in told
