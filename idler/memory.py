"""Who is to sleep early because the functions of this machine take more memory than they may.

What decides is ``scaler.core.keepalive.pressure``; who goes to zero goes there as everybody does (``zeroing``). A
function whose size or calls are not known is left alone, and what is not known of its size counts for nothing: so it is
certain that there is too little room whenever anybody is sent to sleep for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from springtide.idler.metrics import IdlerMetrics
from springtide.idler.zeroing import Candidate
from springtide.runtime.deadlines import within
from springtide.runtime.errors import SpringtideError
from springtide.runtime.outage import Outage
from springtide.scaler.core import explain
from springtide.scaler.core.keepalive.pressure import Ages, Awake, Worth, first_to_sleep
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant, Sample

log = structlog.get_logger()


class MemoryMeter(Protocol):
    async def memory_bytes(self) -> Mapping[FunctionRef, float]:
        """Of all replicas of a function together, of those of which it is known. Raises SpringtideError."""


class WorthSource(Protocol):
    async def worths(self, refs: Iterable[FunctionRef]) -> Mapping[FunctionRef, Worth]:
        """Of those whose calls are known. Raises SpringtideError."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """``used_bytes`` is what functions that are awake take at least, ``sizes`` of those of which it is known."""

    used_bytes: float
    bound_bytes: float
    sizes: Mapping[FunctionRef, float]

    def needed_bytes(self, leaving: Collection[FunctionRef]) -> float:
        """What has to become free, beside what those take that sleep anyhow."""
        return self.used_bytes - self.bound_bytes - sum(self.sizes.get(ref, 0.0) for ref in leaving)


class MemoryBound:
    """Of one machine. ``worths`` None: nobody tells how often functions are called, and nobody sleeps early."""

    def __init__(
        self,
        bound_bytes: float,
        meter: MemoryMeter,
        worths: WorthSource | None,
        *,
        deadline_s: float,
        metrics: IdlerMetrics,
    ) -> None:
        self._bound_bytes, self._meter, self._worths = bound_bytes, meter, worths
        self._deadline_s, self._metrics = deadline_s, metrics
        self._ages = Ages()
        self._unmeasured = Outage("the memory of functions is not known, nobody sleeps early for it")
        self._unranked = Outage("memory is short, and what functions are worth is not known: nobody sleeps early")
        self._stuck = Outage("functions take more memory than they may, and nobody can sleep for it")

    def __repr__(self) -> str:
        return f"<MemoryBound of {self._bound_bytes:.0f} bytes>"

    def look(self, last_active: Mapping[FunctionRef, Instant]) -> None:
        """When each function that is awake was called last: before ``shortage``, each time."""
        self._ages = self._ages.seen(last_active)

    async def shortage(self, functions: Sequence[Function]) -> Shortage | None:
        """None while there is room, or while that is not known."""
        try:
            asked = self._meter.memory_bytes()
            measured = await within(self._deadline_s, "the memory of functions", asked)
        except SpringtideError as error:
            self._metrics.failed("memory")
            self._metrics.took(None, self._bound_bytes)
            self._unmeasured.failed(str(error))
            return None
        # What has been taken to zero already is about to give back what it still takes.
        awake = [function.ref for function in functions if function.scale.desired]
        sizes = {ref: measured[ref] for ref in awake if measured.get(ref, 0.0) > 0}
        used_bytes = sum(sizes.values())
        self._metrics.took(used_bytes if sizes or not awake else None, self._bound_bytes)
        if awake and not sizes:
            self._unmeasured.failed("the provider does not tell it of any function that is awake")
        else:
            self._unmeasured.over()
        if used_bytes <= self._bound_bytes:
            self._stuck.over()
            return None
        return Shortage(used_bytes, self._bound_bytes, sizes)

    async def sleepers(self, short: Shortage, idle: Sequence[Candidate], needed_bytes: float) -> list[Candidate]:
        """Who of those that are ``idle`` is to sleep early, so that so many bytes become free."""
        worths = await self._worth_of([each.function.ref for each in idle if each.function.ref in short.sizes])
        by_ref = {each.function.ref: each for each in idle if each.function.ref in worths}
        awake = [
            Awake(ref, short.sizes[ref], worths[ref], self._ages.of(ref), in_flight=_in_flight(each), may_sleep=True)
            for ref, each in by_ref.items()
        ]
        refs, clock = first_to_sleep(awake, needed_bytes, self._ages.clock)
        self._ages = replace(self._ages, clock=clock)
        if not refs:
            self._stuck.failed(
                f"{short.used_bytes:.0f} of {short.bound_bytes:.0f} bytes; all others are busy, or not known"
            )
            return []
        self._stuck.over()
        log.info(
            "memory is short",
            used_bytes=round(short.used_bytes),
            bound_bytes=round(short.bound_bytes),
            sleep=[str(ref) for ref in refs],
        )
        return [replace(by_ref[ref], memory_short=_said(short, ref, worths[ref])) for ref in refs]

    async def _worth_of(self, refs: Sequence[FunctionRef]) -> Mapping[FunctionRef, Worth]:
        if not refs:
            return {}
        if self._worths is None:
            self._unranked.failed("no gateway to ask: gateway_urls is empty")
            return {}
        try:
            told = await within(self._deadline_s, "what functions are worth", self._worths.worths(refs))
        except SpringtideError as error:
            self._metrics.failed("memory")
            self._unranked.failed(str(error))
            return {}
        self._unranked.over()
        wanted = set(refs)
        return {ref: worth for ref, worth in told.items() if ref in wanted}


def _in_flight(candidate: Candidate) -> float:
    measured = candidate.activity.in_flight
    assert isinstance(measured, Sample), "the idle rule holds what is not known"
    return measured.value


def _said(short: Shortage, ref: FunctionRef, worth: Worth) -> str:
    return explain.memory_short(
        short.used_bytes, short.bound_bytes, short.sizes[ref], worth_s=worth.worth_s, calls_per_s=worth.calls_per_s
    )
