"""What a worker is started with, as the fork server is told it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from springtide.gateway.settings import GatewaySettings
from springtide.runtime.basic_auth import Credentials
from springtide.wire.jobs.callback_settings import CallbackSettings
from springtide.wire.jobs.settings import BrokerSettings


@dataclass(frozen=True, slots=True)
class Launch:
    """``number`` counts the worker's place, from 1; its replacement has the same one."""

    number: int
    settings: GatewaySettings
    credentials: Credentials | None
    row: int = 0
    """Which one of ``rows`` of the shared memory is its own, where it is given that."""
    rows: int = 0

    def encode(self) -> bytes:
        credentials = self.credentials and [self.credentials.user, self.credentials.password]
        return json.dumps([self.number, dataclasses.asdict(self.settings), credentials, self.row, self.rows]).encode()

    @classmethod
    def decode(cls, data: bytes) -> Launch:
        number, settings, credentials, row, rows = json.loads(data)
        broker = BrokerSettings(**_tuples(settings.pop("broker")))
        callbacks = CallbackSettings(**_tuples(settings.pop("callbacks")))
        whole = GatewaySettings(**_tuples(settings), broker=broker, callbacks=callbacks)
        return cls(number, whole, Credentials(*credentials) if credentials else None, row, rows)


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has none."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def share(settings: GatewaySettings, workers: int) -> GatewaySettings:
    """One worker's part of what is bounded for the whole gateway; parts are rounded up."""

    def part(total: int) -> int:
        return -(-total // workers)

    return dataclasses.replace(
        settings,
        workers=1,
        sharers=workers,
        max_connections=part(settings.max_connections),
        max_streams=part(settings.max_streams),
        max_held=part(settings.max_held),
        max_held_per_function=part(settings.max_held_per_function),
        max_held_bytes=part(settings.max_held_bytes),
        max_async_held_bytes=part(settings.max_async_held_bytes),
        max_webhook_held_bytes=part(settings.max_webhook_held_bytes),
        trace_max_per_s=part(settings.trace_max_per_s),
    )
