"""A history as a text of at most ``MAX_CHARS`` characters, to be kept beside the function.

Version, checksum, the last calls, then the pages: numbers of seven bits a byte, bins without a pause left out. The same
history always gives the same text, and comes back to the last digit.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
import zlib

from springtide.scaler.core.keepalive.history import (
    BINS,
    INTERVALS,
    MAX_AT_S,
    MAX_CALLS,
    MAX_ENDED,
    MAX_INTERVAL_S,
    MAX_REST_S,
    PAGE_S,
    PAGES,
    History,
    Page,
    Recent,
)
from springtide.scaler.core.vocabulary import Instant

VERSION = 1
MAX_CHARS = 1024
_MAX_PAGE = int(MAX_AT_S // PAGE_S)
_TENTHS = 10
_MAX_INTERVAL = round(MAX_INTERVAL_S * _TENTHS)
_HEAD, _FLOAT = struct.Struct(">BI"), struct.Struct(">d")
_SEEN, _START, _END, _BUSY = 1, 2, 4, 8


class DamagedHistory(ValueError):
    """A text that is no history; says what is wrong with it."""


def encode(history: History) -> str:
    """Letters, digits, ``-``, ``_`` and ``=``; empty for an empty history."""
    if history == History():
        return ""
    body = bytearray()
    _write_recent(body, history.recent)
    _write_number(body, len(history.pages))
    for page in history.pages:
        _write_page(body, page)
    return base64.urlsafe_b64encode(_HEAD.pack(VERSION, zlib.crc32(body)) + body).decode()


def decode(text: str) -> History:
    """Raises DamagedHistory, also for what a later version wrote: forget it, and learn anew."""
    if not text:
        return History()
    if len(text) > MAX_CHARS:
        raise DamagedHistory(f"{len(text)} characters; at most {MAX_CHARS} are a history")
    try:
        data = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise DamagedHistory(f"not base64: {error}") from error
    if len(data) < _HEAD.size:
        raise DamagedHistory(f"{len(data)} bytes; a history has {_HEAD.size} at least")
    version, checksum = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if version != VERSION:
        raise DamagedHistory(f"version {version}; version {VERSION} is read here")
    if zlib.crc32(body) != checksum:
        raise DamagedHistory("its checksum is wrong")
    return _Reader(body).history()


def _write_recent(body: bytearray, recent: Recent) -> None:
    instants = (recent.seen_at, recent.last_start, recent.last_end)
    flags = _BUSY if recent.busy else 0
    for flag, at in zip((_SEEN, _START, _END), instants, strict=True):
        flags |= flag if at is not None else 0
    body.append(flags)
    body.append(len(recent.intervals_s))
    for at in instants:
        if at is not None:
            body += _FLOAT.pack(at)
    for interval_s in recent.intervals_s:
        _write_number(body, round(interval_s * _TENTHS))


def _write_page(body: bytearray, page: Page) -> None:
    for number in (page.number, page.calls, page.watched_s):
        _write_number(body, number)
    _write_number(body, sum(1 << bin_ for bin_ in range(BINS) if page.ended[bin_]))
    for count, rest_s in zip(page.ended, page.rest_s, strict=True):
        if count:
            _write_number(body, count)
            _write_number(body, rest_s)


def _write_number(body: bytearray, number: int) -> None:
    while number > 127:
        body.append(number & 127 | 128)
        number >>= 7
    body.append(number)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def history(self) -> History:
        recent = self._recent()
        pages = tuple(self._page() for _ in range(self._number(PAGES, "pages")))
        numbers = [page.number for page in pages]
        if numbers != sorted(set(numbers)) or (numbers and numbers[-1] - numbers[0] >= PAGES):
            raise DamagedHistory(f"pages {numbers}: not {PAGES} that follow one another")
        if self._place < len(self._data):
            raise DamagedHistory(f"{len(self._data) - self._place} bytes behind its end")
        return History(pages, recent)

    def _recent(self) -> Recent:
        flags = self._byte()
        if flags > _SEEN | _START | _END | _BUSY:
            raise DamagedHistory(f"flags {flags}")
        intervals = self._byte()
        if intervals > INTERVALS:
            raise DamagedHistory(f"{intervals} intervals; at most {INTERVALS} are kept")
        instants = [self._float() if flags & flag else None for flag in (_SEEN, _START, _END)]
        seen, start, end = (None if at is None else Instant(at) for at in instants)
        busy = bool(flags & _BUSY)
        intervals_s = (self._number(_MAX_INTERVAL, "an interval") / _TENTHS for _ in range(intervals))
        return Recent(seen, start, end, busy=busy, intervals_s=tuple(intervals_s))

    def _page(self) -> Page:
        number = self._number(_MAX_PAGE, "a page's number")
        calls, watched_s = self._number(MAX_CALLS, "calls"), self._number(int(PAGE_S), "seconds watched")
        bins = self._number((1 << BINS) - 1, "bins")
        ended, rest_s = [0] * BINS, [0] * BINS
        for bin_ in range(BINS):
            if bins >> bin_ & 1:
                ended[bin_] = self._number(MAX_ENDED, "pauses")
                rest_s[bin_] = self._number(MAX_REST_S, "seconds of pauses")
        return Page(number, calls, watched_s, tuple(ended), tuple(rest_s))

    def _byte(self) -> int:
        if self._place >= len(self._data):
            raise DamagedHistory("it ends too early")
        self._place += 1
        return self._data[self._place - 1]

    def _number(self, most: int, what: str) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            shift += 7
            if number > most or shift > 42:
                raise DamagedHistory(f"{what}: {number}; at most {most} are kept")
            if byte < 128:
                return number

    def _float(self) -> float:
        if self._place + _FLOAT.size > len(self._data):
            raise DamagedHistory("it ends too early")
        (value,) = _FLOAT.unpack_from(self._data, self._place)
        self._place += _FLOAT.size
        if not (math.isfinite(value) and 0 <= value <= MAX_AT_S):
            raise DamagedHistory(f"{value!r} is no time")
        return float(value)
