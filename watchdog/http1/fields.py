"""What request and response heads share: the grammar of field lines, and lengths.

The expressions need no possessive quantifiers, which Python has since 3.11: every repetition ends at a character that
it cannot hold itself, so that a mismatch costs no more than a match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
VALUE = rb"[\t\x20-\x7e\x80-\xff]"
LINES = rb"(?:\r\n" + TOKEN + rb"+:" + VALUE + rb"*)*"
"""Field lines, each with the CRLF before it."""

MAX_HEAD_BYTES = 64 * 1024
CHUNKED = -1
UNTIL_CLOSE = -2

HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)

_FIELD = re.compile(rb"\r\n([^:]+):[ \t]*([^\r]*)")
_STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n)(?!\Z)|\x00")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_FORBIDDEN_TRAILERS = HOP_BY_HOP | {b"content-length", b"host", b"authorization", b"expect"}


class Malformed(Exception):
    """A message that is not taken; ``status`` is what its sender is told."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def fields_of(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Names in lower case and values, of lines that match the grammar."""
    return [(name.lower(), value.rstrip(b" \t")) for name, value in _FIELD.findall(lines)]


def check_incomplete(data: bytes, seen: int = 0) -> None:
    """Raise Malformed for what can be no beginning of a head. The first ``seen`` bytes passed before."""
    if len(data) > MAX_HEAD_BYTES:
        raise Malformed("the headers are too large", 431)
    if _STRAY.search(data, max(0, seen - 1)):
        raise Malformed("a line that does not end in CRLF, or a NUL byte")


def explained(lines: bytes) -> str:
    """Why a head does not match the grammar, as well as can be told."""
    if _STRAY.search(lines):
        return "a line that does not end in CRLF, or a NUL byte"
    if b"\r\n " in lines or b"\r\n\t" in lines:
        return "a folded header line"
    return "not a header line"


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """The lower-case elements of a comma-separated list that may span several lines."""
    return [item for value in values for part in value.split(b",") if (item := part.strip(b" \t").lower())]


def length_of(values: Sequence[bytes]) -> int:
    """The one Content-Length there is; several are refused even where they agree."""
    if len(values) != 1:
        raise Malformed("several Content-Length headers")
    if not _LENGTH.fullmatch(values[0]):
        raise Malformed("Content-Length is not a number of bytes")
    return int(values[0])


def check_chunked(values: Sequence[bytes]) -> None:
    """Refuse any transfer coding but exactly ``chunked``."""
    if len(values) != 1 or values[0].lower() != b"chunked":
        raise Malformed("Transfer-Encoding other than chunked")


def check_trailers(lines: bytes) -> None:
    """Refuse trailers that would change how the message is framed or routed."""
    for name, _ in fields_of(lines):
        if name in _FORBIDDEN_TRAILERS:
            raise Malformed("a trailer field that is only allowed in a header")
