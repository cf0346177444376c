"""One look as values: what is known of each function, in the order asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from springtide.cli.sleep_status import SleepStatus
from springtide.scaler.core import ownership
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Writer
from springtide.wire import decision_log
from springtide.wire.function_rates import FunctionRates


@dataclass(frozen=True, slots=True)
class LoadShare:
    """One load that the control loop follows: all of it, None where it is not known, and the target of one replica."""

    name: str
    value: float | None
    target: float

    @property
    def share(self) -> float:
        """In targets: so many replicas would just carry it."""
        return (self.value or 0.0) / self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One function. ``owner`` moves its replicas while it runs; ``loads`` are there where that is the control loop.

    ``last`` is the last decision that changed its count, or else the last that left it.
    """

    ref: FunctionRef
    desired: int
    ready: int
    problem: str | None = None
    measures: FunctionRates = field(default_factory=FunctionRates)
    owner: Writer | None = Writer.ALERT
    loads: tuple[LoadShare, ...] = ()
    last: Decision | None = None
    sleep: SleepStatus | None = None
    """Where that is learned."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``at`` is seconds since the epoch; ``notes`` say what could not be had, a line each."""

    at: float
    gateway: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


_Key = Callable[[Row], float | None]

_KEYS: Mapping[str, _Key] = {
    "name": lambda _: 0.0,
    "replicas": lambda row: row.desired,
    "rate": lambda row: row.measures.rate,
    "flight": lambda row: row.measures.in_flight,
    "held": lambda row: row.measures.held,
    "p95": lambda row: row.measures.p95_s,
    "errors": lambda row: row.measures.error_share,
    "decision": lambda row: row.last.at if row.last else None,
}

SORTS = tuple(_KEYS)


def ordered(rows: Iterable[Row], sort: str) -> tuple[Row, ...]:
    """The most first, what is not known last, equals by name."""
    key = _KEYS[sort]

    def place(row: Row) -> tuple[bool, float, FunctionRef]:
        value = key(row)
        return value is None, -(value or 0.0), row.ref

    return tuple(sorted(rows, key=place))


def latest(known: Mapping[FunctionRef, Decision], told: Iterable[Decision]) -> dict[FunctionRef, Decision]:
    """The last decision of each function, those that were ``known`` before and those ``told`` now (oldest first)."""
    last = dict(known)
    for decision in told:
        before = last.get(decision.ref)
        if before is None or decision.changes or not before.changes:
            last[decision.ref] = decision
    return last


def to_json(look: Snapshot) -> dict[str, Any]:
    """Numbers that are not known are null."""
    return {
        "t": round(look.at, 3),
        "gateway": look.gateway,
        "notes": list(look.notes),
        "functions": [
            {
                "function": row.ref.name,
                "namespace": row.ref.namespace,
                "problem": row.problem,
                **{name: _rounded(value) for name, value in asdict(row.measures).items()},
                "desired": row.desired,
                "ready": row.ready,
                "owner": ownership.owner_to_text(row.owner),
                "loads": [
                    {"type": load.name, "load": _rounded(load.value), "target": load.target} for load in row.loads
                ],
                "last_decision": decision_log.to_json(row.last) if row.last else None,
                **({"sleep": row.sleep.json()} if row.sleep is not None else {}),
            }
            for row in look.rows
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
