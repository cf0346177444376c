"""Messages of logical decoding, byte by byte, and what is made of them."""

from __future__ import annotations

import contextlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.triggers.sources.postgres import rows
from springtide.triggers.sources.postgres.pgoutput import (
    Action,
    Begin,
    Change,
    Column,
    Commit,
    Damaged,
    Decoder,
    Lsn,
    Row,
    Table,
    lsn_of,
    lsn_text,
)
from springtide.wire.events.event import Event

ID, NAME, BIG = Column("id", 23, is_key=True), Column("name", 25, is_key=False), Column("big", 25, is_key=False)
ORDERS = Table("public", "orders", (ID, NAME, BIG))
OID = 16_385
BEGIN = Begin(Lsn(0x1_0000_00A0), 1_700_000_000_123_456)


def relation(table: Table = ORDERS) -> bytes:
    columns = b"".join(
        struct.pack("!b", column.is_key) + column.name.encode() + b"\0" + struct.pack("!Ii", column.type_oid, -1)
        for column in table.columns
    )
    names = table.schema.encode() + b"\0" + table.name.encode() + b"\0"
    return b"R" + struct.pack("!I", OID) + names + b"d" + struct.pack("!h", len(table.columns)) + columns


def row(*values: str | bytes | None) -> bytes:
    """Bytes are a kind without a value."""
    told = [
        b"n" if value is None else value if isinstance(value, bytes) else b"t" + sized(value.encode())
        for value in values
    ]
    return struct.pack("!h", len(values)) + b"".join(told)


def sized(data: bytes) -> bytes:
    return struct.pack("!i", len(data)) + data


def message(kind: bytes, *parts: bytes) -> bytes:
    return kind + struct.pack("!I", OID) + b"".join(parts)


def told(*messages: bytes) -> Change:
    decoder = Decoder()
    assert decoder.told(relation()) == ()
    [change] = [change for each in messages for change in decoder.told(each)]  # type: ignore[union-attr]
    assert isinstance(change, Change)
    return change


def test_begin_and_commit_tell_where_and_when() -> None:
    begin = b"B" + struct.pack("!qqi", 0xA0, 1_000_001, 7)
    commit = b"C" + struct.pack("!bqqq", 0, 0xA0, 0xB8, 1_000_001)

    assert Decoder().told(begin) == Begin(Lsn(0xA0), 946_684_801_000_001)
    assert Decoder().told(commit) == Commit(Lsn(0xB8))


def test_an_insert_has_the_new_row() -> None:
    change = told(message(b"I", b"N", row("1", "größe", None)))

    assert change == Change(table=ORDERS, action=Action.INSERT, new={ID: "1", NAME: "größe", BIG: None})


@pytest.mark.parametrize(
    ("parts", "new", "old", "unchanged"),
    [
        pytest.param([b"N", row("1", "a", "b")], {ID: "1", NAME: "a", BIG: "b"}, {}, (), id="nothing of the old row"),
        pytest.param(
            [b"K", row("1", None, None), b"N", row("2", "a", "b")],
            {ID: "2", NAME: "a", BIG: "b"},
            {ID: "1"},
            (),
            id="the old key, and no other column of it",
        ),
        pytest.param([b"N", row("1", "a", b"u")], {ID: "1", NAME: "a"}, {}, ("big",), id="a large value kept apart"),
        pytest.param(
            [b"O", row("1", "a", "big"), b"N", row("1", b"u", b"u")],
            {ID: "1", NAME: "a", BIG: "big"},
            {ID: "1", NAME: "a", BIG: "big"},
            (),
            id="the old row tells what did not change",
        ),
    ],
)
def test_an_update_has_what_is_known_of_both_rows(
    parts: list[bytes], new: Row, old: Row, unchanged: tuple[str, ...]
) -> None:
    change = told(message(b"U", *parts))

    assert change == Change(table=ORDERS, action=Action.UPDATE, new=new, old=old, unchanged=unchanged)
    assert list(change.new) == list(new)


def test_a_delete_has_the_old_row_or_its_key() -> None:
    assert told(message(b"D", b"K", row("1", None, None))).old == {ID: "1"}
    assert told(message(b"D", b"O", row("1", None, "b"))).old == {ID: "1", NAME: None, BIG: "b"}


def test_a_truncation_is_a_change_of_each_table() -> None:
    change = told(b"T" + struct.pack("!ibI", 1, 0, OID))

    assert change == Change(table=ORDERS, action=Action.TRUNCATE)


def test_a_row_that_is_too_large_is_told_without_it() -> None:
    decoder = Decoder()
    decoder.told(relation())

    assert decoder.told(message(b"I"), whole=False) == (Change(table=ORDERS, action=Action.INSERT, too_large=True),)


def test_a_table_that_was_altered_has_its_new_columns() -> None:
    wider = Table("public", "orders", (*ORDERS.columns, Column("new", 16, is_key=False)))

    change = told(relation(wider), message(b"I", b"N", row("1", None, None, "t")))

    assert change.table == wider


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"Z",
        b"B\0",
        message(b"I", b"N", row("1", "a")),
        message(b"I", b"N", row("1", "a", "b")[:-1]),
        message(b"I", b"K", row("1", "a", "b")),
        message(b"D", b"N", row("1", "a", "b")),
        message(b"I", b"N", row("1", b"b", b"n")),
        message(b"I", b"N", struct.pack("!h", 3) + b"t" + struct.pack("!i", -5)),
        b"I" + struct.pack("!I", OID + 1) + b"N" + row(),
        b"R" + struct.pack("!I", OID) + b"public",
        b"T" + struct.pack("!ib", 2**30, 0),
    ],
)
def test_what_is_no_message_is_refused(damaged: bytes) -> None:
    with pytest.raises(Damaged):
        told(damaged)


@given(st.binary(max_size=60))
def test_any_bytes_are_understood_or_refused(data: bytes) -> None:
    decoder = Decoder()
    decoder.told(relation())
    with contextlib.suppress(Damaged):
        decoder.told(data)


def test_positions_are_written_as_postgres_writes_them() -> None:
    assert lsn_text(Lsn(0x1_0000_00A0)) == "1/A0"
    assert lsn_of("1/A0") == 0x1_0000_00A0


# Topics.


@pytest.mark.parametrize(
    ("topic", "action", "fits"),
    [
        ("orders", Action.DELETE, True),
        ("orders:insert", Action.INSERT, True),
        ("orders:insert", Action.UPDATE, False),
        ("orders:*", Action.TRUNCATE, True),
        ("public.orders:update", Action.UPDATE, True),
        ("sales.orders:update", Action.UPDATE, False),
        ("*:delete", Action.DELETE, True),
        ("invoices", Action.INSERT, False),
    ],
)
def test_a_topic_is_a_table_and_an_action(topic: str, action: Action, fits: bool) -> None:
    assert (rows.wanted(Change(table=ORDERS, action=action), rows.topics(topic)) is not None) is fits


@pytest.mark.parametrize("topic", ["orders:upsert", "a.b.c:insert", "orders:", 'a"b', "x" * 64, ":insert"])
def test_what_is_no_topic_is_told(topic: str) -> None:
    with pytest.raises(ValueError, match="is no topic; write orders, orders:insert"):
        rows.topics(topic)


# Events.


def event(change: Change, topics: str = "") -> Event:
    return rows.event(change, BEGIN, 3, source="/pg/shop", topic=rows.wanted(change, rows.topics(topics)))


def test_an_event_of_a_row_says_what_the_contract_says() -> None:
    told = event(Change(table=ORDERS, action=Action.UPDATE, new={ID: "1", NAME: 'a"ü'}, old={ID: "2"}), "orders")

    assert json.loads(told.body) == {
        "id": "1/A0-3",
        "schema": "public",
        "table": "orders",
        "action": "update",
        "data": {"id": 1, "name": 'a"ü'},
        "dataOld": {"id": 2},
        "commitTime": "2023-11-14T22:13:20.123456Z",
    }
    assert told.headers == (
        ("X-Event-Action", "update"),
        ("X-Event-Table", "orders"),
        ("X-Event-Id", "1/A0-3"),
        ("X-Message-Id", "1/A0-3"),
    )
    assert (told.topic, told.pattern, told.id, told.content_type) == (
        "orders:update",
        "orders",
        "1/A0-3",
        "application/json",
    )
    assert (told.source, told.subject, told.time) == ("/pg/shop", "public.orders", 1_700_000_000.123456)


def test_an_event_says_what_is_not_told() -> None:
    change = Change(table=ORDERS, action=Action.UPDATE, new={ID: "1"}, unchanged=("name",))
    assert json.loads(event(change).body)["unchanged"] == ["name"]

    large = json.loads(event(Change(table=ORDERS, action=Action.INSERT, too_large=True)).body)
    assert (large["tooLarge"], large["data"]) == (True, {})


@pytest.mark.parametrize(
    ("type_oid", "text", "json_text"),
    [
        pytest.param(16, "t", "true", id="a boolean"),
        pytest.param(20, "-9223372036854775808", "-9223372036854775808", id="a whole number"),
        pytest.param(701, "1e+20", "1e+20", id="a floating point"),
        pytest.param(701, "NaN", '"NaN"', id="one that JSON has no number for"),
        pytest.param(701, "-Infinity", '"-Infinity"', id="nor for that"),
        pytest.param(1700, "1.10", '"1.10"', id="a numeric, which is not rounded"),
        pytest.param(3802, '{"a": [1.10]}', '{"a": [1.10]}', id="JSON, as it stands"),
        pytest.param(25, 'a"\n', '"a\\"\\n"', id="a text"),
        pytest.param(1184, "2026-01-01 00:00:00+00", '"2026-01-01 00:00:00+00"', id="anything else"),
        pytest.param(25, None, "null", id="NULL"),
    ],
)
def test_values_are_those_of_json_where_it_has_them(type_oid: int, text: str | None, json_text: str) -> None:
    column = Column("v", type_oid, is_key=False)
    table = Table("public", "t", (column,))

    body = event(Change(table=table, action=Action.INSERT, new={column: text})).body.decode()

    assert f'"data": {{"v": {json_text}}}' in body
    json.loads(body)
