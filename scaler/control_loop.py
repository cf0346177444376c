"""The control loop's shell: it looks each second, decides by ``scaler.core.loop``, writes, and remembers.

What a gateway has just told is looked at at once, so that a load is answered within a look or two. A copy that does not
lead looks and remembers like one that does, and writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from springtide.scaler.core import catalogue, loop, targets
from springtide.scaler.core.loads import Load
from springtide.scaler.core.loop import LoopHistory, Outcome
from springtide.scaler.core.observation import CALLS, Calls, Level, Observation, Signal, signal_key
from springtide.scaler.core.ports import Clock, Leadership, LevelSource, Recorder, ScaleTarget
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData, Writer
from springtide.scaler.function_table import Followed, FunctionTable
from springtide.scaler.holds import Holds
from springtide.scaler.learned_wakes import LearnedWakes
from springtide.scaler.metrics import ScalerMetrics, Series
from springtide.scaler.scale_writer import ScaleWriter
from springtide.scaler.settings import ScalerSettings
from springtide.wire.decision_log import Recorders
from springtide.wire.instruments import DecisionCounter
from springtide.wire.leadership import Always

YIELD_EVERY = 25
"""Functions decided on before others in this process have a turn: some milliseconds."""
LATE_SHARE = 0.25
"""Of the interval, by which a look may wait for what gateways tell, or come early because they have told."""

KINDS = (CALLS, targets.CPU.name, targets.QUEUE.name, "own")
"""Kinds of signals, as metrics tell them."""


class CallSource(Protocol):
    """The calls of each function, over all gateways."""

    heard: asyncio.Event
    """Set when something new was told; whoever waits for it clears it."""

    def calls(self, ref: FunctionRef, now: Instant) -> Calls | NoData: ...

    async def run(self) -> None:
        """Listen for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlLoopDeps:
    """What the loop works with. ``registry`` is its own."""

    functions: FunctionTable
    calls: CallSource
    levels: LevelSource
    target: ScaleTarget
    registry: CollectorRegistry
    recorder: Recorder
    clock: Clock
    leadership: Leadership = field(default_factory=Always)
    wakes: LearnedWakes | None = None


class ControlLoop:
    """Remembers each function between looks; what it cannot see it leaves, or lets grow by what it knows."""

    def __init__(self, settings: ScalerSettings, deps: ControlLoopDeps) -> None:
        self._settings = settings
        self._deps = deps
        self._metrics = ScalerMetrics(deps.registry)
        self._recorder = Recorders([DecisionCounter(deps.registry, Writer.SCALER), deps.recorder])
        self._writer = ScaleWriter(
            deps.target,
            clock=deps.clock,
            recorder=self._recorder,
            deadline_s=settings.deadline_s,
            log_event="followed its load",
            leadership=deps.leadership,
        )
        self._histories: dict[FunctionRef, LoopHistory] = {}
        self._writes = asyncio.Semaphore(settings.concurrency)
        self._holds = Holds()
        self._led = False
        """Whether this copy did at the last look: one that takes over tells every hold anew."""
        self._writing: set[FunctionRef] = set()
        """Passed over until it is known what became of their write, which holds up no other."""

    def __repr__(self) -> str:
        return f"<ControlLoop {len(self._histories)} functions>"

    async def run(self) -> None:
        """For ever; an error of anything that runs beside it ends it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._deps.functions.follow(), name="functions")
            group.create_task(self._deps.calls.run(), name="calls")
            group.create_task(self._look_for_ever(group), name="looks")

    async def _look_for_ever(self, group: asyncio.TaskGroup) -> None:
        clock, interval_s = self._deps.clock, self._settings.interval_s
        while True:
            started = clock.now()
            for write in await self._look(Instant(clock.wall())):
                group.create_task(write, name="write")
            await asyncio.sleep(max(0.0, started + interval_s * (1 - LATE_SHARE) - clock.now()))
            self._deps.calls.heard.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, started + interval_s * (1 + LATE_SHARE) - clock.now())):
                    await self._deps.calls.heard.wait()

    async def _look(self, now: Instant) -> list[Coroutine[Any, Any, None]]:
        """Decide once for every function that is ours; the writes of what changes."""
        started = self._deps.clock.now()
        owned = [each for each in self._deps.functions.functions if each.function.owner is Writer.SCALER]
        ours = [each for each in owned if each.function.ref not in self._writing]
        outcomes = await self._decided(ours, now)
        leads = self._deps.leadership.hold() is not None
        writes: list[Coroutine[Any, Any, None]] = []
        for each, outcome in zip(ours, outcomes, strict=True):
            self._histories[each.function.ref] = outcome.unwritten
            if outcome.decision.changes and leads:
                self._writing.add(each.function.ref)
                writes.append(self._write(each, outcome))
            elif leads and not (self._led and outcome.repeats):
                self._recorder.record(outcome.decision)
        self._led = leads
        if leads and self._deps.wakes is not None:
            self._deps.wakes.tell(((each.function, each.policy) for each in ours), self._histories, now)
        refs = {each.function.ref for each in owned}
        self._histories = {ref: history for ref, history in self._histories.items() if ref in refs}
        self._tell(ours, outcomes, took_s=self._deps.clock.now() - started)
        return writes

    async def _decided(self, ours: Sequence[Followed], now: Instant) -> list[Outcome]:
        loads: dict[FunctionRef, Sequence[Load]] = {each.function.ref: each.loads for each in ours}
        levels = self._deps.levels.levels(loads, now)
        unread = self._deps.functions.unread
        outcomes = []
        for number, each in enumerate(ours, 1):
            observation = Observation(each.function, self._signals(each, levels, now), unread, each.wakes)
            history = self._histories.get(each.function.ref) or LoopHistory()
            outcomes.append(loop.decide(each.policy, each.loads, history, observation, now, problems=each.problems))
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return outcomes

    def _signals(
        self, each: Followed, levels: Mapping[tuple[FunctionRef, str], Level | NoData], now: Instant
    ) -> dict[str, Signal]:
        ref, signals = each.function.ref, dict[str, Signal]()
        for load in each.loads:
            key = signal_key(load)
            if key == CALLS:
                signals[key] = self._deps.calls.calls(ref, now)
            elif (level := levels.get((ref, load.name))) is not None:
                signals[key] = level
        return signals

    def _tell(self, ours: Sequence[Followed], outcomes: Sequence[Outcome], *, took_s: float) -> None:
        """What was known of the loads, to Prometheus."""
        ages_s, unknown = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0)
        loads: dict[Series, float] = {}
        shares: dict[Series, float] = {}
        for each, outcome in zip(ours, outcomes, strict=True):
            name, inputs = str(each.function.ref), outcome.decision.inputs
            for load in each.loads:
                shares[name, load.name] = load.target
                kind, value = _kind(load), inputs.get(load.name)
                if value is None:
                    unknown[kind] += 1
                else:
                    loads[name, load.name] = value
                    ages_s[kind] = max(ages_s[kind], inputs.get(f"{load.name}_age_s", 0.0))
        kept = {str(ref) for ref in self._writing}
        self._metrics.signals(ages_s, unknown)
        self._metrics.functions(catalogue.CURRENT_LOAD, loads, kept=kept)
        self._metrics.functions(catalogue.FOLLOWED_TARGET, shares, kept=kept)
        self._metrics.functions(catalogue.HOLD_SECONDS, self._holds.at(outcomes, kept=self._writing), kept=kept)
        self._metrics.looked(at=self._deps.clock.wall(), took_s=took_s, owned=len(self._histories))

    async def _write(self, each: Followed, outcome: Outcome) -> None:
        ref, scale = each.function.ref, each.function.scale
        try:
            async with self._writes:
                done = await self._writer.write(
                    outcome.decision, each.policy, version=scale.version, owner=each.function.owner
                )
            if done.scale is not None:
                self._histories[ref] = outcome.written
                self._deps.functions.wrote(ref, done.scale, replaced=scale.version)
        finally:
            self._writing.discard(ref)


def _kind(load: Load) -> str:
    key = signal_key(load)
    return key if key in KINDS else KINDS[-1]
