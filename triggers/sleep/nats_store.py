"""Histories in the broker's own store, which every copy reaches: a key for each function, and one for the position."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.bucket import Bucket
from springtide.triggers.sleep.kept import Kept, Position, position_from_json, position_json
from springtide.wire.jobs import names
from springtide.wire.jobs.nats.broker import Broker

POSITION = "position"

log = structlog.get_logger(__name__)


class NatsStore:
    """Implements ``kept.Store``."""

    def __init__(self, broker: Broker) -> None:
        self._bucket = Bucket(broker, broker.streams.sleep, name=names.SLEEP, what="what was learned of pauses")

    def __repr__(self) -> str:
        return f"<NatsStore over {self._bucket!r}>"

    async def load(self) -> Kept:
        values = await self._bucket.load()
        position = _position(values.pop(POSITION, b""))
        refs = {key: names.function_of_record(key) for key in values}
        return Kept(
            position, {ref: values[key].decode(errors="replace") for key, ref in refs.items() if ref is not None}
        )

    async def save(self, position: Position, changed: Mapping[FunctionRef, str | None]) -> None:
        await self._bucket.store([(names.record_subject(ref), (text or "").encode()) for ref, text in changed.items()])
        await self._bucket.store([(POSITION, position_json(position).encode())])


def _position(text: bytes) -> Position | None:
    try:
        return position_from_json(text.decode(errors="replace")) if text else None
    except BadInput as error:
        log.warning("up to when gateways were heard cannot be read; pauses that run are not learned", why=str(error))
        return None
