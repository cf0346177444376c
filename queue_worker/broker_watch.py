"""A look at the broker now and then: whether it answers, and what it keeps. For people; no job waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from springtide.runtime.errors import SpringtideError
from springtide.wire.jobs import names
from springtide.wire.jobs.server_seen import BrokerSeen, StreamSeen

LOOK_S = 10.0


class BrokerView(Protocol):
    @property
    def reconnects(self) -> int:
        """How often the connection was lost and made again."""
        ...

    async def seen(self) -> BrokerSeen:
        """Raises a SpringtideError while it is away, or has no JetStream for us."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSeen:
    """``None``: not known. ``oldest_at`` 0: the queue is empty. ``sync_s``: how long a write may be on no disk."""

    stores: bool
    """Nothing says that it does not."""
    last_number: int
    """Of the newest job that ever came into the queue."""
    oldest_at: float
    dead: int
    delayed: int
    callbacks: int
    stored_bytes: int
    max_stored_bytes: int | None
    sync_s: float | None
    lost_bytes: int | None
    """Of all streams of which it is known; None while it cannot write."""


class Watcher(Protocol):
    def broker_seen(self, seen: QueueSeen, *, reconnects: int) -> None: ...

    def broker_away(self) -> None: ...


async def watch(view: BrokerView, queue: str, watcher: Watcher) -> None:
    """For ever."""
    while True:
        try:
            seen = await view.seen()
        except SpringtideError:
            watcher.broker_away()  # the loops that work with it say so in the log
        else:
            watcher.broker_seen(queue_seen(seen, queue), reconnects=view.reconnects)
        await asyncio.sleep(LOOK_S)


def queue_seen(seen: BrokerSeen, queue: str) -> QueueSeen:
    """A stream that is not there has had nothing yet. Of the bounds of account and server it is the one that is nearer
    to being reached."""
    streams = {stream.name: stream for stream in seen.server.streams}
    stream, monitoring = streams.get(names.stream(queue)), seen.monitoring
    lost = [one.lost_bytes for one in seen.server.streams if one.lost_bytes is not None]
    bounds = [(seen.server.stored_bytes, seen.server.max_stored_bytes)]
    if monitoring is not None:
        bounds.append((monitoring.stored_bytes, monitoring.max_stored_bytes))
    known = [(kept / limit, kept, limit) for kept, limit in bounds if limit]
    _, kept, limit = max(known, default=(0.0, seen.server.stored_bytes, None))
    return QueueSeen(
        stores=seen.stores,
        last_number=stream.last_number if stream else 0,
        oldest_at=stream.first_at if stream else 0.0,
        dead=_messages(streams.get(names.dead_stream(queue))),
        delayed=_messages(streams.get(names.DELAYED)),
        callbacks=_messages(streams.get(names.CALLBACKS)),
        stored_bytes=kept,
        max_stored_bytes=limit,
        # What it could not write counts as lost until it is started anew; nobody was told that it was accepted.
        lost_bytes=sum(lost) if lost and seen.stores else None,
        sync_s=None if monitoring is None else 0.0 if monitoring.sync_always else monitoring.sync_interval_s,
    )


def _messages(stream: StreamSeen | None) -> int:
    return stream.messages if stream else 0
