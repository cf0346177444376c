"""Milli-cores of each function: the rate between two looks at what the provider counts, or the cluster's own rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from springtide.scaler.core import targets
from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Level
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData
from springtide.scaler.sources.polling import Polling
from springtide.wire.processor_use import CpuRate, CpuTotal, ProcessorUse, ProcessorUses

INTERVAL_S = 2.0
"""Between two looks at totals, whose difference is the rate: the kernel counts in hundredths of a second."""
RATES_INTERVAL_S = 10.0
"""Between two looks at a metrics server's rates, which it takes anew every 15 s or more."""
MIN_SPAN_S, MAX_SPAN_S = 0.5, 60.0
"""Between the two looks that a rate is of; one over longer would hide what happens now."""
MAX_AGE_S = 10.0
"""Of a rate of our own: five looks."""
MAX_RATE_AGE_S = 90.0
"""Of a metrics server's: it tells of 15 to 60 s ago, and one scrape may fail."""
DEADLINE_S = 5.0


class ProcessorMeter(Protocol):
    """Who measures, such as the provider's client."""

    async def processor_uses(self) -> ProcessorUses:
        """Raises a SpringtideError when that cannot be known."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One function in one answer, at that instant of the provider's clock."""

    at: Instant
    use: ProcessorUse


class ProcessorTime:
    """Implements LevelSource for loads of type ``cpu``. The provider is asked only while there are such loads.

    Ages are counted from when the question was asked and on the provider's clock before that, so that the two clocks
    need not agree.
    """

    def __init__(self, meter: ProcessorMeter, *, deadline_s: float = DEADLINE_S) -> None:
        self._meter = meter
        self._polling = Polling(self._ask, who="the provider", interval_s=INTERVAL_S, deadline_s=deadline_s)
        self._looks: dict[FunctionRef, _Look] = {}
        self._known: dict[FunctionRef, Level | NoData] = {}

    def __repr__(self) -> str:
        return f"<ProcessorTime of {len(self._known)} functions by {self._meter!r}>"

    async def aclose(self) -> None:
        await self._polling.aclose()

    def levels(
        self, loads: Mapping[FunctionRef, Sequence[Load]], now: Instant
    ) -> dict[tuple[FunctionRef, str], Level | NoData]:
        wanted = [(ref, load.name) for ref, own in loads.items() for load in own if load.type is targets.CPU]
        if wanted:
            self._polling.look(now)
        return {(ref, name): self._level(ref, now) for ref, name in wanted}

    async def _ask(self, asked_at: Instant) -> None:
        self._heard(await self._meter.processor_uses(), asked_at)

    def _heard(self, uses: ProcessorUses, asked_at: Instant) -> None:
        looks = {ref: _Look(uses.at, use) for ref, use in uses.functions.items()}
        rates = any(isinstance(use, CpuRate) for use in uses.functions.values())
        self._polling.interval_s = RATES_INTERVAL_S if rates else INTERVAL_S
        known: dict[FunctionRef, Level | NoData] = {}
        for ref, look in looks.items():
            before = self._looks.get(ref)
            if before is not None and 0 <= look.at - before.at < MIN_SPAN_S:  # Too short for a rate, or the same look.
                looks[ref], known[ref] = before, self._known[ref]
            else:
                known[ref] = _level(before, look, asked_at)
        self._looks, self._known = looks, known

    def _level(self, ref: FunctionRef, now: Instant) -> Level | NoData:
        level = self._known.get(ref)
        if level is None:
            return self._polling.missing
        if isinstance(level, NoData):
            return level
        limit_s = MAX_RATE_AGE_S if isinstance(self._looks[ref].use, CpuRate) else MAX_AGE_S
        if now - level.at > limit_s:
            return self._polling.too_old("its processor time was last measured", limit_s)
        return level


def _level(before: _Look | None, look: _Look, asked_at: Instant) -> Level | NoData:
    match look.use:
        case NoData():
            return look.use
        case CpuRate(millicores, at):
            return Level(millicores, Instant(asked_at - max(0.0, look.at - at)))
        case CpuTotal() as total:
            return _rate(before, look.at, total, asked_at)


def _rate(before: _Look | None, at: Instant, total: CpuTotal, asked_at: Instant) -> Level | NoData:
    if before is None or not isinstance(before.use, CpuTotal):
        return NoData("its processor time was looked at once; a rate needs two looks")
    span_s, used_s = at - before.at, total.seconds - before.use.seconds
    if total.since != before.use.since or used_s < 0:
        return NoData("its processor time is counted anew; a rate needs two looks")
    if not 0 < span_s <= MAX_SPAN_S:
        return NoData("its processor time was not looked at for too long; a rate needs two looks")
    return Level(used_s / span_s * 1000, asked_at)
