"""The words every part shares. All values are frozen; instants are seconds since 1970-01-01T00:00:00Z."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

from springtide.scaler.core.call_timeout import CallTimeout

Instant = NewType("Instant", float)

DEFAULT_NAMESPACE = "openfaas-fn"
"""The namespace of functions deployed without one; faas-cli always appends it when the user gave none."""


@dataclass(frozen=True, slots=True, order=True)
class FunctionRef:
    """Which function: its namespace and its name. ``str()`` gives the metric label form, ``name.namespace``."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str, default_namespace: str = DEFAULT_NAMESPACE) -> FunctionRef:
        """``name`` or ``name.namespace``, split at the last dot; ``.openfaas-fn`` is always the default namespace."""
        name, dot, namespace = text.rpartition(".")
        if not dot:
            return cls(default_namespace, text)
        return cls(default_namespace if namespace == DEFAULT_NAMESPACE else namespace, name)

    def __str__(self) -> str:
        return f"{self.name}.{self.namespace}"


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas are wanted, how many really answer, and the version a compare-and-set names."""

    desired: int
    ready: int
    version: str


class Writer(enum.StrEnum):
    """Who changes a function's replicas."""

    ALERT = "alert"
    SCALER = "scaler"
    HPA = "hpa"
    IDLER = "idler"
    WAKE = "wake"
    PREWARM = "prewarm"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Function:
    """What a catalog knows of one function. ``created_at`` is None when the provider does not know it."""

    ref: FunctionRef
    scale: Scale
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    created_at: Instant | None = None
    call_timeout: CallTimeout | None = None
    owner: Writer | None = Writer.ALERT
    """Who moves its replicas while it runs, as its provider tells; None for nobody."""
    learned_wake: int | None = None
    """Replicas that its last wakes needed, as the control loop has learned; None where it has not, or shall not."""
    longest_start_s: float | None = None
    """The longest of its last starts from zero; None where none was measured."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value and when it was measured (not when it was asked for)."""

    value: float
    at: Instant


@dataclass(frozen=True, slots=True)
class NoData:
    """The measurement is missing, and why. Never the same as zero."""

    why: str


@dataclass(frozen=True, slots=True)
class Unmeasured(NoData):
    """Nobody here measures it, and no waiting changes that."""


class Reason(enum.StrEnum):
    """Why a decision came out as it did. Values are metric labels and part of the public surface."""

    # The count changes.
    ALERT_FIRING = "alert_firing"
    ALERT_RESOLVED = "alert_resolved"
    LOAD_UP = "load_up"
    LOAD_DOWN = "load_down"
    IDLE = "idle"
    MEMORY_PRESSURE = "memory_pressure"
    WAKE = "wake"
    SCHEDULED = "scheduled"
    JOB_DUE = "job_due"
    FORECAST = "forecast"
    MANUAL = "manual"
    # Held: nothing to do.
    AT_MAX = "at_max"
    AT_MIN = "at_min"
    ASLEEP = "asleep"
    WOKEN_ONCE = "woken_once"
    OVER_BUDGET = "over_budget"
    REDELIVERED = "redelivered"
    STEP_PENDING = "step_pending"
    STILL_FIRING = "still_firing"
    ENOUGH = "enough"
    SETTLING = "settling"
    UNCONFIRMED = "unconfirmed"
    # Held: not ours to touch.
    FACTOR_ZERO = "factor_zero"
    FIXED_SIZE = "fixed_size"
    NOT_OWNER = "not_owner"
    NOT_OPTED_IN = "not_opted_in"
    INVALID_LABELS = "invalid_labels"
    DRY_RUN = "dry_run"
    # Held: busy or too early.
    IN_FLIGHT = "in_flight"
    RECENTLY_ACTIVE = "recently_active"
    TOO_YOUNG = "too_young"
    CALL_EXPECTED = "call_expected"
    STARTING = "starting"
    # Held: we do not know.
    NO_DATA = "no_data"
    PARTIAL_DATA = "partial_data"
    STALE_DATA = "stale_data"
    SOURCE_RESTARTED = "source_restarted"
    AGE_UNKNOWN = "age_unknown"
    UNMEASURED = "unmeasured"
    # Decided, but not done.
    LOST_RACE = "lost_race"
    WRITE_FAILED = "write_failed"
    UNKNOWN_FUNCTION = "unknown_function"


GROUPS: Mapping[str, tuple[Reason, ...]] = {
    "The count changes": (
        Reason.ALERT_FIRING,
        Reason.ALERT_RESOLVED,
        Reason.LOAD_UP,
        Reason.LOAD_DOWN,
        Reason.IDLE,
        Reason.MEMORY_PRESSURE,
        Reason.WAKE,
        Reason.SCHEDULED,
        Reason.JOB_DUE,
        Reason.FORECAST,
        Reason.MANUAL,
    ),
    "Held: nothing to do": (
        Reason.AT_MAX,
        Reason.AT_MIN,
        Reason.ASLEEP,
        Reason.WOKEN_ONCE,
        Reason.OVER_BUDGET,
        Reason.REDELIVERED,
        Reason.STEP_PENDING,
        Reason.STILL_FIRING,
        Reason.ENOUGH,
        Reason.SETTLING,
        Reason.UNCONFIRMED,
    ),
    "Held: not ours to touch": (
        Reason.FACTOR_ZERO,
        Reason.FIXED_SIZE,
        Reason.NOT_OWNER,
        Reason.NOT_OPTED_IN,
        Reason.INVALID_LABELS,
        Reason.DRY_RUN,
    ),
    "Held: busy or too early": (
        Reason.IN_FLIGHT,
        Reason.RECENTLY_ACTIVE,
        Reason.TOO_YOUNG,
        Reason.CALL_EXPECTED,
        Reason.STARTING,
    ),
    "Held: we do not know": (
        Reason.NO_DATA,
        Reason.PARTIAL_DATA,
        Reason.STALE_DATA,
        Reason.SOURCE_RESTARTED,
        Reason.AGE_UNKNOWN,
        Reason.UNMEASURED,
    ),
    "Decided, but not done": (Reason.LOST_RACE, Reason.WRITE_FAILED, Reason.UNKNOWN_FUNCTION),
}

_UNDONE = (Reason.WRITE_FAILED, Reason.UNKNOWN_FUNCTION)

REASONS: Mapping[Writer, tuple[Reason, ...]] = {
    Writer.ALERT: (
        Reason.ALERT_FIRING,
        Reason.ALERT_RESOLVED,
        Reason.AT_MAX,
        Reason.AT_MIN,
        Reason.ASLEEP,
        Reason.REDELIVERED,
        Reason.STEP_PENDING,
        Reason.STILL_FIRING,
        Reason.FACTOR_ZERO,
        Reason.FIXED_SIZE,
        Reason.NOT_OWNER,
        Reason.INVALID_LABELS,
        Reason.NO_DATA,
        Reason.LOST_RACE,
        *_UNDONE,
    ),
    Writer.SCALER: (
        Reason.LOAD_UP,
        Reason.LOAD_DOWN,
        Reason.ENOUGH,
        Reason.SETTLING,
        Reason.UNCONFIRMED,
        Reason.STARTING,
        Reason.AT_MAX,
        Reason.AT_MIN,
        Reason.ASLEEP,
        Reason.FIXED_SIZE,
        Reason.NOT_OWNER,
        Reason.INVALID_LABELS,
        Reason.NO_DATA,
        Reason.STALE_DATA,
        Reason.PARTIAL_DATA,
        Reason.SOURCE_RESTARTED,
        Reason.UNMEASURED,
        Reason.LOST_RACE,
        *_UNDONE,
    ),
    Writer.IDLER: (
        Reason.IDLE,
        Reason.MEMORY_PRESSURE,
        Reason.ASLEEP,
        Reason.NOT_OPTED_IN,
        Reason.INVALID_LABELS,
        Reason.DRY_RUN,
        Reason.IN_FLIGHT,
        Reason.RECENTLY_ACTIVE,
        Reason.TOO_YOUNG,
        Reason.CALL_EXPECTED,
        Reason.NO_DATA,
        Reason.STALE_DATA,
        Reason.SOURCE_RESTARTED,
        Reason.AGE_UNKNOWN,
        Reason.LOST_RACE,
        *_UNDONE,
    ),
    Writer.WAKE: (Reason.WAKE, *_UNDONE),
    Writer.PREWARM: (
        Reason.SCHEDULED,
        Reason.JOB_DUE,
        Reason.FORECAST,
        Reason.WOKEN_ONCE,
        Reason.OVER_BUDGET,
        Reason.AT_MAX,
        Reason.NOT_OPTED_IN,
        Reason.INVALID_LABELS,
        Reason.NO_DATA,
        Reason.LOST_RACE,
        *_UNDONE,
    ),
    Writer.PERSON: (Reason.MANUAL,),
    Writer.HPA: (),
}
"""Why each writer decides. Their counters begin at 0, so that the first decision shows as an increase."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one function. ``after == before`` is a hold; ``detail`` is a sentence for a person.

    ``inputs`` are the numbers it was made from: what was measured, the limits that applied, ages in seconds (``_s``).
    """

    ref: FunctionRef
    writer: Writer
    before: int
    after: int
    reason: Reason
    detail: str
    at: Instant
    inputs: Mapping[str, float] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        return self.after != self.before
