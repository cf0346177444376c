"""Tells the provider's decision log why a part left a function alone, so that people find every reason in one place.

Changes are not told here: they travel with the write itself.
"""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from runtime.errors import NotFound, SpringtideError, Unsupported
from scaler.core.vocabulary import Decision, FunctionRef, Reason, Writer
from scaler.provider_client import ProviderClient

MOST_WAITING = 1_000
MOST_REMEMBERED = 10_000
PAUSE_S = 0.2
"""Holds of one sweep travel together."""

log = structlog.get_logger()


class HoldReporter:
    """A Recorder and a Service. A hold repeated for the same reason is told once; what cannot be told is dropped."""

    name = "hold-reporter"

    def __init__(self, provider: ProviderClient) -> None:
        self._provider = provider
        self._waiting: deque[Decision] = deque(maxlen=MOST_WAITING)
        self._told: dict[tuple[FunctionRef, Writer], Reason] = {}
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<HoldReporter {len(self._waiting)} waiting>"

    def record(self, decision: Decision) -> None:
        key = (decision.ref, decision.writer)
        if decision.changes:
            self._told.pop(key, None)
            return
        if self._told.get(key) is decision.reason:
            return
        if len(self._told) >= MOST_REMEMBERED:
            self._told.clear()
        self._told[key] = decision.reason
        self._waiting.append(decision)
        self._more.set()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._report(), name=self.name)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def wait(self) -> None:
        assert self._task is not None
        await asyncio.shield(self._task)

    async def _report(self) -> None:
        while True:
            await self._more.wait()
            await asyncio.sleep(PAUSE_S)
            self._more.clear()
            told, self._waiting = list(self._waiting), deque(maxlen=MOST_WAITING)
            try:
                await self._provider.report(told)
            except (NotFound, Unsupported):
                log.info("the provider keeps no decisions; reasons are in this log and in /metrics only")
                await asyncio.Event().wait()
            except SpringtideError as error:
                log.warning("decisions were not told", count=len(told), error=str(error))
                self._told.clear()
