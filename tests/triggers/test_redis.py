"""What only Redis has: fields of entries, entries of copies that died, access lists."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from springtide.runtime.errors import BadInput
from springtide.triggers.source import Source
from springtide.triggers.sources import kinds
from tests.fakes.events import MemoryFunctions, MemoryGateway
from tests.triggers.contract.redis_systems import RedisServer, running
from tests.triggers.reading import eventually, reading


def source(server: RedisServer, **keys: str) -> Source:
    return kinds.build("redis", "r", {"url": server.url} | keys)


@pytest.fixture
@asynccontextmanager
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    with running(tmp_path / "redis") as server:
        yield server


async def test_fields_of_an_entry_are_body_headers_and_attributes(server: RedisServer) -> None:
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "orders")
    client = Redis.from_url(server.url)
    async with reading(source(server, topics="orders", body="data"), gateway, functions) as copy:
        fields = {
            "data": b"\xff1",
            "shop": "größe",
            "content-type": "application/json",
            "ce-type": "order.new",
            "a b": "c",
        }
        entry = await client.xadd("orders", fields)  # type: ignore[arg-type] # it takes both
        await client.xadd("orders", {"other": "no body"})
        await eventually(lambda: len(copy.reading.journal.newest(9)) == 2)
        await copy.stop()
    await client.aclose()

    [call] = gateway.calls
    told = dict(call.headers)
    assert call.body == b"\xff1"
    assert told[b"Content-Type"] == b"application/json"
    assert told[b"X-Topic"] == b"orders"
    assert told[b"ce-id"] == told[b"X-Redis-Id"] == entry
    assert told[b"ce-source"] == b"/r/orders"
    assert told[b"ce-type"] == b"order.new"
    assert told[b"X-Redis-shop"] == "größe".encode()
    assert [name for name in told if name.startswith(b"X-Redis")] == [b"X-Redis-Id", b"X-Redis-shop"]


async def test_entries_of_a_copy_that_died_are_taken_over(server: RedisServer) -> None:
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "orders")
    client = Redis.from_url(server.url)
    await client.xadd("orders", {"body": "one"})
    await client.xgroup_create("orders", "springtide", id="0")
    await client.xreadgroup("springtide", "dead", {"orders": ">"})
    await client.execute_command(
        "XCLAIM", "orders", "springtide", "dead", "0", *await _pending(client), "IDLE", "60001"
    )
    async with reading(source(server, topics="orders"), gateway, functions) as copy:
        await eventually(lambda: len(gateway.jobs) == 1)
        await copy.stop()

    assert await _pending(client) == []
    await client.aclose()


async def test_what_a_name_was_given_and_never_came_is_given_again_at_once(server: RedisServer) -> None:
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "orders")
    client = Redis.from_url(server.url)
    await client.xadd("orders", {"body": "one"})
    await client.xgroup_create("orders", "springtide", id="0")
    await client.xreadgroup("springtide", "me", {"orders": ">"})
    async with reading(source(server, topics="orders", consumer="me"), gateway, functions) as copy:
        await client.xadd("orders", {"body": "two"})
        await eventually(lambda: len(gateway.jobs) == 2)
        await copy.stop()

    assert gateway.bodies("bill") == [b"one", b"two"]
    await client.aclose()


async def _pending(client: Redis) -> list[bytes]:
    found = await client.xpending_range("orders", "springtide", "-", "+", 10)
    return [bytes(each["message_id"]) for each in found]  # type: ignore[arg-type] # of which it is told nothing


async def test_a_copy_that_stops_leaves_neither_entries_nor_its_name(server: RedisServer) -> None:
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "orders")
    client = Redis.from_url(server.url)
    async with reading(source(server, topics="orders"), gateway, functions) as copy:
        await client.xadd("orders", {"body": "one"})
        await eventually(lambda: len(gateway.jobs) == 1)
        await copy.stop()

    assert await client.xinfo_consumers("orders", "springtide") == []
    await client.aclose()


async def test_patterns_of_channels_are_told_with_the_channel(server: RedisServer) -> None:
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "news.*")
    client = Redis.from_url(server.url)
    async with reading(source(server, channels="news.*"), gateway, functions) as copy:
        await client.publish("news.today", "hello")
        await eventually(lambda: len(gateway.jobs) == 1)
        await copy.stop()
    await client.aclose()

    [call] = gateway.calls
    assert call.values("X-Topic") == [b"news.today"]


async def test_wrong_passwords_are_told_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wr0ng\n")
    with running(tmp_path / "redis", "--requirepass", "s3cret") as server:
        for keys, why in (
            ({}, "wants a password"),
            ({"password_path": str(tmp_path / "password")}, "refuses the cred"),
        ):
            with pytest.raises(BadInput, match=rf"/0: it {why}\w*; see user and password_path$"):
                async with source(server, topics="orders", **keys).connect():
                    pass
        (tmp_path / "password").write_text("s3cret\n")
        async with source(server, topics="orders", password_path=str(tmp_path / "password")).connect():
            pass


async def test_what_the_settings_name_and_the_server_has_not_is_told_at_the_start(
    server: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("s3cret")
    client = Redis.from_url(server.url)
    await client.execute_command("ACL", "SETUSER", "me", "on", ">s3cret", "~orders", "&news", "+@all", "-xreadgroup")
    await client.aclose()
    shown = {"user": "me", "password_path": str(tmp_path / "password")}
    wrong = [
        ({"topics": "orders", "url": server.url.replace("/0", "/99")}, "url: .*/99: it has no database of that number"),
        ({"channels": "news", "url": server.url.replace("/0", "/99")}, "url: .*/99: it has no database of that number"),
        ({"topics": "bills", **shown}, "me lacks a right .*; see user"),
        ({"channels": "bills", **shown}, "me lacks a right .*; see user"),
        ({"topics": "orders", **shown}, "me lacks a right .*xreadgroup.*; see user"),
    ]
    for keys, told in wrong:
        with pytest.raises(BadInput, match=told):
            async with source(server, **keys).connect() as feed:
                await feed.take(1)


async def test_a_key_that_is_no_stream_is_told(server: RedisServer) -> None:
    client = Redis.from_url(server.url)
    await client.set("orders", "a text")
    await client.aclose()

    with pytest.raises(BadInput, match="topics: orders is there and is no stream"):
        async with source(server, topics="orders").connect():
            pass


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "topics: write either topics, which are streams, or channels"),
        ({"topics": "a", "channels": "b"}, "topics: write either"),
        ({"url": "redis://:s3cret@host", "topics": "a"}, "url: it holds a user or a password; put them into"),
        ({"url": "http://host", "topics": "a"}, "url: 'http://host' is no address"),
        ({"url": "redis://host:port", "topics": "a"}, "url: it cannot be read"),
        ({"topics": "a", "claim": "1s"}, "claim: 1 is out of range"),
        ({"topics": "a", "begin": "late"}, "begin: 'late' is neither all nor new"),
        ({"topics": "a", "password_path": "/nowhere"}, "password_path: /nowhere: No such file"),
        ({"topics": "a", "ca_path": "/nowhere"}, "ca_path: /nowhere: No such file"),
    ],
)
def test_what_is_wrong_with_its_keys_is_told(keys: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told) as error:
        kinds.build("redis", "r", keys)
    assert "s3cret" not in str(error.value)
