"""What only MQTT has: wildcards, properties, sessions, and acknowledgements in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from springtide.runtime.errors import BadInput, Unavailable
from springtide.triggers.source import Source
from springtide.triggers.sources import kinds
from springtide.triggers.sources.mqtt import MANY_LOSSES
from tests.fakes.events import MemoryFunctions, MemoryGateway
from tests.triggers.contract.mqtt_systems import MqttServer, running
from tests.triggers.reading import eventually, reading


def source(server: MqttServer, **keys: str) -> Source:
    return kinds.build("mqtt", "m", {"url": server.url, "topics": "orders/#"} | keys)


@pytest.fixture
@asynccontextmanager
async def server(tmp_path: Path) -> AsyncIterator[MqttServer]:
    with running(tmp_path / "mqtt") as server:
        yield server


@pytest.fixture
def functions() -> MemoryFunctions:
    made = MemoryFunctions()
    made.deploy("bill", "orders/new")
    made.deploy("all", "orders/#")
    return made


async def test_topic_pattern_and_properties_are_told(server: MqttServer, functions: MemoryFunctions) -> None:
    gateway = MemoryGateway()
    async with reading(source(server), gateway, functions) as copy:
        async with aiomqtt.Client("127.0.0.1", server.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            said = Properties(PacketTypes.PUBLISH)
            said.ContentType = "application/json"
            said.UserProperty = [("specversion", "1.0"), ("id", "A 1"), ("type", "order.new"), ("X-Callback-Url", "x")]
            await client.publish("orders/new", b"\xff1", qos=1, properties=said)
            await client.publish("orders/größe", b"two", qos=0)
        await eventually(lambda: len(gateway.jobs) == 3)
        await copy.stop()

    calls = {(call.function, call.body): dict(call.headers) for call in gateway.calls}
    assert set(calls) == {("bill", b"\xff1"), ("all", b"\xff1"), ("all", b"two")}
    told = calls["bill", b"\xff1"]
    assert told[b"Content-Type"] == b"application/json"
    assert (told[b"ce-id"], told[b"ce-type"], told[b"ce-source"]) == (b"A%201", b"order.new", b"/m")
    assert b"X-Callback-Url" not in told
    assert calls["all", b"two"][b"X-Topic"] == "orders/größe".encode()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_the_server_keeps_what_comes_meanwhile(
    version: str, server: MqttServer, functions: MemoryFunctions
) -> None:
    gateway = MemoryGateway()
    async with reading(source(server, version=version), gateway, functions) as copy:
        await copy.stop()
    async with aiomqtt.Client("127.0.0.1", server.port) as client:
        await client.publish("orders/new", b"one", qos=1)
    async with reading(source(server, version=version), gateway, functions) as copy:
        await eventually(lambda: len(gateway.jobs) == 2)
        await copy.stop()


async def test_what_is_retained_comes_once(server: MqttServer, functions: MemoryFunctions) -> None:
    gateway = MemoryGateway()
    async with aiomqtt.Client("127.0.0.1", server.port) as client:
        await client.publish("orders/new", b"kept", qos=1, retain=True)
    for _ in range(2):
        async with reading(source(server), gateway, functions) as copy:
            await eventually(lambda: len(gateway.jobs) == 2)
            await copy.stop()
    assert len(gateway.jobs) == 2


async def test_acknowledgements_keep_the_order(server: MqttServer) -> None:
    """What is done with before the one ahead of it is told of with that one."""
    async with source(server).connect() as feed:
        async with aiomqtt.Client("127.0.0.1", server.port) as client:
            for body in (b"one", b"two"):
                await client.publish("orders/new", body, qos=1)
        received = [await one_of(feed), await one_of(feed)]
        await received[1].taken()
    async with source(server).connect() as feed:
        again = [await one_of(feed), await one_of(feed)]
        assert [(one.event.body, one.event.redelivered) for one in again] == [(b"one", True), (b"two", True)]
        with pytest.raises(Unavailable, match="the connection is lost"):
            await received[0].taken()
        await again[1].taken()
        await again[0].taken()
    async with source(server).connect() as feed:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(feed.take(1), 0.5)


async def one_of(feed):  # type: ignore[no-untyped-def]
    [one] = await feed.take(1)
    return one


async def test_wrong_passwords_are_told_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wr0ng")
    with running(tmp_path / "mqtt", "allow_anonymous false") as server:
        for version in ("5", "3.1.1"):
            keys = {"user": "me", "password_path": str(tmp_path / "password"), "version": version}
            with pytest.raises(BadInput, match=r"it refuses the credentials; see user and password_path") as told:
                async with source(server, **keys).connect():
                    pass
            assert "wr0ng" not in str(told.value)


async def test_a_server_that_grants_less_than_is_asked_is_told_at_the_start(tmp_path: Path) -> None:
    """Else events could be lost."""
    with running(tmp_path / "mqtt", "allow_anonymous true\nmax_qos 0") as server:
        with pytest.raises(BadInput, match=r"qos: .* grants orders/# only QoS 0, which can lose events; write qos: 0"):
            async with source(server).connect():
                pass
        async with source(server, qos="0").connect():
            pass


async def test_two_copies_that_take_the_connection_from_each_other_are_told_why(server: MqttServer) -> None:
    first, told = source(server), []
    for _ in range(MANY_LOSSES):
        async with first.connect() as feed, source(server).connect():
            with pytest.raises(Unavailable) as lost:
                await feed.take(1)
            told.append(str(lost.value))

    assert told[-1].endswith("give each copy a client_id of its own, and a group; springtide-m is this one's")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, r"topics: there is none; write topics: \[sensors/#\]"),
        ({"topics": "a/#/b"}, "topics: 'a/#/b' is no topic"),
        ({"topics": "a+/b"}, "topics: 'a\\+/b' is no topic"),
        ({"topics": "$share/g/a"}, "is no topic"),
        ({"topics": "a", "url": "mqtt://me:s3cret@host"}, "url: it holds a user or a password"),
        ({"topics": "a", "url": "http://host"}, "url: 'http://host' is no address"),
        ({"topics": "a", "qos": "2"}, "qos: 2 is out of range; it must be between 0 and 1"),
        ({"topics": "a", "version": "4"}, "version: '4' is neither 5 nor 3.1.1"),
        ({"topics": "a", "group": "g"}, "client_id: there is none; with a group each copy has one of its own"),
        ({"topics": "a", "url": "mqtts://host", "ca_path": "/nowhere"}, "ca_path: /nowhere: No such file"),
    ],
)
def test_what_is_wrong_with_its_keys_is_told(keys: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told) as error:
        kinds.build("mqtt", "m", keys)
    assert "s3cret" not in str(error.value)
