"""The second look at functions found idle, and the write.

The order is what makes it safe. The version that guards the write is read first and the activity is asked for after
that: a change of the count in between makes the write fail, and a call seen in between keeps it from happening.
Calls that were put off are asked for then, too, and only then: what is known of them is moments old, and while nothing
is idle nobody is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from springtide.idler.metrics import IdlerMetrics
from springtide.idler.rule import IdleRule
from springtide.idler.settings import IdlerSettings
from springtide.runtime.deadlines import within
from springtide.runtime.errors import NotFound, SpringtideError, Unavailable, Unsupported
from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.idle import Activity, IdleHistory
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import ActivitySource, Clock, DelayedCallSource, ScaleTarget
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, NoData, Reason, Writer
from springtide.scaler.scale_writer import ScaleWriter

UNANSWERED = Activity(NoData("the source did not answer for it"), NoData("the source did not answer for it"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A function found idle on the first look."""

    function: Function
    activity: Activity
    history: IdleHistory
    learned: LearnedSilence | None = None
    memory_short: str | None = None
    """Why it is to sleep before its silence is over."""


class Zeroing:
    """Takes candidates to zero, a bounded number side by side; what fails for one leaves the others alone."""

    def __init__(
        self,
        settings: IdlerSettings,
        rule: IdleRule,
        *,
        target: ScaleTarget,
        writer: ScaleWriter,
        recheck: ActivitySource | None,
        delayed: DelayedCallSource | None,
        clock: Clock,
        metrics: IdlerMetrics,
    ) -> None:
        self._settings = settings
        self._rule = rule
        self._target = target
        self._writer = writer
        self._recheck = recheck
        self._delayed = delayed
        self._clock = clock
        self._metrics = metrics

    async def run(self, candidates: Sequence[Candidate]) -> list[Decision]:
        """One decision for each candidate, in order, and told: zero if it was written, else a hold and why."""
        decisions: list[Decision] = []
        size = self._settings.concurrency
        # In batches, so that one look at the gateways serves many functions and still is only moments old.
        for start in range(0, len(candidates), size):
            decisions += await self._batch(candidates[start : start + size])
        return decisions

    async def _batch(self, candidates: Sequence[Candidate]) -> list[Decision]:
        outcomes = await asyncio.gather(*(self._read(candidate) for candidate in candidates))
        fresh = [outcome.function.ref for outcome in outcomes if isinstance(outcome, Candidate)]
        measured, put_off = await asyncio.gather(self._measured(fresh), self._put_off(fresh))
        return await asyncio.gather(*(self._finish(outcome, measured, put_off) for outcome in outcomes))

    async def _read(self, candidate: Candidate) -> Candidate | Decision:
        """The candidate as it is now, with the version that guards the write."""
        ref = candidate.function.ref
        try:
            function = await within(self._settings.deadline_s, f"reading {ref}", self._target.read(ref))
        except NotFound:
            return self._hold(candidate, Reason.UNKNOWN_FUNCTION, "deleted meanwhile")
        except SpringtideError as error:
            return self._hold(candidate, Reason.NO_DATA, f"cannot be read: {error}")
        return replace(candidate, function=function)

    async def _measured(self, refs: Sequence[FunctionRef]) -> Mapping[FunctionRef, Activity]:
        """The second measurement; empty without a source for it."""
        if self._recheck is None or not refs:
            return {}
        try:
            now = Instant(self._clock.wall())
            asked = self._recheck.activity(refs, now)
            measured = dict(await within(self._settings.deadline_s, "the second look", asked))
        except Unavailable as error:
            measured = dict.fromkeys(refs, Activity(NoData(str(error)), NoData(str(error))))
        if all(isinstance(measured.get(ref, UNANSWERED).in_flight, NoData) for ref in refs):
            self._metrics.failed("recheck")
        return {ref: measured.get(ref, UNANSWERED) for ref in refs}

    async def _put_off(self, refs: Sequence[FunctionRef]) -> DelayedCalls | NoData | None:
        """Calls that were put off; None where there are no queues, or nobody to ask."""
        if self._delayed is None or not refs:
            return None
        try:
            return await within(self._settings.deadline_s, "calls that were put off", self._delayed.delayed())
        except Unsupported:
            return None
        except SpringtideError as error:
            self._metrics.failed("delayed")
            return NoData(str(error))

    async def _finish(
        self,
        outcome: Candidate | Decision,
        measured: Mapping[FunctionRef, Activity],
        put_off: DelayedCalls | NoData | None,
    ) -> Decision:
        if isinstance(outcome, Decision):
            self._writer.tell(outcome)
            return outcome
        function = outcome.function
        policy, problems = ScalePolicy.from_labels(function.labels)
        activity, now = measured.get(function.ref, outcome.activity), Instant(self._clock.wall())
        labels, history = (policy, problems), outcome.history
        decision, _ = self._rule.decide(
            function,
            labels,
            activity,
            history,
            now,
            delayed=put_off,
            learned=outcome.learned,
            memory_short=outcome.memory_short,
        )
        if decision.changes and not self._settings.dry_run:
            return (await self._writer.write(decision, policy, version=function.scale.version)).decision
        if decision.changes:
            detail = f"would go from {decision.before} to 0: {decision.detail}"
            decision = self._hold(outcome, Reason.DRY_RUN, detail)
        else:
            decision = replace(decision, detail=f"on the second look: {decision.detail}")
        self._writer.tell(decision)
        return decision

    def _hold(self, candidate: Candidate, reason: Reason, detail: str) -> Decision:
        count = candidate.function.scale.desired
        now = Instant(self._clock.wall())
        return Decision(candidate.function.ref, Writer.IDLER, count, count, reason, detail, now)
