"""A container's log: lines with the time they were written, bounded, followed by any number of readers."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    at: datetime
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """What of a log is wanted."""

    follow: bool = False
    tail: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


class LogBuffer:
    """The log of one run of a container."""

    def __init__(self, most_lines: int) -> None:
        self._lines: deque[Line] = deque(maxlen=most_lines)
        self._count = 0
        self._rest = b""
        self._more = asyncio.Event()
        self.closed = False

    def append(self, text: bytes) -> None:
        self._count += 1
        self._lines.append(Line(self._count, datetime.now(UTC), text))
        self._more.set()

    def close(self) -> None:
        if self._rest:
            self.append(self._rest)
            self._rest = b""
        self.closed = True
        self._more.set()

    def read_from(self, descriptor: int, ended: asyncio.Future[int]) -> None:
        """Take all lines from a pipe, until its end or that of the process."""
        os.set_blocking(descriptor, False)
        loop = asyncio.get_running_loop()

        def finish() -> None:
            if not self.closed:
                loop.remove_reader(descriptor)
                os.close(descriptor)
                self.close()

        def readable() -> None:
            try:
                data = os.read(descriptor, READ_BYTES)
            except BlockingIOError:
                return
            if data:
                self._feed(data)
            else:
                finish()

        def process_ended(_: asyncio.Future[int]) -> None:
            # What it wrote last may still be in the pipe; what others hold open is not waited for.
            while not self.closed:
                try:
                    data = os.read(descriptor, READ_BYTES)
                except BlockingIOError:
                    data = b""
                if not data:
                    break
                self._feed(data)
            finish()

        loop.add_reader(descriptor, readable)
        ended.add_done_callback(process_ended)

    def _feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.append(line)

    async def read(self, query: LogQuery) -> AsyncGenerator[bytes]:
        """Pieces of text, each whole lines; while following, until the run has ended."""
        left = query.limit_bytes
        after = self._first(query)
        while True:
            self._more.clear()
            piece = b"".join(_text(line, query) for line in self._since(after, query.since))
            after = self._count
            if piece:
                piece = piece if left is None else piece[:left]
                left = None if left is None else left - len(piece)
                yield piece
            if not query.follow or self.closed or left == 0:
                return
            await self._more.wait()

    def _since(self, after: int, moment: datetime | None) -> list[Line]:
        return [line for line in self._lines if line.number > after and (moment is None or line.at >= moment)]

    def _first(self, query: LogQuery) -> int:
        if query.tail is None:
            return 0
        kept = self._since(0, query.since)
        return kept[-query.tail - 1].number if 0 <= query.tail < len(kept) else 0


def since(seconds: int) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def _text(line: Line, query: LogQuery) -> bytes:
    # Nanoseconds, as the runtime has them.
    stamp = line.at.strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode() if query.timestamps else b""
    return stamp + line.text + b"\n"
