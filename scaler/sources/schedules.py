"""Calls that schedules are to make, computed from a function's annotations: nobody is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from springtide.scaler.core.prewarm import CallSource, ExpectedCall
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant
from springtide.wire.schedules.annotations import CRON_TOPIC, TOPIC, FunctionSchedule, schedules_of

MAX_REMEMBERED = 8192
"""Functions whose schedules are not read again each time."""


class ScheduledCalls:
    """Implements ``ports.ExpectedCalls``."""

    def __repr__(self) -> str:
        return "<ScheduledCalls>"

    def next_call(self, function: Function, after: Instant) -> ExpectedCall | None:
        if function.annotations.get(TOPIC, "").strip() != CRON_TOPIC:
            return None
        schedules, anchor_s = _schedules(function.ref, _told(function.annotations)), function.created_at or 0.0
        due_s = min((schedule.due_after(after, anchor_s) for schedule in schedules), default=math.inf)
        return ExpectedCall(Instant(due_s), CallSource.SCHEDULE) if math.isfinite(due_s) else None


def _told(annotations: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(annotations.items()))


@lru_cache(maxsize=MAX_REMEMBERED)
def _schedules(ref: FunctionRef, annotations: tuple[tuple[str, str], ...]) -> tuple[FunctionSchedule, ...]:
    return schedules_of(ref, dict(annotations))[0]
