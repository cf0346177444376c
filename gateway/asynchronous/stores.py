"""What one process asks of the broker, opened when it is first needed."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from springtide.runtime.errors import Unavailable, Unsupported
from springtide.wire.jobs.nats_package import REMEDY as INSTALLING
from springtide.wire.jobs.nats_package import nats_needed
from springtide.wire.jobs.ports import DeadLetters, DelayedList, JobList, JobStore, Transfer
from springtide.wire.jobs.settings import BrokerSettings

REMEDY = f"{INSTALLING}, or set nats_url to a NATS server with JetStream"


@dataclass(frozen=True, slots=True)
class Opened:
    store: JobStore
    letters: DeadLetters
    listing: JobList
    delayed: DelayedList
    transfer: Transfer


class Stores:
    """Its client is an extra, and not a small one, so that it is imported only with the first asynchronous call."""

    def __init__(self, settings: BrokerSettings, *, name: str) -> None:
        self._settings = settings
        self._name = name
        self._lock = asyncio.Lock()
        self._close: Callable[[], Awaitable[None]] | None = None
        self._opened: Opened | None = None
        self._closed = False
        self._reconnects: Callable[[], int] = int

    def __repr__(self) -> str:
        return f"<Stores at {', '.join(self._settings.nats_url) or 'none'}>"

    @property
    def configured(self) -> bool:
        return bool(self._settings.nats_url)

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and made again."""
        return self._reconnects()

    async def open(self) -> JobStore:
        """Raises as ``all`` does."""
        return (await self.all()).store

    async def all(self) -> Opened:
        """Raises Unsupported where there is no broker, or nothing to speak with it; Unavailable once this is closed."""
        if self._opened is None:
            if not self.configured:
                raise Unsupported(f"asynchronous calls need a NATS server, and none is set; {REMEDY}")
            async with self._lock:
                if self._closed:
                    raise Unavailable("the gateway stops, and asks the queue's server nothing more")
                if self._opened is None:
                    self._opened = await self._open()
        return self._opened

    async def aclose(self) -> None:
        """Also what is being opened: it is not opened again."""
        self._closed = True
        async with self._lock:
            if self._close is not None:
                await self._close()

    async def _open(self) -> Opened:
        with nats_needed("asynchronous calls need", remedy=REMEDY):
            # In a thread: it takes a tenth of a second, and calls go on meanwhile.
            await asyncio.to_thread(importlib.import_module, "springtide.wire.jobs.nats.store")
        from springtide.wire.jobs.nats.broker import Broker  # noqa: PLC0415 - see above
        from springtide.wire.jobs.nats.dead import NatsDeadLetters  # noqa: PLC0415
        from springtide.wire.jobs.nats.delayed import NatsDelayedCalls  # noqa: PLC0415
        from springtide.wire.jobs.nats.listing import NatsJobList  # noqa: PLC0415
        from springtide.wire.jobs.nats.store import NatsJobStore  # noqa: PLC0415
        from springtide.wire.jobs.nats.transfer import NatsTransfer  # noqa: PLC0415

        broker = Broker(self._settings, name=self._name)
        self._close = broker.aclose
        self._reconnects = lambda: broker.connection.reconnects
        return Opened(
            store=NatsJobStore(broker),
            letters=NatsDeadLetters(broker),
            listing=NatsJobList(broker),
            delayed=NatsDelayedCalls(broker),
            transfer=NatsTransfer(broker),
        )
