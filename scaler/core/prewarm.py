"""Waking a function ahead of a call that is known to come, so that the call finds a replica that is ready.

Schedules and jobs that were put off name the instant of their call. A function at zero is woken its *lead* before that:
the longest of its last starts, and a little more. It is woken once for a call: whoever takes it to zero again meant it.
What is awake shortly before a call stays awake until the call has had the time to arrive (``Upcoming.near``, which the
idle rule asks). Instants are seconds since the epoch, durations seconds.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from springtide.scaler.core import explain
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.core.vocabulary import Decision, Function, Instant, Reason, Scale, Writer

MAX_STARTS = 20
"""Of a function, of which the longest is expected once more."""
SPARE_S = 1.0
"""Added to the longest start: what it takes to decide, to write and to hear of a replica."""
UNKNOWN_LEAD_S = 10.0
"""Where no start of the function was seen yet."""
MAX_LEAD_S = 600.0
"""A function that once took an hour to start, for an image was missing, is not kept awake for an hour each day."""
MARGIN_S = 10.0
"""What would be woken again so soon is not taken to zero."""
ARRIVAL_S = 10.0
"""After its instant a call may be on its way so long: it goes through a queue."""


class CallSource(enum.StrEnum):
    """How a call came to be known."""

    SCHEDULE = "schedule"
    JOB = "job"
    FORECAST = "forecast"


REASONS = {
    CallSource.SCHEDULE: Reason.SCHEDULED,
    CallSource.JOB: Reason.JOB_DUE,
    CallSource.FORECAST: Reason.FORECAST,
}
"""Why a function is woken ahead of a call."""


class Met(enum.StrEnum):
    """How a function was when an expected call's time had come."""

    AWAKE = "awake"
    """Ready, and not on account of this call."""
    READY = "ready"
    """Woken since it was due to be, and ready in time."""
    LATE = "late"
    """Woken since it was due to be, but no replica was ready yet."""
    COLD = "cold"
    """Not woken, and not ready."""


@dataclass(frozen=True, slots=True, order=True)
class ExpectedCall:
    """A call that comes at a known instant, or up to ``ARRIVAL_S`` after it.

    One that is only likely, by a forecast, comes from ``likely_from`` on, and ``at`` is when it is not waited for any
    more; ``share`` of the function's pauses end in between.
    """

    at: Instant
    source: CallSource
    likely_from: Instant | None = None
    share: float = 0.0

    @property
    def said(self) -> str:
        """To a person."""
        if self.likely_from is not None:
            return explain.forecast(self.likely_from, self.at, self.share)
        return explain.scheduled(self.at) if self.source is CallSource.SCHEDULE else explain.job_due(self.at)


@dataclass(frozen=True, slots=True)
class Lead:
    """How long before a call a function is woken, by the longest of its last starts; None: none was seen."""

    seconds: float
    longest_s: float | None = None

    @classmethod
    def of(cls, longest_s: float | None, unknown_s: float = UNKNOWN_LEAD_S) -> Lead:
        seconds = unknown_s if longest_s is None else longest_s + SPARE_S
        return cls(min(seconds, MAX_LEAD_S), longest_s)


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A function's next call that is known, and its lead."""

    call: ExpectedCall
    lead: Lead

    @property
    def due_at(self) -> Instant:
        """When a function at zero is to be woken. A forecast's begin is early enough already."""
        if self.call.likely_from is not None:
            return self.call.likely_from
        return Instant(self.call.at - self.lead.seconds)

    def due(self, now: Instant) -> bool:
        """Whether a function at zero is to be woken."""
        return self.due_at <= now < self.call.at

    def near(self, now: Instant) -> bool:
        """Whether the function is to stay awake, if it is."""
        return self.due_at - MARGIN_S <= now < self.call.at + ARRIVAL_S


@dataclass(frozen=True, slots=True)
class WakeHistory:
    """What was seen of a function's wakes, whoever made them."""

    starts_s: tuple[float, ...] = ()
    """How long the last starts from zero took, from the wake until a replica was ready; the newest last."""
    asleep: bool = False
    starting_since: Instant | None = None
    """Of a start that is under way and was seen from its beginning."""
    ready_at: Instant | None = None
    """Since when replicas of the last wake are ready."""
    wakes: int | None = None
    woken_for: Instant | None = None
    """The instant of the last call that it was woken for, or left zero for anybody else when it was due."""

    @property
    def longest_s(self) -> float | None:
        return max(self.starts_s, default=None)


def rounded(longest_s: float) -> float:
    """As it is told to the provider and kept: to a tenth of a second, and never less."""
    return math.ceil(round(longest_s * 10, 6)) / 10


def looked(
    history: WakeHistory,
    scale: Scale,
    now: Instant,
    *,
    wakes: int,
    upcoming: Upcoming | None = None,
    kept_s: float | None = None,
    gap: bool = False,
) -> WakeHistory:
    """After a look at the counts. ``wakes`` counts how often the function left zero, as its provider knows.

    ``upcoming`` is the next call: who wakes the function when it is due for that wakes it for that. ``kept_s`` is the
    longest start as the provider was told it, perhaps before this process began. After a ``gap`` something may have
    gone by unseen: a start that was under way is not measured.
    """
    left = history.asleep and scale.desired > 0
    if history.wakes is not None and wakes > history.wakes:
        left = True  # It may be asleep again already.
    starts_s, since, ready_at = history.starts_s, history.starting_since, history.ready_at
    if not starts_s and kept_s is not None:
        starts_s = (kept_s,)
    if left:
        since, ready_at = now, None
    if gap or scale.desired == 0:
        since = None
    if scale.ready and ready_at is None:
        ready_at = now
    if scale.ready and since is not None:
        starts_s, since = (*starts_s, max(0.0, now - since))[-MAX_STARTS:], None
    return replace(
        history,
        starts_s=starts_s,
        asleep=scale.desired == 0,
        starting_since=since,
        ready_at=ready_at if scale.desired else None,
        wakes=wakes,
        woken_for=upcoming.call.at if left and upcoming is not None and upcoming.due(now) else history.woken_for,
    )


def recalled(history: WakeHistory, upcoming: Upcoming | None, left_zero_at: Collection[Instant]) -> WakeHistory:
    """The history of a function that is seen for the first time, which left zero at these instants, by what was told.

    Else whoever begins anew between a wake and its call would wake once more what a person took to zero again.
    """
    if upcoming is None or not any(upcoming.due(at) for at in left_zero_at):
        return history
    return replace(history, woken_for=upcoming.call.at)


def decide(
    function: Function,
    policy: ScalePolicy,
    problems: tuple[str, ...],
    upcoming: Upcoming,
    history: WakeHistory,
    now: Instant,
    *,
    unread: str = "",
    refused: str = "",
) -> Decision | None:
    """Whether to wake a function now; None where nothing is to be said: it is awake, or it is not time.

    ``unread``: why its count is not known, empty where it is. ``refused``: why a forecast is not followed now.
    """
    call = upcoming.call
    if function.scale.desired or not upcoming.due(now):
        return None
    after, held = wake_replicas(policy, function.learned_wake), _held(policy, problems, call, history, unread)
    if held is None and refused:
        held = Reason.OVER_BUDGET, f"{call.said}; {refused}"
    inputs = {"lead_s": upcoming.lead.seconds, "call_in_s": call.at - now, **policy.limits}
    if upcoming.lead.longest_s is not None:
        inputs["longest_start_s"] = upcoming.lead.longest_s
    if held is not None:
        return Decision(function.ref, Writer.PREWARM, 0, 0, held[0], held[1], now, inputs)
    detail = explain.prewarmed(call.said, upcoming.lead.longest_s, after, fewest=wake_replicas(policy))
    return Decision(function.ref, Writer.PREWARM, 0, after, REASONS[call.source], detail, now, inputs)


def written(history: WakeHistory, call: ExpectedCall) -> WakeHistory:
    """The history once the function was woken for a call, or may have been."""
    return replace(history, woken_for=call.at)


def met(history: WakeHistory, scale: Scale, call: ExpectedCall) -> Met:
    """How the function was, looked at when the call's time had come."""
    ahead = history.woken_for is not None and history.woken_for >= call.at
    if scale.desired and scale.ready:
        return Met.READY if ahead else Met.AWAKE
    return Met.LATE if ahead else Met.COLD


def _held(
    policy: ScalePolicy, problems: tuple[str, ...], call: ExpectedCall, history: WakeHistory, unread: str
) -> tuple[Reason, str] | None:
    if problems:
        return Reason.INVALID_LABELS, "; ".join(problems)
    if not policy.zero:
        return Reason.NOT_OPTED_IN, "label com.openfaas.scale.zero is not true"
    if policy.max < 1:
        return Reason.AT_MAX, f"its maximum is {policy.max}"
    if unread:
        return Reason.NO_DATA, f"its replicas could not be counted: {unread}"
    if history.woken_for is not None and history.woken_for >= call.at:
        return Reason.WOKEN_ONCE, f"{call.said}; it was woken for that, and taken to zero again"
    return None
