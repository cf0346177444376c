"""A function's log for those who ask: what is kept, and with ``follow`` what comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from springtide.provider.machine.log_files import LogReader, StoredLine
from springtide.provider.ports import LogLine, LogQuery
from springtide.scaler.core.vocabulary import Instant

FOLLOW_PAUSE_S = 0.1
"""Between two looks at a file that is followed: one stat and one read of nothing."""


async def stream(folder: Path, query: LogQuery, ended: Callable[[], bool]) -> AsyncGenerator[LogLine, None]:
    """Lines oldest first; following ends once ``ended`` says that no more will come."""
    reader = await asyncio.to_thread(LogReader, folder)
    try:
        kept = [line for line in await asyncio.to_thread(reader.kept) if _wanted(query, line)]
        for line in kept if query.tail is None else kept[max(0, len(kept) - query.tail) :]:
            yield _line(query, line)
        while query.follow:
            last = ended()
            for line in reader.more():
                if _wanted(query, line):
                    yield _line(query, line)
            if last:
                break
            await asyncio.sleep(FOLLOW_PAUSE_S)
    finally:
        reader.close()


def _wanted(query: LogQuery, line: StoredLine) -> bool:
    return query.instance in (None, line.instance) and (query.since is None or line.at >= query.since)


def _line(query: LogQuery, line: StoredLine) -> LogLine:
    return LogLine(query.ref, line.instance, Instant(line.at), line.text)
