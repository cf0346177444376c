"""The idler's loop: list every function, measure all of them at once, decide for each, take the idle ones to zero."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry

from springtide.idler.memory import MemoryBound, MemoryMeter, WorthSource
from springtide.idler.metrics import IdlerMetrics
from springtide.idler.rule import IdleRule
from springtide.idler.settings import IdlerSettings
from springtide.idler.zeroing import UNANSWERED, Candidate, Zeroing
from springtide.runtime.backoff import Backoff
from springtide.runtime.deadlines import within
from springtide.runtime.errors import SpringtideError, Unavailable, Unsupported
from springtide.runtime.outage import Outage
from springtide.scaler.core.idle import Activity, IdleHistory
from springtide.scaler.core.keepalive.rule import NotLearned
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.policy import ScalePolicy, ZeroPolicy
from springtide.scaler.core.ports import (
    ActivitySource,
    Clock,
    DelayedCallSource,
    ExpectedCalls,
    FunctionCatalog,
    Leadership,
    Recorder,
    ScaleTarget,
)
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, NoData, Reason, Sample, Writer
from springtide.scaler.scale_writer import ScaleWriter
from springtide.wire.decision_log import Recorders
from springtide.wire.instruments import DecisionCounter
from springtide.wire.leadership import Always

MAX_PAUSE_S = 60.0
"""Sweeps that fail come at longer and longer intervals, up to this (or the ordinary one, if that is longer)."""

Labels = tuple[ScalePolicy, tuple[str, ...]]
"""What a function's labels ask for, and what is wrong with them."""


EARLY = (Reason.RECENTLY_ACTIVE, Reason.TOO_YOUNG)
"""What memory that is short does not wait for. For everything else it does."""


class PlanSource(Protocol):
    """Who learns from pauses."""

    async def plans(self, refs: Iterable[FunctionRef]) -> Mapping[FunctionRef, LearnedSilence | NotLearned]:
        """Of those that are known there. Raises Unsupported where nobody learns, and other SpringtideErrors."""


_NOT_ASKED = Activity(NoData("not asked for"), NoData("not asked for"))

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdlerDeps:
    """What the idler works with. ``registry`` is its own; ``recheck`` is asked right before each write.

    A copy that does not lead measures like one that does, so that it can decide as soon as it leads.
    """

    catalog: FunctionCatalog
    target: ScaleTarget
    activity: ActivitySource
    recheck: ActivitySource | None
    registry: CollectorRegistry
    recorder: Recorder
    clock: Clock
    leadership: Leadership = field(default_factory=Always)
    expected: ExpectedCalls | None = None
    """Calls that are known to come: shortly before one a function stays awake."""
    delayed: DelayedCallSource | None = None
    """Asked right before each write, as ``recheck`` is."""
    sleep: PlanSource | None = None
    """Asked once a sweep for what was learned of pauses; while that is not known durations are fixed."""
    memory: MemoryMeter | None = None
    """Asked once a sweep where memory is bounded."""
    worths: WorthSource | None = None
    """Asked while memory is short."""


class Idler:
    """Remembers each function between sweeps; what it cannot see, it leaves as it is."""

    def __init__(self, settings: IdlerSettings, deps: IdlerDeps) -> None:
        self._settings = settings
        self._deps = deps
        self._metrics = IdlerMetrics(deps.registry)
        self._recorder = Recorders([DecisionCounter(deps.registry, Writer.IDLER), deps.recorder])
        writer = ScaleWriter(
            deps.target,
            clock=deps.clock,
            recorder=self._recorder,
            deadline_s=settings.deadline_s,
            log_event="took to zero",
            leadership=deps.leadership,
        )
        self._rule = IdleRule(settings, deps.expected)
        self._zeroing = Zeroing(
            settings,
            self._rule,
            target=deps.target,
            writer=writer,
            recheck=deps.recheck,
            delayed=deps.delayed,
            clock=deps.clock,
            metrics=self._metrics,
        )
        self._memory = _memory_bound(settings, deps, self._metrics)
        self._histories: dict[FunctionRef, IdleHistory] = {}
        self._missing: set[str] = set()
        self._unlearned = Outage("what pauses have taught is not known, silences are the fixed ones")

    def __repr__(self) -> str:
        mode = " dry-run" if self._settings.dry_run else ""
        return f"<Idler {len(self._histories)} functions{mode}>"

    async def run(self) -> None:
        """Sweep for ever. A sweep that fails is told and tried again later; any other error ends the loop."""
        if self._deps.recheck is None:
            log.warning("no gateway to ask before a write: a call since the last scrape will not be seen")
        if self._settings.sleep_memory is not None and self._memory is None:
            log.warning("nobody sleeps early where memory is short: gateway_metrics_urls is empty")
        if self._deps.delayed is None:
            log.warning("no gateway to ask for calls that were put off: gateway_urls is empty")
        failures, outage = 0, Outage("sweep failed, every function is left as it is")
        while True:
            started = self._deps.clock.now()
            try:
                await self.sweep(Instant(self._deps.clock.wall()))
                failures = 0
                outage.over()
            except SpringtideError as error:
                failures += 1
                outage.failed(str(error))
            due = started + pause_s(self._settings.sweep_s, failures)
            await asyncio.sleep(max(0.0, due - self._deps.clock.now()))

    async def sweep(self, now: Instant) -> list[Decision]:
        """Decide once for every function; a copy that does not lead decides nothing, and only remembers what it saw.

        Raises when the functions cannot be listed; then nothing was done.
        """
        started = self._deps.clock.now()
        functions = await self._listed()
        policies = {function.ref: ScalePolicy.from_labels(function.labels) for function in functions}
        opted_in = [ref for ref, (policy, problems) in policies.items() if policy.zero and not problems]
        measured, learned = await asyncio.gather(self._measured(opted_in, now), self._learned(functions, policies))
        decisions, candidates = self._decided(functions, policies, measured, learned, now)
        if self._deps.leadership.hold() is None:
            decisions = []
        else:
            early = await self._early(functions, policies, measured, learned, candidates, decisions, now)
            chosen = {candidate.function.ref for candidate in early}
            decisions = [hold for hold in decisions if hold.ref not in chosen]
            for hold in decisions:
                self._recorder.record(hold)
            decisions += await self._zeroing.run([*candidates, *early])
        self._metrics.swept(at=Instant(self._deps.clock.wall()), took_s=self._deps.clock.now() - started)
        return decisions

    def _decided(
        self,
        functions: Sequence[Function],
        policies: Mapping[FunctionRef, Labels],
        measured: Mapping[FunctionRef, Activity],
        learned: Mapping[FunctionRef, LearnedSilence],
        now: Instant,
    ) -> tuple[list[Decision], list[Candidate]]:
        """The holds, and what is idle on the first look."""
        holds: list[Decision] = []
        candidates: list[Candidate] = []
        histories: dict[FunctionRef, IdleHistory] = {}
        for function in functions:
            ref, activity = function.ref, measured.get(function.ref, _NOT_ASKED)
            before = self._histories.get(ref, IdleHistory())
            plan = learned.get(ref)
            decision, after = self._rule.decide(function, policies[ref], activity, before, now, learned=plan)
            histories[ref] = after
            if decision.changes:
                candidates.append(Candidate(function, activity, after, plan))
            else:
                holds.append(decision)
        self._histories = histories  # of functions that still exist, and of no others
        return holds, candidates

    async def _early(
        self,
        functions: Sequence[Function],
        policies: Mapping[FunctionRef, Labels],
        measured: Mapping[FunctionRef, Activity],
        learned: Mapping[FunctionRef, LearnedSilence],
        candidates: Sequence[Candidate],
        holds: Sequence[Decision],
        now: Instant,
    ) -> list[Candidate]:
        """Whose turn it is to sleep because memory is short, though its silence is not over."""
        if self._memory is None:
            return []
        awake = [function.ref for function in functions if function.scale.desired]
        actives = ((ref, measured.get(ref, _NOT_ASKED).last_active) for ref in awake)
        self._memory.look({ref: Instant(at.value) for ref, at in actives if isinstance(at, Sample)})
        short = await self._memory.shortage(functions)
        needed_bytes = short.needed_bytes([each.function.ref for each in candidates]) if short is not None else 0.0
        if short is None or needed_bytes <= 0:
            return []
        held, idle = {hold.ref for hold in holds if hold.reason in EARLY}, []
        for function in functions:
            if function.ref not in held:
                continue
            found = Candidate(
                function, measured[function.ref], self._histories[function.ref], learned.get(function.ref), ""
            )
            decision, _ = self._rule.decide(
                function,
                policies[function.ref],
                found.activity,
                found.history,
                now,
                learned=found.learned,
                memory_short=found.memory_short,
            )
            if decision.changes:
                idle.append(found)
        return await self._memory.sleepers(short, idle, needed_bytes)

    async def _listed(self) -> Sequence[Function]:
        listing = self._deps.catalog.list_functions()
        try:
            return await within(self._settings.deadline_s, "listing functions", listing)
        except SpringtideError:
            self._metrics.failed("functions")
            # Nothing was seen this time, so nothing was measured without a gap any more.
            self._histories = {ref: replace(known, measured_since=None) for ref, known in self._histories.items()}
            raise

    async def _measured(self, refs: Sequence[FunctionRef], now: Instant) -> Mapping[FunctionRef, Activity]:
        if not refs:
            return {}
        try:
            asked = self._deps.activity.activity(refs, now)
            measured = dict(await within(self._settings.deadline_s, "measuring", asked))
        except Unavailable as error:
            measured = dict.fromkeys(refs, Activity(NoData(str(error)), NoData(str(error))))
        answers = {ref: measured.get(ref, UNANSWERED) for ref in refs}
        self._count(list(answers.values()))
        return answers

    async def _learned(
        self, functions: Sequence[Function], policies: Mapping[FunctionRef, Labels]
    ) -> Mapping[FunctionRef, LearnedSilence]:
        """What is known of the pauses of functions that are awake and may sleep; a failure leaves durations fixed."""
        refs = [function.ref for function in functions if function.scale.desired and _may_learn(policies[function.ref])]
        if self._deps.sleep is None or not refs:
            return {}
        try:
            asked = self._deps.sleep.plans(refs)
            told = await within(self._settings.deadline_s, "what pauses have taught", asked)
        except Unsupported:
            return {}
        except SpringtideError as error:
            self._metrics.failed("sleep")
            self._unlearned.failed(str(error))
            return {}
        self._unlearned.over()
        return {ref: plan for ref, plan in told.items() if isinstance(plan, LearnedSilence)}

    def _count(self, answers: Sequence[Activity]) -> None:
        """How old each signal is. One that is there for no function at all is a failure of its source, told once."""
        signals = {
            "in_flight": [answer.in_flight for answer in answers],
            "last_active": [answer.last_active for answer in answers],
        }
        for signal, values in signals.items():
            newest = max((value.at for value in values if isinstance(value, Sample)), default=None)
            if newest is not None:
                self._metrics.measured(signal, at=newest)
            missing = [value.why for value in values if isinstance(value, NoData)]
            if len(missing) == len(values):
                self._metrics.failed(signal)
                if signal not in self._missing:
                    log.warning("nothing measured, functions are left as they are", signal=signal, why=missing[0])
                self._missing.add(signal)
            elif signal in self._missing:
                self._missing.discard(signal)
                log.info("measured again", signal=signal)


def _memory_bound(settings: IdlerSettings, deps: IdlerDeps, metrics: IdlerMetrics) -> MemoryBound | None:
    """Not without a second look at the gateways: who sleeps early was called a short time ago."""
    if settings.sleep_memory is None or deps.memory is None or deps.recheck is None:
        return None
    return MemoryBound(settings.sleep_memory, deps.memory, deps.worths, deadline_s=settings.deadline_s, metrics=metrics)


def _may_learn(labels: Labels) -> bool:
    """Whether its sleep may be learned; where its label is silent, who learns knows what holds."""
    policy, problems = labels
    return policy.zero and not problems and policy.zero_policy is not ZeroPolicy.FIXED


def pause_s(sweep_s: float, failures: int) -> float:
    """From the start of a sweep to the next: doubled with each failure in a row."""
    return Backoff(sweep_s, max(sweep_s, MAX_PAUSE_S)).delay_s(failures + 1)
