"""Alerts and descents to replicas: read the function and its load, decide by ``scaler.core.deliveries``, write.

One function is dealt with by one task at a time, in the order deliveries came; different functions side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import islice

import structlog

from springtide.alert_receiver.history_store import HistoryStore
from springtide.alert_receiver.leadership_term import LeadershipTerm
from springtide.alert_receiver.load_visibility import LoadVisibility
from springtide.alert_receiver.review import AlertReview, PastDecisions
from springtide.alert_receiver.settings import AlertReceiverSettings
from springtide.alert_receiver.turns import Turns
from springtide.runtime.deadlines import within
from springtide.runtime.errors import BadInput, Conflict, NotFound, SpringtideError
from springtide.runtime.outage import Outage
from springtide.scaler.core import alert_review, deliveries
from springtide.scaler.core.alert_review import ActiveAlerts
from springtide.scaler.core.deliveries import LoadView, StepOutcome
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import AlertSource, Clock, Recorder, ScaledFunctions
from springtide.scaler.core.steps import AlertEvent, StepContext, StepHistory
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, NoData, Reason, Writer
from springtide.scaler.scale_writer import ScaleWriter

Decide = Callable[[StepContext, LoadView, StepHistory, Instant], StepOutcome]

NOT_LOOKED_AT = LoadView(NoData("not looked at, because a firing alert takes nothing away"))

MAX_READ_SINGLY = 16
"""Functions of one delivery that are read without a look at the list of all. As many unknown ones are told by name."""

MIN_PAUSE_S = 0.05
"""Between two looks at a descending function, however short an interval its label asks for."""

log = structlog.get_logger()


class _LeadershipOver(Exception):
    """This copy does not lead any more."""


class Stepper:
    """Applies deliveries (``deliver``) and carries descents on (``run``)."""

    def __init__(  # noqa: PLR0913 - one for each port, named, and three of them optional
        self,
        settings: AlertReceiverSettings,
        *,
        target: ScaledFunctions,
        recorder: Recorder,
        clock: Clock,
        histories: HistoryStore,
        term: LeadershipTerm,
        past: PastDecisions | None = None,
        visibility: LoadVisibility | None = None,
        alerts: AlertSource | None = None,
    ) -> None:
        """Without ``visibility`` a resolved alert counts as such; without ``past`` a predecessor's descents end;
        without ``alerts`` the end of an alert is known only where it is delivered."""
        self._settings = settings
        self._target = target
        self._recorder = recorder
        self._writer = ScaleWriter(
            target,
            clock=clock,
            recorder=recorder,
            deadline_s=settings.deadline_s,
            log_event="stepped",
            leadership=term.leadership,
        )
        self._clock = clock
        self._histories = histories
        self._term = term
        self._past = past
        self._visibility = visibility
        self._review = AlertReview(settings, alerts, histories=histories, past=past, clock=clock) if alerts else None
        self._turns = Turns(settings.concurrency)
        self._left_over: set[FunctionRef] = set()
        self._intervals: dict[FunctionRef, float] = {}
        self._group: asyncio.TaskGroup | None = None
        self._deliveries = Outage("a delivery failed, Alertmanager tries it again")
        self._steps_down = Outage("step down failed, tried again")

    def __repr__(self) -> str:
        return f"<Stepper {len(self._turns)} functions in hand, {len(self._intervals)} descents, {self._histories!r}>"

    async def deliver(self, events: Sequence[AlertEvent]) -> list[str]:
        """Apply one delivery. Returns what could not be read or written, a line for each function.

        It ends soon after its time is over. Functions it did not reach are a line too, and come first next time.
        """
        grouped = deliveries.by_function(events)
        failed: dict[FunctionRef, str] = {}

        async def one(ref: FunctionRef) -> None:
            if (failure := await self._deliver_one(ref, grouped[ref])) is not None:
                failed[ref] = f"{ref}: {failure}"

        existing = await self._existing(list(grouped))
        refs = sorted(existing, key=lambda ref: (not existing[ref], ref not in self._left_over))
        left = await self._turns.batch(refs, one, within_s=self._settings.delivery_budget_s)
        self._left_over = (self._left_over - grouped.keys()) | set(left)
        await self._histories.save()
        failures = [failed[ref] for ref in grouped if ref in failed]
        if left:
            reached = f"{len(left)} of {len(grouped)} functions were not reached"
            failures.append(f"{reached} within {self._settings.delivery_budget_s:g} s; they are next")
        if failures:
            self._deliveries.failed(failures[0], functions=len(failed) + len(left))
        elif grouped:
            self._deliveries.over()
        return failures

    async def _existing(self, refs: Sequence[FunctionRef]) -> dict[FunctionRef, bool]:
        """Those that there may be, by one list for all where they are many; all of them where that is not known.

        False for one that is not in the list: a question each, which those that are in it do not wait for.
        """
        if len(refs) <= MAX_READ_SINGLY:
            return dict.fromkeys(refs, True)
        try:
            listed = await within(self._settings.deadline_s, "listing functions", self._target.list_functions())
        except SpringtideError:
            return dict.fromkeys(refs, True)
        known = {function.ref for function in listed}
        unknown = deliveries.unknown(refs, known)
        for ref in unknown:
            self._histories.forget(ref)
        for ref in islice(unknown, MAX_READ_SINGLY):
            self._hold(ref, Reason.UNKNOWN_FUNCTION, "no such function")
        if unknown:
            log.warning(
                "alerts name functions that do not exist", functions=len(unknown), first=str(next(iter(unknown)))
            )
        return {ref: ref in known for ref in refs if ref not in unknown}

    async def run(self) -> None:
        """Carry descents on while this copy leads, those that were under way before a restart or takeover first."""
        while True:
            # What a copy remembers from an earlier time as leader is of no use: others have acted since.
            await self._term.begun(by=self._histories.clear)
            try:
                async with asyncio.TaskGroup() as group:
                    self._group = group
                    await self._lead(group)
            except* _LeadershipOver:
                log.info("descents are left to the next leader", stepper=repr(self))
            finally:
                self._group = None
                self._intervals.clear()

    async def _lead(self, group: asyncio.TaskGroup) -> None:
        """Never returns; raises _LeadershipOver when the time as leader is over, which ends what is under way."""
        for ref in self._histories.descending():
            self._carry_on(ref, self._settings.step_interval_s)
        if self._histories.damage is not None and self._past is not None:
            group.create_task(self._tell(self._histories.damage, self._past), name="damaged memory")
        if self._review is not None:
            group.create_task(self._review.run(self), name="review of alerts")
        elif not self._term.alone and self._past is not None:
            group.create_task(self._recall(self._past), name="recall of descents")
        await self._term.over()
        raise _LeadershipOver

    async def _tell(self, damage: str, past: PastDecisions) -> None:
        """Tell of every function that alerts changed last that the memory of them is damaged."""
        with contextlib.suppress(SpringtideError):  # the log has it
            changes = await within(self._settings.deadline_s, "reading past decisions", past.last_changes())
            for ref in [ref for ref, decision in changes.items() if decision.writer is Writer.ALERT]:
                self._hold(ref, Reason.NO_DATA, damage)

    async def _recall(self, past: PastDecisions) -> None:
        """Go on with what the leader before us may have begun. ``term`` holds the first step back for long enough to
        hear of alerts that fire."""
        try:
            changes = await within(self._settings.deadline_s, "reading past decisions", past.last_changes())
        except SpringtideError as error:
            log.warning("descents of the leader before are not known", why=str(error))
            return
        for ref, decision in changes.items():
            history = deliveries.recalled(decision)
            if history is not None and self._histories.get(ref).forgettable:
                self._histories.put(ref, history)
                self._carry_on(ref, self._settings.step_interval_s)

    async def review(self, refs: Collection[FunctionRef], active: ActiveAlerts) -> None:
        """Have functions come down whose alerts are known not to fire. Those that fail are left to the next review."""

        def decide(context: StepContext, view: LoadView, history: StepHistory, now: Instant) -> StepOutcome:
            return alert_review.on_review(context, view, history, active, now)

        async def one(ref: FunctionRef) -> None:
            await self._settle(ref, decide, look=True)

        await self._turns.batch(refs, one, within_s=self._settings.review_interval_s)

    def hold_unknown(self, ref: FunctionRef, why: str) -> None:
        """Tell why a function is left as it is."""
        self._hold(ref, Reason.NO_DATA, why)

    async def _deliver_one(self, ref: FunctionRef, events: Sequence[AlertEvent]) -> str | None:
        def decide(context: StepContext, view: LoadView, history: StepHistory, now: Instant) -> StepOutcome:
            return deliveries.on_delivery(context, view, history, events, now)

        return await self._settle(ref, decide, look=deliveries.may_step_down(events))

    async def _settle(self, ref: FunctionRef, decide: Decide, *, look: bool) -> str | None:
        """Decide and write for one function, whose turn it is; a lost race is decided anew, once. Returns a failure."""
        error = await self._attempt(ref, decide, look=look)
        if isinstance(error, Conflict):
            error = await self._attempt(ref, decide, look=look)
        if isinstance(error, Conflict):
            return f"another writer came first, twice: {error}"
        return None if error is None else str(error)

    async def _attempt(self, ref: FunctionRef, decide: Decide, *, look: bool) -> SpringtideError | None:
        """Read, decide, write. Returns what is worth another try."""
        try:
            function = await within(self._settings.deadline_s, "reading", self._target.read(ref))
        except (NotFound, BadInput) as error:
            # No failure: the alert of a function that was deleted is merely late.
            self._unknown(ref, str(error))
            return None
        except SpringtideError as error:
            self._hold(ref, Reason.NO_DATA, f"cannot be read: {error}")
            return error
        policy, problems = ScalePolicy.from_labels(function.labels)
        interval_s, owner = self._settings.step_interval_s, function.owner
        context = StepContext(ref, policy, problems, function.scale, interval_s, owner=owner)
        now = Instant(self._clock.wall())
        view = await self._look(ref, now) if look else NOT_LOOKED_AT
        outcome = decide(context, view, self._histories.get(ref), now)
        # Whatever becomes of the write, cancellation included: until it is done the step was not made.
        self._remember(context, outcome.if_not_written)
        if not outcome.decision.changes:
            self._recorder.record(outcome.decision)
            return None
        write = await self._writer.write(outcome.decision, policy, version=function.scale.version, owner=owner)
        if write.scale is not None:
            self._remember(context, outcome.if_written)
        if isinstance(write.error, NotFound):
            self._histories.forget(ref)
            return None
        return write.error

    async def _look(self, ref: FunctionRef, now: Instant) -> LoadView:
        seen = LoadView() if self._visibility is None else await self._visibility.look(ref, now)
        return replace(seen, leading_for_s=self._term.leading_for_s(), settle_s=self._settings.settle_s)

    def _remember(self, context: StepContext, history: StepHistory) -> None:
        self._histories.put(context.ref, history)
        if history.descending:
            self._carry_on(context.ref, context.interval_s)

    def _unknown(self, ref: FunctionRef, detail: str) -> None:
        self._histories.forget(ref)
        self._hold(ref, Reason.UNKNOWN_FUNCTION, detail)

    def _hold(self, ref: FunctionRef, reason: Reason, detail: str) -> None:
        now = Instant(self._clock.wall())
        self._recorder.record(Decision(ref, Writer.ALERT, 0, 0, reason, detail, now))

    def _carry_on(self, ref: FunctionRef, interval_s: float) -> None:
        """Have a task continue the descent of ``ref``, unless one does or ``run`` has yet to begin."""
        if self._group is None:
            return
        if ref not in self._intervals:
            self._group.create_task(self._descend(ref), name=f"descent of {ref}")
        self._intervals[ref] = interval_s

    async def _descend(self, ref: FunctionRef) -> None:
        pause_s = self._until_due_s(ref)
        while self._histories.get(ref).descending:
            await asyncio.sleep(pause_s)
            failure = await self._turns.descent(ref, self._step_down)
            await self._histories.save()
            pause_s = self._until_due_s(ref)
            if failure is not None:
                pause_s = max(pause_s, self._intervals[ref])
                self._steps_down.failed(failure, function=str(ref), pause_s=pause_s)
            else:
                self._steps_down.over()
        del self._intervals[ref]

    async def _step_down(self, ref: FunctionRef) -> str | None:
        return await self._settle(ref, deliveries.on_tick, look=True)

    def _until_due_s(self, ref: FunctionRef) -> float:
        now = Instant(self._clock.wall())
        return max(MIN_PAUSE_S, deliveries.next_step_in_s(self._histories.get(ref), self._intervals[ref], now))
