"""Asynchronous calls that were put off: when they are due, asked of a gateway a few times a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from springtide.runtime.errors import SpringtideError, Unsupported
from springtide.runtime.outage import Outage
from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.ports import DelayedCallSource
from springtide.scaler.core.prewarm import ExpectedCall
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant

UNSUPPORTED_S = 300.0
"""Between questions where there are no queues: a broker may be set up later."""


class DelayedJobs:
    """Implements ``ports.ExpectedCalls``; ``follow`` keeps it. While nobody answers it is what was last known."""

    def __init__(self, source: DelayedCallSource, *, interval_s: float) -> None:
        self._source = source
        self._interval_s = interval_s
        self._calls = DelayedCalls()

    def __repr__(self) -> str:
        return f"<DelayedJobs of {len(self._calls.due)} functions>"

    def next_call(self, function: Function, after: Instant) -> ExpectedCall | None:
        return self._calls.next_call(function.ref, after)

    async def follow(self, changed: Callable[[FunctionRef], None], *, wanted: Callable[[], bool]) -> None:
        """For ever. ``changed`` is called with each function whose jobs are not those of before; nobody is asked while
        nothing is ``wanted``."""
        outage = Outage("delayed calls are not known; their functions are not woken ahead of them")
        while True:
            pause_s = self._interval_s
            if wanted():
                try:
                    before, self._calls = self._calls.due, await self._source.delayed()
                    outage.over()
                    for ref in before.keys() | self._calls.due.keys():
                        if before.get(ref) != self._calls.due.get(ref):
                            changed(ref)
                except Unsupported:
                    pause_s = UNSUPPORTED_S
                except SpringtideError as error:
                    outage.failed(str(error))
            await asyncio.sleep(pause_s)
