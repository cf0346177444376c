"""Tells the provider's decision log why a part left a function alone, so that people find every reason in one place.

Changes are not told here: they travel with the write itself.
"""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import BadInput, NotFound, SpringtideError, Unsupported
from springtide.runtime.outage import Outage
from springtide.runtime.service import BackgroundTask
from springtide.scaler.core.vocabulary import Decision
from springtide.wire.decision_log import HoldMemory
from springtide.wire.provider_client import ProviderClient

MAX_WAITING = 1_000
GATHER_S = 0.2
"""Holds of one sweep travel together."""

RETRY = Backoff(min_s=0.4, max_s=10.0)
"""While the provider is away: among what waits is why its replicas could not be written."""

log = structlog.get_logger()


class HoldReporter:
    """A Recorder and a Service. A hold that repeats the one before is told once.

    While the provider is away they wait, the newest of them; what it refuses is dropped.
    """

    name = "hold-reporter"

    def __init__(self, provider: ProviderClient) -> None:
        self._provider = provider
        self._waiting: deque[Decision] = deque(maxlen=MAX_WAITING)
        self._told = HoldMemory()
        self._more = asyncio.Event()
        self._task = BackgroundTask(self.name)

    def __repr__(self) -> str:
        return f"<HoldReporter {len(self._waiting)} waiting>"

    def record(self, decision: Decision) -> None:
        if self._told.is_news(decision) and not decision.changes:
            self._waiting.append(decision)
            self._more.set()

    async def start(self) -> None:
        self._task.start(self._report())

    async def stop(self) -> None:
        await self._task.stop()

    async def wait(self) -> None:
        await self._task.wait()

    async def _report(self) -> None:
        failures, outage = 0, Outage("decisions wait to be told")
        while True:
            await self._more.wait()
            await asyncio.sleep(RETRY.delay_s(failures) or GATHER_S)
            self._more.clear()
            told, self._waiting = list(self._waiting), deque(maxlen=MAX_WAITING)
            try:
                await self._provider.report(told)
            except (NotFound, Unsupported):
                log.info("the provider keeps no decisions; the reasons of holds are in /metrics only")
                await asyncio.Event().wait()
            except BadInput as error:
                log.warning("decisions were not told", count=len(told), error=str(error))
            except SpringtideError as error:
                outage.failed(str(error), count=len(told))
                failures += 1
                self._waiting = deque([*told, *self._waiting], maxlen=MAX_WAITING)
                self._more.set()
            else:
                failures = 0
                outage.over()
