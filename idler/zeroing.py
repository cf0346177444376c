"""The second look at functions found idle, and the write.

The order is what makes it safe. The version that guards the write is read first and the activity is asked for after
that: a change of the count in between makes the write fail, and a call seen in between keeps it from happening.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from springtide.idler.metrics import IdlerMetrics
from springtide.idler.settings import IdlerSettings
from springtide.runtime.deadlines import within
from springtide.runtime.errors import Conflict, NotFound, SpringtideError, Unavailable
from springtide.scaler.core import idle, ownership
from springtide.scaler.core.idle import Activity, IdleHistory
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import ActivitySource, Clock, ScaleTarget
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, NoData, Reason, Writer

UNANSWERED = Activity(NoData("the source did not answer for it"), NoData("the source did not answer for it"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A function found idle on the first look."""

    function: Function
    activity: Activity
    history: IdleHistory


class Zeroing:
    """Takes candidates to zero, a bounded number side by side; what fails for one leaves the others alone."""

    def __init__(
        self,
        settings: IdlerSettings,
        *,
        target: ScaleTarget,
        recheck: ActivitySource | None,
        clock: Clock,
        meters: IdlerMetrics,
    ) -> None:
        self._settings = settings
        self._target = target
        self._recheck = recheck
        self._clock = clock
        self._meters = meters

    async def run(self, candidates: Sequence[Candidate]) -> list[Decision]:
        """One decision for each candidate, in order: zero if that was written, else a hold and why."""
        decisions: list[Decision] = []
        size = self._settings.concurrency
        # In batches, so that one look at the gateways serves many functions and still is only moments old.
        for start in range(0, len(candidates), size):
            decisions += await self._batch(candidates[start : start + size])
        return decisions

    async def _batch(self, candidates: Sequence[Candidate]) -> list[Decision]:
        outcomes = await asyncio.gather(*(self._read(candidate) for candidate in candidates))
        fresh = [outcome.function.ref for outcome in outcomes if isinstance(outcome, Candidate)]
        measured = await self._measured(fresh)
        return await asyncio.gather(*(self._finish(outcome, measured) for outcome in outcomes))

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
            self._meters.failed("recheck")
        return {ref: measured.get(ref, UNANSWERED) for ref in refs}

    async def _finish(self, outcome: Candidate | Decision, measured: Mapping[FunctionRef, Activity]) -> Decision:
        if isinstance(outcome, Decision):
            return outcome
        function = outcome.function
        policy, problems = ScalePolicy.from_labels(function.labels)
        now = Instant(self._clock.wall())
        decision, _ = idle.decide(
            function,
            policy,
            problems,
            measured.get(function.ref, outcome.activity),
            outcome.history,
            self._settings.limits,
            now,
        )
        if not decision.changes:
            return replace(decision, detail=f"on the second look: {decision.detail}")
        refused = ownership.refusal(Writer.IDLER, policy, decision.before, decision.after)
        if refused is not None:
            return self._hold(outcome, refused, "not the idler's to take to zero")
        if self._settings.dry_run:
            return self._hold(outcome, Reason.DRY_RUN, f"would go from {decision.before} to 0: {decision.detail}")
        return await self._write(outcome, decision)

    async def _write(self, candidate: Candidate, decision: Decision) -> Decision:
        ref, version = decision.ref, candidate.function.scale.version
        try:
            write = self._target.write(ref, decision.after, expect=version or None, decision=decision)
            await within(self._settings.deadline_s, f"writing {ref}", write)
        except Conflict as error:
            return self._hold(candidate, Reason.LOST_RACE, f"changed between the second look and the write: {error}")
        except NotFound:
            return self._hold(candidate, Reason.UNKNOWN_FUNCTION, "deleted meanwhile")
        except SpringtideError as error:
            return self._hold(candidate, Reason.WRITE_FAILED, str(error))
        return decision

    def _hold(self, candidate: Candidate, reason: Reason, detail: str) -> Decision:
        count = candidate.function.scale.desired
        now = Instant(self._clock.wall())
        return Decision(candidate.function.ref, Writer.IDLER, count, count, reason, detail, now)
