"""What request and response heads share: the grammar of field lines, and the names a proxy must look at."""

from __future__ import annotations

import re
from collections.abc import Iterable

from springtide.runtime.errors import BadInput
from springtide.runtime.http_headers import HOP_BY_HOP

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
VALUE = rb"[\t\x20-\x7e\x80-\xff]"
LINES = rb"(?:\r\n" + TOKEN + rb"++:" + VALUE + rb"*+)*+"
"""Field lines, each with the CRLF *before* it, so that lines can be added behind and cut out without a seam."""

NEVER_DROPPED = frozenset((b"host", b"content-length", b"content-type", b"date", b"x-call-id"))
"""A ``Connection`` header that names one of these is ignored for it: a caller must not take the message apart."""

STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n)(?!\Z)|\x00")
"""A line feed or carriage return on its own, or a NUL: no part of any head may hold one."""

_NOT_NAMES = NEVER_DROPPED | {*HOP_BY_HOP, b"close"}
"""What a ``Connection`` header may list without anything being left to drop."""

_LENGTH = re.compile(rb"[0-9]{1,18}")
_FORBIDDEN_TRAILERS = frozenset((*HOP_BY_HOP, b"content-length", b"host", b"authorization", b"expect", b"x-call-id"))

CHUNKED = -1
UNTIL_CLOSE = -2


class Malformed(BadInput):
    """A message that is not forwarded; ``status`` is what its sender is told."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def named(*names: bytes) -> re.Pattern[bytes]:
    """Finds the lines with these names; groups: the name as written, the value with trailing white space."""
    return re.compile(rb"(?i)\r\n(" + b"|".join(names) + rb"):[ \t]*([^\r]*)")


def dropper(*names: bytes) -> re.Pattern[bytes]:
    """Matches whole lines with these names, to be replaced by nothing."""
    return re.compile(rb"(?i)\r\n(?:" + b"|".join(map(re.escape, names)) + rb"):[^\r]*")


def by_name(found: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in found:
        values.setdefault(name.lower(), []).append(value.rstrip(b" \t"))
    return values


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """The lower-case elements of a comma-separated list that may span several lines."""
    return [item for value in values for part in value.split(b",") if (item := part.strip(b" \t").lower())]


def drop_named(fields: bytes, names: Iterable[bytes]) -> bytes:
    """``fields`` without the lines a ``Connection`` header names, but for those that are not its to drop."""
    dropped = {name for name in names if name not in _NOT_NAMES}
    if not dropped:
        return fields
    # Not by a regular expression: a caller could make us compile one of ten thousand names.
    lines = fields.split(b"\r\n")
    return b"\r\n".join(line for line in lines if line.partition(b":")[0].lower() not in dropped)


def without_keep_alive(fields: bytes, name: bytes) -> bytes:
    """``fields`` without the one ``Connection`` line, whose value is known to be exactly ``keep-alive``."""
    return fields.replace(b"\r\n%b: keep-alive" % name, b"", 1)


def length_of(values: list[bytes]) -> int:
    """The one Content-Length there is; several are refused even where they agree."""
    if len(values) != 1:
        raise Malformed("several Content-Length headers")
    if not _LENGTH.fullmatch(values[0]):
        raise Malformed("Content-Length is not a number of bytes")
    return int(values[0])


def is_chunked(values: list[bytes]) -> bool:
    """True for exactly ``chunked``; any other transfer coding, or two of them, is refused."""
    if len(values) != 1 or values[0].lower() != b"chunked":
        raise Malformed("Transfer-Encoding other than chunked")
    return True


def check_trailers(lines: bytes) -> None:
    """Refuse trailers that would change how the message is framed or routed."""
    for line in lines.split(b"\r\n"):
        if line.partition(b":")[0].lower() in _FORBIDDEN_TRAILERS:
            raise Malformed("a trailer field that is only allowed in a header")
