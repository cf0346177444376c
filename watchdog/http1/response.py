"""Response heads: read from a function's own server, and written to a caller."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

from .fields import (
    CHUNKED,
    HOP_BY_HOP,
    LINES,
    UNTIL_CLOSE,
    VALUE,
    Malformed,
    check_chunked,
    explained,
    fields_of,
    length_of,
    tokens,
)

_HEAD = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: " + VALUE + rb"*)?(" + LINES + rb")")
_LINES = re.compile(LINES)
_LOOKED_AT = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_STATUS_LINES = {status: b"HTTP/1.1 %d %b" % (status, _PHRASES.get(status, b"")) for status in range(100, 600)}
CLOSE_LINE = b"\r\nconnection: close"
CHUNKED_LINE = b"\r\ntransfer-encoding: chunked"
BODILESS = (204, 304)
NO_BODY = -3
MAX_SHOWN = 60


class Unsendable(ValueError):
    """An answer that HTTP has no bytes for; the text names the header or the status."""


class ResponseHead(NamedTuple):
    """A checked response head."""

    status: int
    headers: list[tuple[bytes, bytes]]
    length: int
    """Bytes of body as the head says, CHUNKED or UNTIL_CLOSE; an answer to HEAD has none whatever it says."""
    keep_alive: bool


class Written(NamedTuple):
    """A head to send, and how its body has to be framed."""

    head: bytes
    length: int
    """Bytes of body, CHUNKED or UNTIL_CLOSE; NO_BODY where the answer has none whatever its headers say."""
    keep_alive: bool


def parse_response(head: bytes, *, to_head: bool) -> ResponseHead:
    """Parse a head without its final empty line. Raises Malformed. ``to_head``: the request was HEAD."""
    match = _HEAD.fullmatch(head)
    if match is None:
        line, _, rest = head.partition(b"\r\n")
        raise Malformed(explained(b"\r\n" + rest) if _HEAD.fullmatch(line) else "not an HTTP/1.1 status line")
    minor, digits, lines = match.groups()
    status, headers = int(digits), fields_of(lines)
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _LOOKED_AT:
            found.setdefault(name, []).append(value)
    keep_alive = minor == b"1" and b"close" not in tokens(found.get(b"connection", ()))
    if b"transfer-encoding" in found:
        check_chunked(found[b"transfer-encoding"])
        length = CHUNKED
        if b"content-length" in found:
            # RFC 9112, 6.3: the coding wins. The length is not passed on and the connection is not used again.
            headers = [field for field in headers if field[0] != b"content-length"]
            keep_alive = False
    else:
        length = length_of(found[b"content-length"]) if b"content-length" in found else UNTIL_CLOSE
    if to_head or status in BODILESS or status < 200:
        length = 0
    return ResponseHead(status, headers, length, keep_alive)


def write_response(
    status: int,
    headers: Sequence[tuple[bytes, bytes]],
    *,
    date: bytes,
    to_head: bool,
    http11: bool,
    keep_alive: bool,
) -> Written:
    """The head as it is sent, with the framing that fits. Raises Unsendable.

    What is meant for one hop only is this server's own to write; ``connection: close`` is heeded.
    """
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise Unsendable(f"the status {str(status)[:MAX_SHOWN]!r} is none of 200 to 599")
    lines = [_STATUS_LINES[status]]
    length = CHUNKED if http11 else UNTIL_CLOSE
    keep_alive = keep_alive and http11
    for name, value in headers:
        key = name.lower()
        if key in HOP_BY_HOP:
            keep_alive = keep_alive and not (key == b"connection" and b"close" in tokens([value]))
            continue
        if key == b"content-length":
            length = _declared(value, length)
            if status == 204:
                continue
        elif key == b"date":
            date = b""
        lines.append(b"\r\n%b: %b" % (name, value))
    _check(lines, headers)
    if to_head or status in BODILESS:
        length = NO_BODY
    ours = (
        b"\r\ndate: " + date if date else b"",
        CHUNKED_LINE if length == CHUNKED else b"",
        b"" if keep_alive else CLOSE_LINE,
        b"\r\n\r\n",
    )
    return Written(b"".join((*lines, *ours)), length, keep_alive)


def write_interim(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A head before the answer, such as early hints. Raises Unsendable."""
    fields = [field for field in headers if field[0].lower() not in HOP_BY_HOP]
    lines = [_STATUS_LINES[status], *(b"\r\n%b: %b" % field for field in fields)]
    _check(lines, fields)
    return b"".join([*lines, b"\r\n\r\n"])


def write_switch(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The 101 that opens a tunnel. Raises Unsendable."""
    fields = [field for field in headers if field[0] == b"upgrade" or field[0] not in HOP_BY_HOP]
    lines = [_STATUS_LINES[101], b"\r\nconnection: upgrade", *(b"\r\n%b: %b" % field for field in fields)]
    _check(lines, fields)
    return b"".join([*lines, b"\r\n\r\n"])


def _declared(value: bytes, so_far: int) -> int:
    if so_far >= 0 or not value.isdigit() or len(value) > 18:
        raise Unsendable(f"the content-length {value[:MAX_SHOWN]!r} is not one number of bytes")
    return int(value)


def _check(lines: list[bytes], headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Each line after the first is one line, and every one is a header."""
    block = b"".join(lines[1:])
    if (
        block.count(b"\n") == len(lines) - 1
        and _LINES.fullmatch(block)
        and not any(b":" in name for name, _ in headers)
    ):
        return
    for name, value in headers:
        line = b"\r\n%b: %b" % (name, value)
        if line.count(b"\n") != 1 or not _LINES.fullmatch(line) or b":" in name:
            shown = name[:MAX_SHOWN].decode("latin-1")
            # A value may be a secret: a token with the line end of its file is the common case.
            raise Unsendable(f"the header {shown!r} has a name or a value that HTTP cannot send, such as a line end")
    raise Unsendable("the headers cannot be sent")
