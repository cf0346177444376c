"""Whether load can be seen at all. Alertmanager resolves the alerts of a Prometheus that went away, too."""

from __future__ import annotations

from springtide.scaler.core.ports import ActivitySource
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData, Sample


class LoadVisibility:
    """Asked before a step down: a resolved alert says that load is gone only while load is being measured."""

    def __init__(self, source: ActivitySource, *, settle_s: float) -> None:
        """After an interruption the measurements must have been there for ``settle_s`` seconds: long enough for an
        alert whose load never ended to fire again."""
        self._source = source
        self._settle_s = settle_s
        self._blind_at: Instant | None = None

    async def look(self, ref: FunctionRef, now: Instant) -> Sample | NoData:
        """The calls in flight on ``ref``, or why the load is not known."""
        measured = (await self._source.activity([ref], now)).get(ref)
        in_flight = measured.in_flight if measured is not None else NoData("not measured")
        if isinstance(in_flight, NoData):
            self._blind_at = now
            return NoData(f"load is not measured ({in_flight.why}), so the alert may have ended for that reason")
        if self._blind_at is not None and now - self._blind_at < self._settle_s:
            return NoData(f"load is measured again for less than {self._settle_s:g} s")
        return in_flight
