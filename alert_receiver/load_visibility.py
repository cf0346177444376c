"""Whether load can be seen at all, and since when. What that means for a step down is decided in ``scaler.core``."""

from __future__ import annotations

import math

from springtide.scaler.core.deliveries import LoadView
from springtide.scaler.core.ports import ActivitySource
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData


class LoadVisibility:
    """Looks at a function's calls in flight, and remembers when it last could not."""

    def __init__(self, source: ActivitySource) -> None:
        self._source = source
        self._last_gap: Instant | None = None

    async def look(self, ref: FunctionRef, now: Instant) -> LoadView:
        measured = (await self._source.activity([ref], now)).get(ref)
        in_flight = measured.in_flight if measured is not None else NoData("not measured")
        if isinstance(in_flight, NoData):
            self._last_gap = now
        return LoadView(in_flight, math.inf if self._last_gap is None else now - self._last_gap)
