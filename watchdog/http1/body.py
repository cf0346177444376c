"""Bodies: where each ends in a stream of bytes."""

from __future__ import annotations

import re
from typing import Protocol

from .fields import CHUNKED, LINES, UNTIL_CLOSE, Malformed, check_incomplete, check_trailers

MAX_CHUNK_LINE_BYTES = 1024
MAX_TRAILER_BYTES = 16 * 1024

_EXTENSION = rb"(?:;[\t\x20-\x7e\x80-\xff]*)?"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})" + _EXTENSION + rb"\r\n")
_PART_OF_SIZE_LINE = re.compile(rb"[0-9A-Fa-f]{0,15}" + _EXTENSION + rb"\r?")
_TRAILERS = re.compile(LINES)


class Body(Protocol):
    """The rest of one body."""

    done: bool

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The payload in ``data`` and what comes behind the body. Raises Malformed."""
        ...


class LengthBody:
    """A body of known length."""

    __slots__ = ("_left", "done")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        size = len(data)
        if size < self._left:
            self._left -= size
            return data, b""
        left, self._left, self.done = self._left, 0, True
        return (data, b"") if size == left else (data[:left], data[left:])


class BodyUntilClose:
    """A body that ends with the connection."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        return data, b""


class ChunkedBody:
    """A chunked body. Chunk extensions and trailers are checked, and dropped: neither is a header (RFC 9110, 6.5.1)."""

    __slots__ = ("_behind_chunk", "_in_trailers", "_left", "_partial", "done")

    def __init__(self) -> None:
        self.done = False
        self._partial = b""
        self._left = 0
        self._behind_chunk = False
        self._in_trailers = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        if self._left > len(data):  # in the middle of a large chunk: nothing to cut
            self._left -= len(data)
            return data, b""
        if self._partial:
            data, self._partial = self._partial + data, b""
        pieces: list[bytes] = []
        at: int | None = 0
        while at is not None and not self.done:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._behind_chunk = True
                if self._left:
                    break
            at = self._read_trailers(data, at) if self._in_trailers else self._read_size(data, at)
        rest = data[at:] if self.done else b""
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), rest

    def _read_size(self, data: bytes, at: int) -> int | None:
        """Read the line before a chunk; where the chunk begins, or None when the line is not all there."""
        if self._behind_chunk:
            if not b"\r\n".startswith(data[at : at + 2]):
                raise Malformed("a chunk is longer than its size says")
            if len(data) < at + 2:
                self._partial = data[at:]
                return None
            at += 2
            self._behind_chunk = False
        end = data.find(b"\n", at, at + MAX_CHUNK_LINE_BYTES)
        if end < 0:
            if len(data) - at >= MAX_CHUNK_LINE_BYTES or not _PART_OF_SIZE_LINE.fullmatch(data, at):
                raise Malformed("not a chunk size")
            self._partial = data[at:]
            return None
        line = _SIZE_LINE.fullmatch(data, at, end + 1)
        if line is None:
            raise Malformed("not a chunk size")
        self._left = int(line[1], 16)
        self._in_trailers = self._left == 0
        return end + 1

    def _read_trailers(self, data: bytes, at: int) -> int | None:
        # Looking from the CRLF of the size line on makes the empty section and the full one the same case.
        end = (b"\r\n" + data[at : at + MAX_TRAILER_BYTES]).find(b"\r\n\r\n")
        if end < 0:
            if len(data) - at >= MAX_TRAILER_BYTES:
                raise Malformed("the trailers are too large", 431)
            self._partial = data[at:]
            check_incomplete(self._partial)
            return None
        lines = (b"\r\n" + data[at : at + end])[:end]
        if not _TRAILERS.fullmatch(lines):
            raise Malformed("not a trailer line")
        check_trailers(lines)
        self.done = True
        return at + end + 2


def body_of(length: int) -> Body:
    """The body that a head announces."""
    if length == CHUNKED:
        return ChunkedBody()
    return BodyUntilClose() if length == UNTIL_CLOSE else LengthBody(length)


def chunk(payload: bytes) -> bytes:
    """One chunk; nothing for an empty payload, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


LAST_CHUNK = b"0\r\n\r\n"
