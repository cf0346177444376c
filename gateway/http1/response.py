"""Response heads: from bytes to a ResponseHead, or Malformed."""

from __future__ import annotations

import re
from typing import NamedTuple

from springtide.gateway.http1.fields import (
    CHUNKED,
    LINES,
    STRAY,
    UNTIL_CLOSE,
    VALUE,
    Malformed,
    by_name,
    drop_named,
    dropper,
    is_chunked,
    length_of,
    named,
    tokens,
    without_keep_alive,
)
from springtide.runtime.http_headers import HOP_BY_HOP

MAX_HEAD_BYTES = 64 * 1024

_HEAD = re.compile(rb"HTTP/1\.([01]) (([1-9][0-9][0-9])(?: " + VALUE + rb"*+)?)(" + LINES + rb")")
_NAMED = named(*HOP_BY_HOP, b"content-length", b"x-call-id", b"x-start-time")
_LENGTH_SIZE, _CONNECTION_SIZE = len(b"content-length"), len(b"connection")
"""No other name of interest is as long as the first. As long as the second is keep-alive, whose value differs."""

_DROPPED = dropper(*HOP_BY_HOP, b"x-call-id", b"x-start-time")


class ResponseHead(NamedTuple):
    """A checked response head. ``fields`` are the lines to pass on, without those a hop writes itself."""

    status: int
    status_text: bytes
    """Status and reason phrase as they came: ``200 OK``."""
    fields: bytes
    length: int
    """Bytes of body as the head says, CHUNKED or UNTIL_CLOSE; a HEAD request has none whatever it says."""
    keep_alive: bool = True
    upgrade: bytes = b""


def parse_response(head: bytes) -> ResponseHead:
    """Parse a head without its final empty line. Raises Malformed."""
    if len(head) > MAX_HEAD_BYTES:
        raise Malformed("headers that are too large")
    match = _HEAD.fullmatch(head)
    if match is None:
        raise Malformed("not an HTTP response head")
    minor, text, status, fields = match.groups()
    found = _NAMED.findall(fields)
    if minor == b"1" and len(found) <= 2:
        plain = _parse_plain(int(status), text, fields, found)
        if plain is not None:
            return plain
    return _parse_named(int(status), text, fields, found, http11=minor == b"1")


def _parse_plain(status: int, text: bytes, fields: bytes, found: list[tuple[bytes, bytes]]) -> ResponseHead | None:
    """Most replicas' heads: a length or chunks, perhaps ``Connection: keep-alive``, each once; else None.

    Nothing here decides differently from ``_parse_named``; it is only quicker.
    """
    length = UNTIL_CLOSE
    connection = False
    for name, value in found:
        size = len(name)
        if size == _LENGTH_SIZE and length == UNTIL_CLOSE and value.isdigit() and len(value) <= 18:
            length = int(value)
        elif size == _CONNECTION_SIZE and not connection and value == b"keep-alive":
            connection = True
            shorter = without_keep_alive(fields, name)
            if len(shorter) == len(fields):
                return None
            fields = shorter
        else:
            return None
    return ResponseHead(status, text, fields, length)


def check_incomplete(data: bytes) -> None:
    """Raise Malformed for what can be no beginning of a head, or for one that is too long already."""
    if len(data) > MAX_HEAD_BYTES:
        raise Malformed("headers that are too large")
    if STRAY.search(data):
        raise Malformed("a line that does not end in CRLF, or a NUL byte")


def has_no_body(method: bytes, status: int) -> bool:
    return method == b"HEAD" or status in (204, 304) or status < 200


def _parse_named(
    status: int, text: bytes, fields: bytes, found: list[tuple[bytes, bytes]], *, http11: bool
) -> ResponseHead:
    values = by_name(found)
    connection = tokens(values.get(b"connection", ()))
    keep_alive = http11 and b"close" not in connection
    kept = drop_named(_DROPPED.sub(b"", fields), connection)
    if b"transfer-encoding" in values:
        is_chunked(values[b"transfer-encoding"])
        length = CHUNKED
        if b"content-length" in values:
            # RFC 9112, 6.3: the coding wins. The length is not passed on and the connection is not used again.
            kept, keep_alive = drop_named_length(kept), False
    elif b"content-length" in values:
        length = length_of(values[b"content-length"])
    else:
        length = UNTIL_CLOSE
    return ResponseHead(status, text, kept, length, keep_alive, b", ".join(values.get(b"upgrade", ())))


_LENGTH_LINE = dropper(b"content-length")


def drop_named_length(fields: bytes) -> bytes:
    return _LENGTH_LINE.sub(b"", fields)
