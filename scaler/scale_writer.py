"""The one way in which a decision becomes a function's number of replicas.

Each write asks the ownership table, is made by the copy that leads and within its lease, has a deadline, names the
version it was decided on, and ends as a decision that is told: the one that was written, or a hold with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

import structlog

from springtide.runtime.deadlines import within
from springtide.runtime.errors import Conflict, NotFound, SpringtideError
from springtide.scaler.core import explain, ownership
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import Clock, Leadership, Recorder, ScaleTarget
from springtide.scaler.core.vocabulary import Decision, Instant, Reason, Scale, Writer
from springtide.wire.leadership import Always, Standby

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ScaleWrite:
    """How a write went. ``decision`` is what was told: a hold where nothing was written.

    ``scale`` is what is wanted from now on, and ``error`` why that is not known. Neither is there where the ownership
    table refused.
    """

    decision: Decision
    scale: Scale | None = None
    error: SpringtideError | None = None


class ScaleWriter:
    """Writes what one part decides. It tries once: who may try again, and on what terms, is the part's to say."""

    def __init__(
        self,
        target: ScaleTarget,
        *,
        clock: Clock,
        recorder: Recorder,
        deadline_s: float,
        log_event: str,
        leadership: Leadership | None = None,
        retried: Collection[Reason] = (),
    ) -> None:
        """``deadline_s`` may be infinite where the target has one of its own. ``log_event`` is what the log calls a
        written decision. Holds of reasons in ``retried`` are not told: the part tries again, and tells by ``tell`` when
        it gives up."""
        self._target = target
        self._clock = clock
        self._recorder = recorder
        self._deadline_s = deadline_s
        self._log_event = log_event
        self._leadership = leadership or Always()
        self._retried = frozenset(retried)

    def __repr__(self) -> str:
        return f"<ScaleWriter {self._log_event!r} {'leads' if self._leadership.hold() is not None else 'standby'}>"

    async def write(
        self, decision: Decision, policy: ScalePolicy, *, version: str, owner: Writer | None = None
    ) -> ScaleWrite:
        """Make a decision that changes the count true, if ``version`` still is the scale's (empty: whichever it is).

        ``owner`` is the function's steady one; who wakes it or takes it to zero need not know.
        """
        refused = ownership.refusal(decision.writer, policy, decision.before, decision.after, owner=owner)
        if refused is not None:
            return self._held(decision, refused, explain.not_allowed(decision))
        try:
            scale = await self._written(decision, version)
        except SpringtideError as error:
            return self._held(decision, *_why(error), error=error)
        self._recorder.record(decision)
        log.info(
            self._log_event,
            function=str(decision.ref),
            before=decision.before,
            after=decision.after,
            reason=decision.reason.value,
            why=decision.detail,
        )
        return ScaleWrite(decision, scale)

    def tell(self, decision: Decision) -> None:
        """A decision that is not, or no longer, to be written."""
        self._recorder.record(decision)

    async def _written(self, decision: Decision, version: str) -> Scale:
        if self._leadership.hold() is None:
            raise Standby("not written: this copy does not lead")
        ref, deadline_s = decision.ref, min(self._deadline_s, self._leadership.left_s())
        write = self._target.write(ref, decision.after, expect=version or None, decision=decision)
        return await (within(deadline_s, "writing", write) if math.isfinite(deadline_s) else write)

    def _held(
        self, decision: Decision, reason: Reason, detail: str, *, error: SpringtideError | None = None
    ) -> ScaleWrite:
        now = Instant(self._clock.wall())
        hold = replace(decision, after=decision.before, reason=reason, detail=detail, at=now)
        if reason not in self._retried:
            self.tell(hold)
        return ScaleWrite(hold, error=error)


def _why(error: SpringtideError) -> tuple[Reason, str]:
    if isinstance(error, Conflict):
        return Reason.LOST_RACE, f"changed between the look and the write: {error}"
    if isinstance(error, NotFound):
        return Reason.UNKNOWN_FUNCTION, f"deleted meanwhile: {error}"
    return Reason.WRITE_FAILED, str(error)
