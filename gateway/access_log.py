"""One line for each call, for who asks for it. Never a path, a query or a header of the call: secrets travel there."""

from __future__ import annotations

import structlog

from springtide.gateway import trace_context
from springtide.gateway.call_record import CallRecord

MAX_TEXT = 128
"""Characters kept of what the caller chose."""

log = structlog.get_logger(__name__)


class AccessLines:
    """An AccessLog that writes to this process's log."""

    def finished(self, record: CallRecord, status: int, now: float) -> None:
        more: dict[str, object] = {}
        if record.stays:
            more = {"held_s": round(record.held_s, 4), "cold": any(stay.cold for stay in record.stays)}
        if record.reason:
            more["reason"] = record.reason
        if record.trace is not None:
            more["trace"] = trace_context.in_hex(record.trace.trace_id)
        log.info(
            "call",
            call=_printable(record.call_id),
            function=record.function,
            method=_printable(record.method),
            status=status,
            seconds=round(now - record.arrived, 4),
            **more,
        )


def _printable(value: bytes) -> str:
    """Bytes beyond ASCII would be commands to some terminals."""
    return value.decode("ascii", "backslashreplace")[:MAX_TEXT]
