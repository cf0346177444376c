"""What logical decoding tells by its plugin pgoutput, version 1 of its protocol: bytes to values. Pure.

https://www.postgresql.org/docs/15/protocol-logicalrep-message-formats.html. Every value of a row is the text that
Postgres writes of it.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

Lsn = NewType("Lsn", int)
"""A position in the write-ahead log."""

EPOCH_S = 946_684_800
"""Its instants count from 2000."""
HEAD_BYTES = 5
"""Of the message of a row: which kind, and of which table. One that is too large comes without the rest."""
_KEY_COLUMN = 1


class Action(enum.StrEnum):
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    TRUNCATE = "truncate"


class Damaged(ValueError):
    """A message that is none, or one of a kind that was not asked for."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type_oid: int
    is_key: bool


@dataclass(frozen=True, slots=True)
class Table:
    schema: str
    name: str
    columns: tuple[Column, ...]


Row = Mapping[Column, str | None]
"""In the order of columns; None is NULL."""


@dataclass(frozen=True, slots=True)
class Begin:
    """``commit_lsn`` is where the transaction's commit is; ``committed_us`` when, in microseconds since 1970."""

    commit_lsn: Lsn
    committed_us: int


@dataclass(frozen=True, slots=True)
class Commit:
    """``end_lsn``: all of it lies before."""

    end_lsn: Lsn


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Of one row, or of a whole table when that was truncated.

    ``old`` is the row before, of which a table tells as much as its replica identity says: all, the key, or, as long as
    that does not change, nothing.
    """

    table: Table
    action: Action
    new: Row = field(default_factory=dict)
    old: Row = field(default_factory=dict)
    unchanged: tuple[str, ...] = ()
    """Columns whose value is large, kept apart, the same as before, and not told."""
    too_large: bool = False
    """It happened; its row is not told."""


Told = Begin | Commit | tuple[Change, ...]


class Decoder:
    """Of the messages of one session, which tells of each table before its first change."""

    def __init__(self) -> None:
        self._tables: dict[int, Table] = {}

    def __repr__(self) -> str:
        return f"<Decoder of {len(self._tables)} tables>"

    def told(self, message: bytes, *, whole: bool = True) -> Told:
        """Nothing where it tells nothing of a row. Not ``whole``: its first HEAD_BYTES. Raises Damaged."""
        reader = _Reader(message)
        kind = reader.take(1)
        if kind == b"B":
            commit_lsn, at = reader.unpack("!qq")
            return Begin(Lsn(commit_lsn), at + EPOCH_S * 1_000_000)
        if kind == b"C":
            _, _, end_lsn, _ = reader.unpack("!bqqq")
            return Commit(Lsn(end_lsn))
        if kind == b"R":
            self._learn(reader)
            return ()
        if kind in b"OYM":  # origins, types and messages of programs
            return ()
        if kind == b"T":
            count, _ = reader.unpack("!ib")
            return tuple(Change(table=self._table(reader), action=Action.TRUNCATE) for _ in range(count))
        return (self._change(kind, reader, whole=whole),)

    def _learn(self, reader: _Reader) -> None:
        (oid,) = reader.unpack("!I")
        schema, name = reader.text() or "pg_catalog", reader.text()
        _, count = reader.unpack("!bh")
        self._tables[oid] = Table(schema, name, tuple(_column(reader) for _ in range(count)))

    def _table(self, reader: _Reader) -> Table:
        (oid,) = reader.unpack("!I")
        try:
            return self._tables[oid]
        except KeyError:
            raise Damaged(f"a change of table {oid}, of which nothing was told") from None

    def _change(self, kind: bytes, reader: _Reader, *, whole: bool) -> Change:
        actions = {b"I": Action.INSERT, b"U": Action.UPDATE, b"D": Action.DELETE}
        if kind not in actions:
            raise Damaged(f"a message of kind {kind!r}")
        table, action = self._table(reader), actions[kind]
        if not whole:
            return Change(table=table, action=action, too_large=True)
        old: Row = {}
        part = reader.take(1)
        if part in (b"K", b"O") and action is not Action.INSERT:
            old, _ = _row(reader, table, only_key=part == b"K")
            if action is Action.DELETE:
                return Change(table=table, action=action, old=old)
            part = reader.take(1)
        if part != b"N" or action is Action.DELETE:
            raise Damaged(f"a row of kind {part!r} in a message of kind {kind!r}")
        new, missing = _row(reader, table)
        # A table that tells the whole row before also tells what did not change.
        known = {column: old[column] for column in missing if column in old}
        rest = tuple(column.name for column in missing if column not in known)
        ordered = {column: (new | known)[column] for column in table.columns if column in new or column in known}
        return Change(table=table, action=action, new=ordered, old=old, unchanged=rest)


def lsn_text(lsn: Lsn) -> str:
    """As Postgres writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_of(text: str) -> Lsn:
    """Raises ValueError."""
    high, _, low = text.partition("/")
    return Lsn((int(high, 16) << 32) + int(low, 16))


def _column(reader: _Reader) -> Column:
    (flags,) = reader.unpack("!b")
    name = reader.text()
    type_oid, _ = reader.unpack("!Ii")
    return Column(name, type_oid, bool(flags & _KEY_COLUMN))


def _row(reader: _Reader, table: Table, *, only_key: bool = False) -> tuple[dict[Column, str | None], list[Column]]:
    """And the columns whose values are not told. Of a key, other columns say NULL and mean nothing."""
    (count,) = reader.unpack("!h")
    if count != len(table.columns):
        raise Damaged(f"a row of {count} values for the {len(table.columns)} columns of {table.name}")
    row: dict[Column, str | None] = {}
    unchanged = []
    for column in table.columns:
        kind = reader.take(1)
        value = None
        if kind == b"t":
            (length,) = reader.unpack("!i")
            value = reader.take(length).decode(errors="replace")
        elif kind == b"u":
            unchanged.append(column)
            continue
        elif kind != b"n":
            raise Damaged(f"a value of kind {kind!r}")
        if column.is_key or not only_key:
            row[column] = value
    return row, unchanged


class _Reader:
    """Never beyond the message's end."""

    def __init__(self, message: bytes) -> None:
        self._message, self._at = message, 0

    def take(self, length: int) -> bytes:
        end = self._at + length
        if length < 0 or end > len(self._message):
            raise Damaged(f"a message of {len(self._message)} bytes ends too soon")
        taken = self._message[self._at : end]
        self._at = end
        return taken

    def unpack(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def text(self) -> str:
        end = self._message.find(b"\x00", self._at)
        if end < 0:
            raise Damaged("a name without an end")
        return self.take(end + 1 - self._at)[:-1].decode(errors="replace")
