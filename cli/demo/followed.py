"""The function beside it that the control loop has: the same load is one replica's, long calls are followed."""

from __future__ import annotations

import math

from springtide.cli.demo.decisions import Decisions
from springtide.cli.demo.load import Answers, Load
from springtide.cli.demo.stage import Stage
from springtide.runtime.errors import Unavailable
from springtide.scaler.core import policy, targets
from springtide.scaler.core.vocabulary import Reason

TARGET = 5
LABELS = {policy.MIN: "1", policy.MAX: "20", policy.TYPE: targets.CAPACITY.name, policy.TARGET: f"{TARGET}"}
LONG_PER_S, LONG_S = 10.0, 3.0
ENOUGH = math.ceil(LONG_PER_S * LONG_S / TARGET)
"""Replicas that so many calls under way fill."""
MAX_IN_FLIGHT = 256


class Followed:
    """Acts of the function that ``decisions`` are about."""

    def __init__(self, stage: Stage, decisions: Decisions) -> None:
        self._stage, self._decisions, self._ref = stage, decisions, decisions.ref

    def short_calls_ended(self, answers: Answers) -> None:
        """Tell at how many replicas it stayed under the load that took the other one to its maximum."""
        most = max((change.after for change in self._decisions.changes if change.reason is Reason.LOAD_UP), default=1)
        self._stage.tell(self._ref, most, "stayed", f"under the same load; {answers}")
        _all_answered(answers)

    async def play(self, *, up_s: float, down_s: float) -> None:
        """Up under long calls and down again. Raises Unavailable naming what did not happen in so many seconds."""
        url = self._stage.url(self._ref, call_s=LONG_S)
        async with Load(url, per_second=LONG_PER_S, max_in_flight=MAX_IN_FLIGHT) as load:
            self._stage.tell(self._ref, 1, "long_calls", f"{LONG_PER_S:g} calls a second of {LONG_S:g} s")
            what = f"the scaler did not follow the long calls to {ENOUGH} replicas"
            await self._decisions.reach(Reason.LOAD_UP, lambda after: after >= ENOUGH, within_s=up_s, what=what)
            await self._stage.ready_at_least(self._ref, ENOUGH)
        self._stage.tell(self._ref, self._decisions.changes[-1].after, "calls_ended", str(load.answers))
        _all_answered(load.answers)
        what = "the scaler did not take the function back to 1 replica"
        await self._decisions.until(Reason.LOAD_DOWN, 1, within_s=down_s, what=what)


def _all_answered(answers: Answers) -> None:
    if answers.failed:
        raise Unavailable(f"{answers.failed} calls of the scaler's function were not answered with 200: {answers}")
