"""The control loop's own rule over a real provider and a real source of levels, without the part's timers.

Levels are measured as they are; the rule's clock goes on by a second with each look, so that a test need not wait for
what it allows itself half a minute for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from springtide.provider.ports import Provider
from springtide.scaler.core import loop
from springtide.scaler.core.loads import loads_of
from springtide.scaler.core.loop import LoopHistory
from springtide.scaler.core.observation import Level, Observation, Signal
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import LevelSource
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Writer

PATIENCE_S = 60.0


class LevelLoop:
    def __init__(self, provider: Provider, ref: FunctionRef, source: LevelSource) -> None:
        self._provider, self._ref, self._source = provider, ref, source
        self._history = LoopHistory()
        self._now = 1_000_000.0

    async def look(self) -> Decision:
        """Measure, decide, write."""
        function = replace(await self._provider.read(self._ref), owner=Writer.SCALER)
        policy, problems = ScalePolicy.from_labels(function.labels)
        loads, wrong = loads_of(function.labels, function.annotations)
        self._now += 1
        known = self._source.levels({self._ref: loads}, Instant(time.time()))
        signals = {load.name: self._stamped(known[self._ref, load.name]) for load in loads}
        seen = Observation(function, signals)
        made = loop.decide(policy, loads, self._history, seen, Instant(self._now), problems=(*problems, *wrong))
        self._history = made.unwritten
        if made.decision.changes:
            scale = function.scale
            await self._provider.write(self._ref, made.decision.after, expect=scale.version, decision=made.decision)
            self._history = made.written
        return made.decision

    async def until(self, true: Callable[[Decision], bool]) -> Decision:
        """Look on until a decision is as wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while not true(made := await self.look()):  # noqa: ASYNC110 - a real source has no event
                await asyncio.sleep(0.05)
        return made

    def _stamped(self, signal: Signal) -> Signal:
        return Level(signal.value, Instant(self._now)) if isinstance(signal, Level) else signal
