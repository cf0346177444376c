"""What only Postgres has: publications and slots, whole transactions, one reader of a slot, logins."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from springtide.runtime.errors import BadInput, Unavailable
from springtide.triggers.source import Received, Source
from springtide.triggers.sources import kinds
from tests import postgres_server
from tests.certificates import self_signed
from tests.fakes.events import MemoryFunctions, MemoryGateway
from tests.free_ports import free_port
from tests.triggers.contract.postgres_systems import PostgresSystem, remove_slot
from tests.triggers.reading import eventually, first, reading


class Database(PostgresSystem):
    def source(self, **keys: str) -> Source:
        asked = {**self.asked, **keys}
        return kinds.build(asked.pop("kind"), "pg", asked)

    def run(self, *statements: str, user: str = postgres_server.USER) -> list[tuple[object, ...]]:
        """What the last one answers."""
        with self.server.connect(self.database, user) as connection:
            cursor = [connection.execute(each.encode()) for each in statements][-1]
            return cursor.fetchall() if cursor.description else []

    def role(self, options: str) -> str:
        name = f"{self.database}_{options.split(maxsplit=1)[0].lower()}"
        self.run(f"CREATE ROLE {name} LOGIN {options}")
        return name

    async def told(self, **keys: str) -> str:
        """Why it cannot be connected to."""
        with pytest.raises(BadInput) as error:
            async with self.source(**keys).connect():
                pass
        return str(error.value)


@pytest.fixture
@contextlib.asynccontextmanager
async def database() -> AsyncIterator[Database]:
    made = Database(postgres_server.shared())
    made.run("CREATE TABLE orders (id int PRIMARY KEY, note text)", "CREATE TABLE loose (note text)")
    try:
        yield made
    finally:
        await remove_slot(made)


def ids(events: list[Received]) -> list[str]:
    return [each.event.id for each in events]


async def test_every_kind_of_change_is_told_with_the_headers_of_the_contract(database: Database) -> None:
    gateway, functions = MemoryGateway(), MemoryFunctions()
    functions.deploy("bill", "orders:insert, orders:update, orders:delete, orders:truncate")
    async with reading(database.source(topics="orders"), gateway, functions) as copy:
        database.run(
            "INSERT INTO orders VALUES (1, 'one')",
            "UPDATE orders SET note = 'two'",
            "UPDATE orders SET id = 7",
            "DELETE FROM orders",
            "TRUNCATE orders",
        )
        await eventually(lambda: len(gateway.jobs) == 5)
        await copy.stop()

    bodies = [json.loads(call.body) for call in gateway.calls]
    assert Counter((body["action"], json.dumps(body["data"]), json.dumps(body["dataOld"])) for body in bodies) == {
        ("insert", '{"id": 1, "note": "one"}', "{}"): 1,
        ("update", '{"id": 1, "note": "two"}', "{}"): 1,
        ("update", '{"id": 7, "note": "two"}', '{"id": 1}'): 1,
        ("delete", "{}", '{"id": 7}'): 1,
        ("truncate", "{}", "{}"): 1,
    }
    call, body = gateway.calls[0], bodies[0]
    assert call.headers[:5] == [
        (b"Content-Type", b"application/json"),
        (b"X-Topic", f"orders:{body['action']}".encode()),
        (b"X-Connector", b"connector-sdk"),
        (b"X-Connector", b"postgres-connector"),
        (b"User-Agent", b"springtide/postgres-connector"),
    ]
    assert [header for header in call.headers if header[0].startswith((b"X-Event", b"X-Message"))] == [
        (b"X-Event-Action", body["action"].encode()),
        (b"X-Event-Table", b"orders"),
        (b"X-Event-Id", body["id"].encode()),
        (b"X-Message-Id", body["id"].encode()),
    ]
    assert call.values("ce-source") == [f"/pg/{database.database}".encode()]


async def test_rows_of_a_transaction_that_is_not_wholly_delivered_come_again_the_same(database: Database) -> None:
    source = database.source(topics="orders")
    async with source.connect() as feed:
        database.run("INSERT INTO orders SELECT i FROM generate_series(1, 100) i")
        before = await first(feed, 100)
        for each in before[:99]:
            await each.taken()
    async with source.connect() as feed:
        again = await first(feed, 100)
        for each in again:
            await each.taken()
        database.run("INSERT INTO orders VALUES (101)")
        [after] = await first(feed, 1)

    assert ids(again) == ids(before)
    assert [each.event.body for each in again] == [each.event.body for each in before]
    assert len({*ids(before), after.event.id}) == 101


async def test_what_is_given_back_is_given_again_and_what_came_after_it_is_read_on(database: Database) -> None:
    async with database.source(topics="orders").connect() as feed:
        database.run("INSERT INTO orders VALUES (1)")
        [one] = await first(feed, 1)
        database.run("INSERT INTO orders VALUES (2)")
        [two] = await first(feed, 1)
        await two.taken()
        await one.give_back()
        [again] = await first(feed, 1)

    assert again.event.id == one.event.id != two.event.id


async def test_a_slot_is_advanced_when_nothing_is_told(database: Database) -> None:
    """Else the server would keep the log of all else that it does."""
    question = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database()"
    async with database.source(topics="orders").connect():
        before = database.run(question)
        database.run("INSERT INTO loose SELECT 'x' FROM generate_series(1, 100)")
        await eventually(lambda: database.run(question) != before)


async def test_a_server_that_forgot_how_far_a_slot_was_advanced_repeats_nothing(database: Database) -> None:
    source = database.source(topics="orders")
    async with source.connect() as feed:
        database.run("INSERT INTO orders SELECT i FROM generate_series(1, 10) i", "CHECKPOINT")
        for each in await first(feed, 10):
            await each.taken()
    await database.break_connections()
    database.run("INSERT INTO orders VALUES (11)")
    async with source.connect() as feed:
        [told] = await first(feed, 1)

    assert json.loads(told.event.body)["data"]["id"] == 11


async def test_a_large_transaction_is_read_a_piece_at_a_time(database: Database) -> None:
    seen: list[int] = []
    async with database.source(topics="orders").connect() as feed:
        database.run("INSERT INTO orders SELECT i FROM generate_series(1, 2500) i", "INSERT INTO orders VALUES (0)")
        while len(seen) < 2501:
            for each in await feed.take(1000):
                seen.append(json.loads(each.event.body)["data"]["id"])
                await each.taken()

    assert seen == [*range(1, 2501), 0]


async def test_what_no_topic_names_is_passed_over(database: Database) -> None:
    database.run("CREATE PUBLICATION ofltd FOR TABLE orders, loose WITH (publish = 'insert')")
    async with database.source(topics="orders:insert").connect() as feed:
        database.run("INSERT INTO loose VALUES ('a')", "INSERT INTO orders VALUES (1)")
        [told] = await first(feed, 1)

    assert told.event.topic == "orders:insert"


async def test_a_value_kept_apart_that_did_not_change_is_named(database: Database) -> None:
    database.run("ALTER TABLE orders ALTER note SET STORAGE EXTERNAL")
    async with database.source(topics="orders").connect() as feed:
        database.run("INSERT INTO orders VALUES (1, repeat('x', 9000))", "UPDATE orders SET id = 2")
        [_, told] = await first(feed, 2)

    body = json.loads(told.event.body)
    assert (body["data"], body["unchanged"]) == ({"id": 2}, ["note"])


async def test_one_copy_at_a_time_reads_a_slot_and_another_takes_over(database: Database) -> None:
    one, other = database.source(topics="orders"), database.source(topics="orders")
    async with contextlib.AsyncExitStack() as waiting:
        async with one.connect() as feed:
            database.run("INSERT INTO orders VALUES (1)")
            before = await first(feed, 1)
            waits = asyncio.create_task((await waiting.enter_async_context(other.connect())).take(1))
            database.run("INSERT INTO orders VALUES (2)")
            await first(feed, 1)
            assert not waits.done()
        after = list(await waits)

    assert ids(after) == ids(before)


# What it needs.


async def test_the_publication_tells_no_more_than_is_asked_for(database: Database) -> None:
    async with database.source(topics="loose:insert").connect():
        database.run("INSERT INTO loose VALUES ('a')", "UPDATE loose SET note = 'b'")

    assert database.run("SELECT pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_publication") == [
        (True, False, False, False)
    ]


async def test_what_would_make_updates_fail_is_not_published(database: Database) -> None:
    told = await database.told(topics="loose")

    assert "topics: loose has no primary key" in told
    assert 'ALTER TABLE "loose" REPLICA IDENTITY FULL;' in told
    database.run("ALTER TABLE loose REPLICA IDENTITY FULL")
    async with database.source(topics="loose").connect():
        pass


@pytest.mark.parametrize(
    ("before", "keys", "words"),
    [
        pytest.param([], {"topics": "nowhere"}, "topics: there is no table nowhere", id="no such table"),
        pytest.param([], {}, "there is no ofltd; name tables in topics, or run CREATE PUBLICATION", id="of all tables"),
        pytest.param(
            ["CREATE PUBLICATION ofltd FOR TABLE loose"],
            {"topics": "orders"},
            'ALTER PUBLICATION "ofltd" ADD TABLE "orders";',
            id="a table that is not published",
        ),
        pytest.param(
            ["CREATE PUBLICATION ofltd FOR TABLE orders WITH (publish = 'insert')"],
            {"topics": "orders:insert, orders:update"},
            "ALTER PUBLICATION \"ofltd\" SET (publish = 'insert, update');",
            id="an action that is not published",
        ),
        pytest.param(
            ["SELECT pg_create_logical_replication_slot(current_database() || '_other', 'test_decoding')"],
            {"topics": "orders", "slot": "{database}_other"},
            "is one of the plugin test_decoding; name another one",
            id="a slot of another plugin",
        ),
    ],
)
async def test_what_is_missing_is_told_with_its_remedy(
    database: Database, before: list[str], keys: dict[str, str], words: str
) -> None:
    if before:
        database.run(*before)
    keys = {key: value.format(database=database.database) for key, value in keys.items()}
    try:
        assert words in await database.told(**keys)
    finally:
        database.run(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
            "WHERE slot_name = current_database() || '_other'"
        )


async def test_whoever_may_not_is_told_what_somebody_has_to_run(database: Database) -> None:
    plain, reader = database.role("NOREPLICATION"), database.role("REPLICATION")

    told = await database.told(topics="orders", user=plain)
    assert 'run CREATE PUBLICATION "ofltd" FOR TABLE "orders" WITH (publish = \'insert, update' in told
    database.run('CREATE PUBLICATION "ofltd" FOR TABLE "orders"')
    told = await database.told(topics="orders", user=plain)
    assert f'ALTER ROLE "{plain}" REPLICATION;' in told
    async with database.source(topics="orders", user=reader).connect() as feed:
        database.run("INSERT INTO orders VALUES (1)")
        [received] = await first(feed, 1)
        await received.taken()


async def test_who_may_make_no_slot_may_not_read_one_either(database: Database) -> None:
    plain = database.role("NOREPLICATION")
    async with database.source(topics="orders").connect():
        pass

    assert f'ALTER ROLE "{plain}" REPLICATION;' in await database.told(topics="orders", user=plain)


async def test_a_slot_that_is_gone_is_told(database: Database) -> None:
    async with database.source(topics="orders", poll="50ms").connect() as feed:
        await eventually(lambda: _dropped(database))
        database.run("INSERT INTO orders VALUES (1)")
        with pytest.raises(Unavailable, match=r"does not exist|is gone"):
            await feed.take(1)


def _dropped(database: Database) -> bool:
    with contextlib.suppress(psycopg.errors.ObjectInUse):
        database.run(f"SELECT pg_drop_replication_slot('{database.slot}')")
        return True
    return False


async def test_wrong_logins_are_told_and_not_shown(database: Database, tmp_path: Path) -> None:
    told = await database.told(topics="orders", user="nobody_here")
    assert "does not exist" in told
    told = await database.told(topics="orders", url=f"127.0.0.1:{database.server.port}/nowhere")
    assert 'database "nowhere" does not exist' in told
    guarded = database.role(f"REPLICATION PASSWORD 's3cret' IN ROLE {postgres_server.WITH_PASSWORD}")
    database.run("CREATE PUBLICATION ofltd FOR TABLE orders")
    password = tmp_path / "password"
    password.write_text("wr0ng\n")
    for keys in ({}, {"password_path": str(password)}):
        told = await database.told(topics="orders", user=guarded, **keys)
        assert "it refuses the credentials" in told
        assert "see user, password_path and sslmode" in told
        assert "wr0ng" not in told
    password.write_text("s3cret\n")
    async with database.source(topics="orders", user=guarded, password_path=str(password)).connect():
        pass


async def test_a_server_that_is_not_there_is_tried_again(database: Database) -> None:
    with pytest.raises(Unavailable, match="refused"):
        async with database.source(topics="orders", url=f"127.0.0.1:{free_port()}").connect():
            pass


async def test_a_server_that_is_not_trusted_or_does_not_encrypt_is_told(tmp_path: Path) -> None:
    shown, other = self_signed(tmp_path), self_signed(tmp_path, "other")

    async def encrypting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        with contextlib.suppress(OSError):
            await writer.start_tls(shown.context())
        writer.close()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"N")
        writer.close()

    async def refused(server: asyncio.Server, told: str, **keys: str) -> None:
        url = f"postgresql://127.0.0.1:{server.sockets[0].getsockname()[1]}/shop"
        with pytest.raises(BadInput, match=told):
            async with kinds.build("postgres", "pg", {"topics": "a", "user": "me", "url": url, **keys}).connect():
                pass

    async with await asyncio.start_server(encrypting, "127.0.0.1", 0) as server:
        await refused(server, "certificate verify failed; see sslmode, ca_path and url", ca_path=str(other.crt))
    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        await refused(server, "does not support SSL.*; see sslmode, ca_path and url", sslmode="require")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"topics": "a", "ca_path": "/nowhere"}, "ca_path: /nowhere: No such file"),
        ({"topics": "a", "channels": "b"}, "topics: write either topics"),
        ({"topics": "a:upsert"}, "topics: 'a:upsert' is no topic"),
        ({"channels": "x" * 64}, "channels: .* is longer than 63 bytes"),
        ({"url": "postgresql://u:s3cret@host/db"}, "url: it holds a user or a password; put them into"),
        ({"url": "mysql://host"}, "url: 'mysql://host' is no address"),
        ({"url": "postgresql://host:port"}, "url: it cannot be read; write postgresql://host:port"),
        ({"slot": "My-Slot"}, "slot: 'My-Slot' is no name"),
        ({"publication": "a; drop"}, "publication: 'a; drop' is no name"),
        ({"sslmode": "maybe"}, "sslmode: 'maybe' is none of"),
        ({"poll": "1ms"}, "poll: 0.001 is out of range"),
        ({"password_path": "/nowhere"}, "password_path: /nowhere: No such file"),
    ],
)
def test_what_is_wrong_with_its_keys_is_told(keys: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told) as error:
        kinds.build("postgres", "pg", keys)
    assert "s3cret" not in str(error.value)
