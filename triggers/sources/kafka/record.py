"""What a record of Kafka is as an event. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from springtide.wire.events.event import Event, Headers
from springtide.wire.events.headers import MAX_VALUE_BYTES, field_value

TYPE = "com.springtide.kafka.record"
MAX_HEADERS = 30
"""Of a record."""

_OURS = frozenset(("partition", "offset", "key", "key-enc"))
_HEADER = re.compile(r"[A-Za-z0-9!#$&'*+.^_`|~-]{1,90}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    topic: str
    partition: int
    offset: int
    value: bytes
    timestamp_ms: int | None = None
    """Since 1970; None where a topic has none."""
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


def event_of(record: Record, *, source: str) -> Event:
    """Its id has its time, too: a topic that is made anew counts from 0 again."""
    said = {name.lower(): _text(value or b"") for name, value in record.headers}
    where = f"{record.topic}/{record.partition}/{record.offset}"
    return Event(
        topic=record.topic,
        body=record.value,
        id=where if record.timestamp_ms is None else f"{where}/{record.timestamp_ms}",
        source=source,
        type=TYPE,
        content_type=said.get("content-type", ""),
        time=None if record.timestamp_ms is None else record.timestamp_ms / 1000,
        headers=_headers(record),
        attributes=tuple((name[3:], value) for name, value in said.items() if name.startswith(("ce_", "ce-"))),
    )


def _headers(record: Record) -> Headers:
    found = [("X-Kafka-Partition", str(record.partition)), ("X-Kafka-Offset", str(record.offset))]
    if record.key is not None:
        found += _header("X-Kafka-Key", record.key)
    for name, value in record.headers[:MAX_HEADERS]:
        if _HEADER.fullmatch(name) and name.lower() not in _OURS:
            found += _header(f"X-Kafka-{name}", value or b"")
    return tuple(found)


def _header(name: str, value: bytes) -> list[tuple[str, str]]:
    """What is no text that a header can have is written in base 64, and that is said."""
    text = _text(value)
    if len(value) <= MAX_VALUE_BYTES and field_value(text) == value:
        return [(name, text)]
    return [(name, base64.b64encode(value).decode()), (f"{name}-Enc", "b64")]


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
