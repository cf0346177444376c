"""Which rows' changes are wanted, and what event each is. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from springtide.triggers.source_settings import several
from springtide.triggers.sources.postgres.pgoutput import Action, Begin, Change, Column, Row, lsn_text
from springtide.wire.events.event import Event

TYPE = "com.springtide.postgres.change"
MAX_TOPICS = 100
ANY = "*"

_TOPIC = re.compile(r'(?:([^\s.:,*"]{1,63})\.)?([^\s.:,*"]{1,63}|\*)(?::([a-z]+|\*))?')
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BOOLEAN = 16
_JSON = frozenset((114, 3802))
"""json and jsonb."""
_NUMBERS = frozenset((20, 21, 23, 26, 700, 701))
"""Whole numbers of 8, 2 and 4 bytes, oid, and floating points, of which some are no numbers to JSON. Not numeric: many
readers of JSON would round it."""


@dataclass(frozen=True, slots=True)
class Topic:
    """``orders:insert``, ``sales.orders:insert``, ``orders`` or ``*:insert``. Empty: any schema, any action."""

    schema: str
    table: str
    action: Action | None

    def __str__(self) -> str:
        return f"{self.relation}:{self.action}" if self.action else self.relation

    @property
    def relation(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table

    @property
    def actions(self) -> frozenset[Action]:
        return frozenset((self.action,)) if self.action else frozenset(Action)

    def fits(self, change: Change) -> bool:
        return (
            self.schema in ("", change.table.schema)
            and self.table in (ANY, change.table.name)
            and self.action in (None, change.action)
        )


def topics(text: str) -> tuple[Topic, ...]:
    """Raises ValueError."""
    remedy = "write *:insert for all tables, or leave it out"
    return tuple(map(_topic, several(text, MAX_TOPICS, remedy=remedy)))


def _topic(word: str) -> Topic:
    form = _TOPIC.fullmatch(word)
    action = form[3] or ANY if form else ""
    if not form or action not in (ANY, *Action):
        raise ValueError(
            f"{word[:60]!r} is no topic; write orders, orders:insert, sales.orders:update or *:delete; "
            f"actions are {', '.join(Action)}"
        )
    return Topic(form[1] or "", form[2], None if action == ANY else Action(action))


def wanted(change: Change, topics: Sequence[Topic]) -> Topic | None:
    """The first of ``topics`` that it fits."""
    return next((topic for topic in topics if topic.fits(change)), None)


def event(change: Change, begin: Begin, index: int, *, source: str, topic: Topic | None) -> Event:
    """``index`` counts the changes of its transaction; ``topic`` is the one that asked for it, if one did.

    Position and index are the same each time that it is told.
    """
    id_ = f"{lsn_text(begin.commit_lsn)}-{index}"
    table = change.table
    name = f"{table.name}:{change.action}"
    return Event(
        topic=name,
        pattern=str(topic) if topic else "",
        body=_body(change, begin, id_),
        id=id_,
        source=source,
        type=TYPE,
        content_type="application/json",
        subject=f"{table.schema}.{table.name}",
        time=begin.committed_us / 1e6,
        headers=(
            ("X-Event-Action", change.action.value),
            ("X-Event-Table", table.name),
            ("X-Event-Id", id_),
            ("X-Message-Id", id_),
        ),
    )


def _body(change: Change, begin: Begin, id_: str) -> bytes:
    committed = datetime.fromtimestamp(begin.committed_us // 1_000_000, UTC).replace(
        microsecond=begin.committed_us % 1_000_000
    )
    told = {
        "id": json.dumps(id_),
        "schema": _text(change.table.schema),
        "table": _text(change.table.name),
        "action": json.dumps(change.action.value),
        "data": _row(change.new),
        "dataOld": _row(change.old),
        "commitTime": json.dumps(committed.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"),
    }
    if change.unchanged:
        told["unchanged"] = json.dumps(change.unchanged, ensure_ascii=False)
    if change.too_large:
        told["tooLarge"] = "true"
    return _object(told).encode()


def _row(row: Row) -> str:
    return _object({column.name: _value(column, text) for column, text in row.items()})


def _value(column: Column, text: str | None) -> str:
    """JSON as it stands, so that nothing is rounded and nothing is read that its producer nested without end."""
    if text is None:
        return "null"
    if column.type_oid == _BOOLEAN and text in ("t", "f"):
        return "true" if text == "t" else "false"
    if column.type_oid in _JSON or (column.type_oid in _NUMBERS and _NUMBER.fullmatch(text)):
        return text
    return _text(text)


def _object(members: dict[str, str]) -> str:
    return "{" + ", ".join(f"{_text(name)}: {value}" for name, value in members.items()) + "}"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
