"""Alerts and descents to replicas: read, decide by ``scaler.core.steps``, write once, remember.

One function is dealt with by one task at a time, in the order deliveries came; different functions side by side. A
step counts as made only once it is written, so a delivery that is repeated after a failure may step again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from springtide.alert_receiver import deliveries
from springtide.alert_receiver.function_locks import FunctionLocks
from springtide.alert_receiver.history_store import HistoryStore
from springtide.alert_receiver.leadership_term import LeadershipTerm
from springtide.alert_receiver.load_visibility import LoadVisibility
from springtide.alert_receiver.settings import AlertReceiverSettings
from springtide.runtime.deadlines import within
from springtide.runtime.errors import BadInput, Conflict, NotFound, SpringtideError
from springtide.scaler.core import ownership, steps
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import Clock, Recorder, ScaleTarget
from springtide.scaler.core.steps import AlertEvent, StepContext, StepHistory
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, NoData, Reason, Sample, Writer

Judge = Callable[[StepContext, StepHistory, Instant], tuple[Decision, StepHistory]]

MIN_PAUSE_S = 0.05
"""Between two looks at a descending function, however short an interval its label asks for."""

log = structlog.get_logger()


class PastDecisions(Protocol):
    """What was done before this copy was there."""

    async def last_changes(self) -> Mapping[FunctionRef, Decision]:
        """The last change of each function's count, as far as it is known."""


class _Over(Exception):
    """The time as leader is over."""


class Stepper:
    """Applies deliveries (``deliver``) and carries descents on (``run``)."""

    def __init__(
        self,
        settings: AlertReceiverSettings,
        *,
        target: ScaleTarget,
        recorder: Recorder,
        clock: Clock,
        memory: HistoryStore,
        term: LeadershipTerm,
        past: PastDecisions | None = None,
        visibility: LoadVisibility | None = None,
    ) -> None:
        """Without ``visibility`` a resolved alert counts as such; without ``past`` a predecessor's descents end."""
        self._settings = settings
        self._target = target
        self._recorder = recorder
        self._clock = clock
        self._memory = memory
        self._term = term
        self._past = past
        self._visibility = visibility
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._locks = FunctionLocks()
        self._intervals: dict[FunctionRef, float] = {}
        self._group: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        return f"<Stepper {len(self._locks)} functions in hand, {len(self._intervals)} descents, {self._memory!r}>"

    async def deliver(self, events: Sequence[AlertEvent]) -> list[str]:
        """Apply one delivery. Returns what could not be read or written, a line for each function."""
        grouped = deliveries.by_function(events)
        failures = await asyncio.gather(*(self._deliver_one(ref, of_one) for ref, of_one in grouped.items()))
        await self._memory.keep()
        failed = [failure for failure in failures if failure is not None]
        if failed:
            log.warning("a delivery failed, Alertmanager tries it again", functions=len(failed), why=failed[0])
        return failed

    async def run(self) -> None:
        """Carry descents on while this copy leads, those that were under way before a restart or takeover first."""
        while True:
            # What a copy remembers from an earlier time as leader is of no use: others have acted since.
            await self._term.begun(by=self._memory.clear)
            try:
                async with asyncio.TaskGroup() as group:
                    self._group = group
                    await self._lead(group)
            except* _Over:
                log.info("descents are left to the next leader", stepper=repr(self))
            finally:
                self._group = None
                self._intervals.clear()

    async def _lead(self, group: asyncio.TaskGroup) -> None:
        """Never returns; raises _Over when the time as leader is over, which ends what is under way."""
        for ref in self._memory.descending():
            self._carry_on(ref, self._settings.step_interval_s)
        if not self._term.alone and self._past is not None:
            group.create_task(self._recall(self._past), name="recall of descents")
        await self._term.over()
        raise _Over

    async def _recall(self, past: PastDecisions) -> None:
        """Go on with what the leader before us may have begun: a resolved alert is told once, and was told to it.

        A function whose count was last changed for an alert descends, unless an alert of it is delivered again before
        the first step, which ``term`` holds back for long enough.
        """
        try:
            changes = await within(self._settings.deadline_s, "reading past decisions", past.last_changes())
        except SpringtideError as error:
            log.warning("descents of the leader before are not known", why=str(error))
            return
        for ref, decision in changes.items():
            if decision.writer is Writer.ALERT and self._memory.get(ref).forgettable:
                self._memory.put(ref, StepHistory(descending=True))
                self._carry_on(ref, self._settings.step_interval_s)

    async def _deliver_one(self, ref: FunctionRef, events: Sequence[AlertEvent]) -> str | None:
        def judge(context: StepContext, history: StepHistory, now: Instant) -> tuple[Decision, StepHistory]:
            return deliveries.judge(context, history, events, now)

        failure = await self._settle(ref, judge)
        return failure and f"{ref}: {failure}"

    async def _settle(self, ref: FunctionRef, judge: Judge) -> str | None:
        """Decide and write for one function; a lost race is decided anew, once. Returns why it failed, if it did."""
        async with self._locks.of(ref), self._slots:
            try:
                try:
                    await self._attempt(ref, judge)
                except Conflict:
                    await self._attempt(ref, judge)
            except Conflict as error:
                return f"another writer came first, twice: {error}"
            except SpringtideError as error:
                return str(error)
        return None

    async def _attempt(self, ref: FunctionRef, judge: Judge) -> None:
        function = await self._read(ref)
        if function is None:
            return
        policy, problems = ScalePolicy.from_labels(function.labels)
        context = StepContext(ref, policy, problems, function.scale, self._settings.step_interval_s)
        before, now = self._memory.get(ref), Instant(self._clock.wall())
        decision, after = judge(context, before, now)
        refused = ownership.refusal(Writer.ALERT, policy, decision.before, decision.after)
        if refused is not None:
            decision, after = context.hold(refused, "not the alert path's to write", now), steps.undone(before, after)
        if decision.after < decision.before:
            seen = await self._look(ref, now)
            if isinstance(seen, NoData):
                decision, after = context.hold(Reason.NO_DATA, seen.why, now), steps.postponed(before, after)
            elif seen is not None:
                measured = {"in_flight": seen.value, "data_age_s": now - seen.at}
                decision = replace(decision, inputs={**decision.inputs, **measured})
        if decision.changes:
            # Whatever becomes of the write, cancellation included: until it is done the step was not made.
            self._remember(context, steps.undone(before, after))
            if not await self._write(decision, function):
                return
        self._remember(context, after)
        self._recorder.record(decision)

    async def _look(self, ref: FunctionRef, now: Instant) -> Sample | NoData | None:
        """Before a step down: what is measured, or why the step has to wait, whatever the alerts say."""
        obstacle = self._term.obstacle()
        if obstacle is not None:
            return NoData(obstacle)
        return None if self._visibility is None else await self._visibility.look(ref, now)

    def _remember(self, context: StepContext, history: StepHistory) -> None:
        self._memory.put(context.ref, history)
        if history.descending:
            self._carry_on(context.ref, context.interval_s)

    async def _read(self, ref: FunctionRef) -> Function | None:
        """None for a function that does not exist: that is no failure, its alert is merely late."""
        try:
            return await within(self._settings.deadline_s, "reading", self._target.read(ref))
        except (NotFound, BadInput) as error:
            self._unknown(ref, str(error))
            return None
        except SpringtideError as error:
            self._hold(ref, Reason.NO_DATA, f"cannot be read: {error}")
            raise

    async def _write(self, decision: Decision, function: Function) -> bool:
        """False when the function was deleted meanwhile."""
        ref, version = decision.ref, function.scale.version
        write = self._target.write(ref, decision.after, expect=version or None, decision=decision)
        try:
            await within(self._settings.deadline_s, "writing", write)
        except NotFound as error:
            self._unknown(ref, str(error))
            return False
        except SpringtideError as error:
            reason = Reason.LOST_RACE if isinstance(error, Conflict) else Reason.WRITE_FAILED
            self._hold(ref, reason, str(error), count=decision.before)
            raise
        log.info(
            "stepped",
            function=str(ref),
            before=decision.before,
            after=decision.after,
            reason=decision.reason.value,
            why=decision.detail,
        )
        return True

    def _unknown(self, ref: FunctionRef, detail: str) -> None:
        self._memory.forget(ref)
        self._hold(ref, Reason.UNKNOWN_FUNCTION, detail)

    def _hold(self, ref: FunctionRef, reason: Reason, detail: str, *, count: int = 0) -> None:
        now = Instant(self._clock.wall())
        self._recorder.record(Decision(ref, Writer.ALERT, count, count, reason, detail, now))

    def _carry_on(self, ref: FunctionRef, interval_s: float) -> None:
        """Have a task continue the descent of ``ref``, unless one does or ``run`` has yet to begin."""
        if self._group is None:
            return
        if ref not in self._intervals:
            self._group.create_task(self._descend(ref), name=f"descent of {ref}")
        self._intervals[ref] = interval_s

    async def _descend(self, ref: FunctionRef) -> None:
        pause_s = self._until_due_s(ref)
        while self._memory.get(ref).descending:
            await asyncio.sleep(pause_s)
            failure = await self._settle(ref, steps.on_tick)
            await self._memory.keep()
            pause_s = self._until_due_s(ref)
            if failure is not None:
                pause_s = max(pause_s, self._intervals[ref])
                log.warning("step down failed, tried again", function=str(ref), pause_s=pause_s, why=failure)
        del self._intervals[ref]

    def _until_due_s(self, ref: FunctionRef) -> float:
        """Never longer than one interval, so that a clock set back does not hold a descent up."""
        interval_s, last = self._intervals[ref], self._memory.get(ref).last_step_down
        wait_s = interval_s if last is None else last + interval_s - self._clock.wall()
        return min(max(wait_s, MIN_PAUSE_S), max(interval_s, MIN_PAUSE_S))
