"""Log lines of one function, the newest kept, with followers that never hold up the writer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from springtide.provider.ports import LogLine, LogQuery

MAX_LINES = 1_000
MAX_UNREAD = 1_000
"""A follower that lags further behind loses the oldest lines it has not read."""

_END = None


class LogBuffer:
    """The last lines, oldest first."""

    def __init__(self, most: int = MAX_LINES) -> None:
        self._lines: deque[LogLine] = deque(maxlen=most)
        self._followers: set[asyncio.Queue[LogLine | None]] = set()

    def __repr__(self) -> str:
        return f"<LogBuffer {len(self._lines)} lines, {len(self._followers)} followers>"

    def append(self, line: LogLine) -> None:
        self._lines.append(line)
        self._tell(line)

    def close(self) -> None:
        """The function is gone: followers read what they have, then end."""
        self._tell(_END)

    async def read(self, query: LogQuery) -> AsyncGenerator[LogLine, None]:
        """What the query asks for; with ``follow``, then each new line until the buffer is closed."""
        queue: asyncio.Queue[LogLine | None] = asyncio.Queue(MAX_UNREAD)
        kept = [line for line in self._lines if _matches(query, line)]
        if query.follow:
            self._followers.add(queue)
        try:
            for line in kept if query.tail is None else kept[max(0, len(kept) - query.tail) :]:
                yield line
            while query.follow and (new := await queue.get()) is not _END:
                if _matches(query, new):
                    yield new
        finally:
            self._followers.discard(queue)

    def _tell(self, line: LogLine | None) -> None:
        for queue in self._followers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(line)


def _matches(query: LogQuery, line: LogLine) -> bool:
    return query.instance in (None, line.instance) and (query.since is None or line.at >= query.since)
