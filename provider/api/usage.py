"""``GET /system/usage``: what functions use of the processors, and their memory. However many ask, once a second."""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse, Response

from springtide.provider.ports import Provider
from springtide.runtime.routes import Routes
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import Instant
from springtide.wire import processor_use
from springtide.wire.processor_use import ProcessorUses

FRESH_S = 1.0


class _Measurement:
    """The last one, for all who ask while it is fresh. Nothing is measured while nobody asks."""

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider, self._clock = provider, clock
        self._one_at_a_time = asyncio.Lock()
        self._last: ProcessorUses | None = None
        self._began = 0.0

    async def uses(self) -> ProcessorUses:
        async with self._one_at_a_time:
            if self._last is None or self._clock.now() - self._began >= FRESH_S:
                self._began, at = self._clock.now(), Instant(self._clock.wall())
                use = await self._provider.processor_use()
                self._last = ProcessorUses(at, use, await self._provider.memory_use())
            return self._last


def router(provider: Provider, clock: Clock) -> Routes:
    routes = Routes()
    measurement = _Measurement(provider, clock)

    @routes.get(processor_use.PATH)
    async def usage() -> Response:
        return JSONResponse(processor_use.to_json(await measurement.uses()))

    return routes
