"""What is kept of schedules in the broker's own store, which every copy reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from nats.js.api import Header
from nats.js.errors import APIError

from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput, Conflict
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.cron.kept import (
    Kept,
    Position,
    Record,
    position_from_json,
    position_json,
    record_bytes,
    record_from_json,
)
from springtide.wire.jobs import names
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.connection import translated

PREFIX = f"$KV.{names.CRON}."
POSITION = "position"
AT_ONCE = 100
_WRONG_LAST_SEQUENCE = 10071
_SEQUENCE = "Nats-Sequence"

log = structlog.get_logger(__name__)


class NatsStore:
    """Implements ``kept.Store``: a key for the position and one for each function.

    Each write names the one that it follows: a copy that leads no more, and does not know it, changes nothing.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sequences: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<NatsStore of {len(self._sequences)} keys>"

    async def load(self) -> Kept:
        bucket = await self._broker.streams.cron()
        state = await self._broker.streams.state(bucket, subjects=f"{PREFIX}>")
        keys = [subject.removeprefix(PREFIX) for subject in state.subjects]
        self._sequences.clear()
        values: dict[str, bytes] = {}
        for begin in range(0, len(keys), AT_ONCE):
            some = keys[begin : begin + AT_ONCE]
            found = await asyncio.gather(*(self._value(bucket, key) for key in some))
            values |= {key: value for key, value in zip(some, found, strict=True) if value}
        position = values.pop(POSITION, b"")
        return Kept(position=_position(position), records=_records(values))

    async def save(self, position: Position, changed: Mapping[FunctionRef, Record | None]) -> None:
        writes = [
            (names.record_subject(ref), record_bytes(record) if record is not None else b"")
            for ref, record in changed.items()
        ]
        for begin in range(0, len(writes), AT_ONCE):
            await asyncio.gather(*(self._store(key, body) for key, body in writes[begin : begin + AT_ONCE]))
        await self._store(POSITION, position_json(position))

    async def _store(self, key: str, body: bytes) -> None:
        """An empty body is a function's that is gone. Raises Conflict where another copy has written the key since."""
        follows = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(self._sequences.get(key, 0))}
        async with translated("keeping what was sent of schedules"):
            try:
                sequence = await self._broker.requests.store(self._broker.streams.cron, PREFIX + key, body, follows)
            except APIError as error:
                if error.err_code != _WRONG_LAST_SEQUENCE:
                    raise
                raise Conflict(f"{key}: another copy has written it") from error
        self._sequences[key] = sequence

    async def _value(self, bucket: str, key: str) -> bytes:
        async with translated("reading what was sent of schedules"):
            found = await self._broker.requests.ask(f"$JS.API.DIRECT.GET.{bucket}.{PREFIX}{key}")
        headers = found.headers or {}
        if Header.STATUS in headers:
            return b""
        self._sequences[key] = int(headers[_SEQUENCE])
        return found.data


def _position(text: bytes) -> Position | None:
    try:
        return position_from_json(text) if text else None
    except BadInput as error:
        log.warning("what was sent of schedules cannot be read; it begins anew", why=str(error))
        return None


def _records(values: Mapping[str, bytes]) -> dict[FunctionRef, Record]:
    records = {}
    for key, text in values.items():
        ref = names.function_of_record(key)
        try:
            if ref is not None:
                records[ref] = record_from_json(bounded_json.loads(text))
        except (BadInput, ValueError) as error:
            log.warning("a function's record of schedules cannot be read; it begins anew", key=key, why=str(error))
    return records
