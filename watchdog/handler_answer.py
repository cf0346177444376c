"""From what a handler returned to what is sent: status, headers, and a body or an iterator of its pieces.

Everything is checked here, before a byte is sent: what cannot be sent is the function's error, told by name in its log
and answered 500. A connection that broke instead would look like a lost replica, and the call be run again elsewhere.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import operator
import re
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union

from .http_date import http_date

HTML, TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"
JSON, BYTES = "application/json", "application/octet-stream"
MIN_STATUS, MAX_STATUS = 200, 599
"""A status below is no end of an answer; beyond, few clients read it."""
MAX_HEAD_BYTES = 60_000
"""Of the handler's own headers. A gateway takes heads up to 64 KiB, with what is added on the way."""
NO_BODY = (204, 205, 304)

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_STATUS_LINE = re.compile(r"([0-9]{3})(?: .*)?", re.DOTALL)
_OF_THE_CONNECTION = frozenset(
    b"connection content-length keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
"""Written by the server itself. Handlers that pass on another server's headers bring them along."""

HeaderList = list[tuple[bytes, bytes]]
Pieces = Union[Iterator[Any], AsyncIterator[Any]]


class UnsendableError(Exception):
    """What the handler returned is no answer; the text says what is wrong with it, without values of headers."""


@dataclass(frozen=True)
class Parts:
    """What a handler means by its result, as yet unchecked. None: not said."""

    body: Any
    status: Any = None
    headers: Any = None


@dataclass(frozen=True)
class Answer:
    """Ready to be sent. ``pieces`` instead of a body: as they come, text or bytes."""

    status: int
    headers: HeaderList
    body: bytes = b""
    pieces: Pieces | None = None
    told_length: bytes = b""
    """The handler's own content-length: believed only of a body that is not sent."""

    def has_body(self, method: str) -> bool:
        """Whether one is sent."""
        return method != "HEAD" and self.status not in NO_BODY

    def head(self, method: str) -> HeaderList:
        """The headers with the length of the body, where there is one to tell."""
        if self.status in (204, 304) or (self.pieces is not None and self.has_body(method)):
            return self.headers
        length = b"0" if self.status == 205 else str(len(self.body)).encode()
        if method == "HEAD" and not self.body:
            length = self.told_length
        return [*self.headers, (b"content-length", length)] if length else self.headers


def checked(parts: Parts, content: Content) -> Answer:
    """Raises UnsendableError, and whatever the function's own objects raise when they are asked for their values."""
    status = _status(parts.status)
    fields = _headers(parts.headers)
    told_length = next((value for name, value in fields if name == b"content-length" and value.isdigit()), b"")
    headers = [field for field in fields if field[0] not in _OF_THE_CONNECTION]
    pieces = parts.body if isinstance(parts.body, (Iterator, AsyncIterator)) else None
    body, kind = (b"", content.text) if pieces is not None else content.encoded(parts.body)
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", kind.encode()))
    return Answer(status, headers, body, pieces, told_length)


@dataclass(frozen=True)
class Content:
    """How bodies become bytes, and their type where the handler names none."""

    text: str
    binary: str
    compact_json: bool

    def encoded(self, body: Any) -> tuple[bytes, str]:
        """Raises UnsendableError for what no answer can be made of."""
        if body is None:
            return b"", self.text
        if isinstance(body, str):
            return body.encode(), self.text
        if isinstance(body, (bytes, bytearray, memoryview)):
            return bytes(body), self.binary
        return self.json(body), JSON

    def json(self, value: Any) -> bytes:
        """As Flask writes it: keys in order, dates, decimals, UUIDs and data classes, too. Raises UnsendableError."""
        separators = (",", ":") if self.compact_json else None
        end = "\n" if self.compact_json else ""
        try:
            try:
                text = json.dumps(value, default=_plain, separators=separators, sort_keys=self.compact_json)
            except TypeError:  # Keys of several types have no order.
                text = json.dumps(value, default=_plain, separators=separators)
        except (TypeError, ValueError) as error:
            raise UnsendableError(f"the body, a {type(value).__name__}, is no JSON: {error}") from error
        return (text + end).encode()


FLASK = Content(HTML, HTML, compact_json=True)
PLAIN = Content(TEXT, BYTES, compact_json=False)


def piece(item: Any) -> bytes:
    """The bytes of one piece of a streamed body. Raises UnsendableError."""
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    raise UnsendableError(f"a piece of the body is a {type(item).__name__}; yield text or bytes")


def _kind(module: str, name: str) -> Any:
    """A class of the standard library where it was imported: without, no object of it can have come."""
    return getattr(sys.modules.get(module), name, ())


def _plain(value: Any) -> Any:
    """What stands for an object in JSON. Raises TypeError."""
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=datetime.timezone.utc)
        return http_date(aware.timestamp())
    if isinstance(value, datetime.date):
        return _plain(datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.timezone.utc))
    if isinstance(value, (_kind("decimal", "Decimal"), _kind("uuid", "UUID"))):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__html__"):
        return str(value.__html__())
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def _status(value: Any) -> int:
    """A number, or a text that begins with one, as Flask takes it. Raises UnsendableError."""
    if value is None:
        return 200
    number = 0
    if isinstance(value, str):
        line = _STATUS_LINE.fullmatch(value.strip())
        number = int(line.group(1)) if line else 0
    elif isinstance(value, float):
        number = int(value) if value.is_integer() else 0
    elif not isinstance(value, bool):
        try:
            number = operator.index(value)
        except TypeError:
            number = 0
    if not MIN_STATUS <= number <= MAX_STATUS:
        raise UnsendableError(f"status {_shown(value)} is none of {MIN_STATUS} to {MAX_STATUS}")
    return number


def _headers(headers: Any) -> HeaderList:
    fields = [_field(name, value) for name, value in _pairs(headers)]
    if sum(len(name) + len(value) + 4 for name, value in fields) > MAX_HEAD_BYTES:
        raise UnsendableError(f"the headers are longer than {MAX_HEAD_BYTES} bytes together; send less, or in the body")
    return fields


def _pairs(headers: Any) -> Iterable[tuple[Any, Any]]:
    """Of a mapping or a list of pairs; a list as a value is a header several times."""
    if headers is None:
        return
    found = headers.items() if hasattr(headers, "items") else headers
    if isinstance(found, (str, bytes)) or not isinstance(found, Iterable):
        raise UnsendableError(f"headers are a {type(headers).__name__}; return a dict or a list of pairs")
    for item in found:
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise UnsendableError(f"among the headers is a {type(item).__name__} that is no pair of name and value")
        name, value = item
        for single in value if isinstance(value, (list, tuple, set, frozenset)) else [value]:
            yield name, single


def _field(name: Any, value: Any) -> tuple[bytes, bytes]:
    """Raises UnsendableError. The message has the header's name only: the value may be a secret."""
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    if not _NAME.fullmatch(text):
        raise UnsendableError(f"header {_shown(text)}: the name is empty or has characters that no name may have")
    content = (value.decode("latin-1") if isinstance(value, bytes) else str(value)).strip(" \t")
    if _CONTROL.search(content):
        raise UnsendableError(
            f"header {text}: the value has a line end or another control character; strip() what was read from a file"
        )
    try:
        return text.lower().encode(), content.encode("latin-1")
    except UnicodeEncodeError:
        raise UnsendableError(f"header {text}: the value has characters beyond Latin-1; quote() it, say") from None


def _shown(value: Any) -> str:
    return repr(value)[:60]
