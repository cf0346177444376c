"""W3C trace context in a request's head: read, and written anew for the function. Nothing else of it is touched."""

from __future__ import annotations

import re
from dataclasses import dataclass

SAMPLED = 0x01
_KNOWN_FLAGS = 0x03
"""Sampled, and that the trace id is random; later bits have no meaning yet and must not be passed on."""

LINE_BEGINS = b"\r\ntraceparent:"
"""In lower case, as it is looked for in each call's head before anything more expensive is done."""

_LINE = re.compile(rb"(?i)\r\ntraceparent:[ \t]*([^\r]*)")
_VALUE = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[^\r]*)?")


@dataclass(frozen=True, slots=True)
class Parent:
    """The span that a caller says its call belongs to."""

    trace_id: int
    span_id: int
    flags: int

    @property
    def sampled(self) -> bool:
        return bool(self.flags & SAMPLED)


def parse(fields: bytes) -> Parent | None:
    """What the one ``traceparent`` says; None when there is none, or none that means something."""
    values = _LINE.findall(fields)
    if len(values) != 1:
        return None
    match = _VALUE.fullmatch(values[0].rstrip(b" \t"))
    if match is None:
        return None
    version, trace_id, span_id = match[1], int(match[2], 16), int(match[3], 16)
    # A later version may say more behind what we know of, the present one may not; ff will never be one.
    if version == b"ff" or (version == b"00" and match[5] is not None) or not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, int(match[4], 16) & _KNOWN_FLAGS)


def replaced(fields: bytes, value: bytes) -> bytes:
    """``fields`` with this ``traceparent`` in place of the one it may have."""
    return _LINE.sub(b"", fields) + b"\r\nTraceparent: " + value


def in_hex(trace_id: int) -> str:
    """As people and other tools look for it."""
    return f"{trace_id:032x}"


def written(trace_id: int, span_id: int, flags: int) -> bytes:
    return b"00-%032x-%016x-%02x" % (trace_id, span_id, flags)
