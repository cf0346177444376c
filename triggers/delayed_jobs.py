"""Asynchronous calls that were put off: when they are due, asked of a gateway a few times a minute."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from springtide.runtime.errors import SpringtideError, Unsupported
from springtide.runtime.outage import Outage
from springtide.scaler.core.prewarm import CallSource, ExpectedCall
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant

UNSUPPORTED_S = 300.0
"""Between questions where there are no queues: a broker may be set up later."""


class DelayedListing(Protocol):
    async def delayed(self) -> Mapping[FunctionRef, Sequence[float]]:
        """When they are due, the earliest first. Raises Unsupported where there are no queues, and SpringtideError."""


class DelayedJobs:
    """Implements ``ports.ExpectedCalls``; ``follow`` keeps it. While nobody answers it is what was last known."""

    def __init__(self, listing: DelayedListing, *, interval_s: float) -> None:
        self._listing = listing
        self._interval_s = interval_s
        self._due: Mapping[FunctionRef, Sequence[float]] = {}

    def __repr__(self) -> str:
        return f"<DelayedJobs of {len(self._due)} functions>"

    def next_call(self, function: Function, after: Instant) -> ExpectedCall | None:
        due = self._due.get(function.ref, ())
        place = bisect_right(due, after)
        return ExpectedCall(Instant(due[place]), CallSource.JOB) if place < len(due) else None

    async def follow(self, changed: Callable[[FunctionRef], None], *, wanted: Callable[[], bool]) -> None:
        """For ever. ``changed`` is called with each function whose jobs are not those of before; nobody is asked while
        nothing is ``wanted``."""
        outage = Outage("delayed calls are not known; their functions are not woken ahead of them")
        while True:
            pause_s = self._interval_s
            if wanted():
                try:
                    before, self._due = self._due, await self._listing.delayed()
                    outage.over()
                    for ref in before.keys() | self._due.keys():
                        if before.get(ref) != self._due.get(ref):
                            changed(ref)
                except Unsupported:
                    pause_s = UNSUPPORTED_S
                except SpringtideError as error:
                    outage.failed(str(error))
            await asyncio.sleep(pause_s)
