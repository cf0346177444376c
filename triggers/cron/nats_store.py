"""What is kept of schedules in the broker's own store, which every copy reaches."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.bucket import Bucket
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

POSITION = "position"

log = structlog.get_logger(__name__)


class NatsStore:
    """Implements ``kept.Store``: a key for the position and one for each function."""

    def __init__(self, broker: Broker) -> None:
        self._bucket = Bucket(broker, broker.streams.cron, name=names.CRON, what="what was sent of schedules")

    def __repr__(self) -> str:
        return f"<NatsStore over {self._bucket!r}>"

    async def load(self) -> Kept:
        values = await self._bucket.load()
        position = values.pop(POSITION, b"")
        return Kept(position=_position(position), records=_records(values))

    async def save(self, position: Position, changed: Mapping[FunctionRef, Record | None]) -> None:
        writes = [
            (names.record_subject(ref), record_bytes(record) if record is not None else b"")
            for ref, record in changed.items()
        ]
        await self._bucket.store(writes)
        await self._bucket.store([(POSITION, position_json(position))])


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
