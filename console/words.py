"""Decisions, states and parts in a person's words."""

from __future__ import annotations

from springtide.console.decisions import Told
from springtide.console.functions import State
from springtide.scaler.core.vocabulary import Reason, Writer

_REASONS = {
    Reason.ALERT_FIRING: "An alert fires: the load is above its target",
    Reason.ALERT_RESOLVED: "The alert is over: the load went down",
    Reason.IDLE: "Nobody called for long enough",
    Reason.WAKE: "A caller woke it",
    Reason.MANUAL: "A person asked for it",
    Reason.AT_MAX: "Already at its maximum",
    Reason.AT_MIN: "Already at its minimum",
    Reason.ASLEEP: "Asleep: only a caller wakes it",
    Reason.REDELIVERED: "The same alert was acted on a moment ago",
    Reason.STEP_PENDING: "The next step down is not due yet",
    Reason.STILL_FIRING: "Another alert still fires",
    Reason.FACTOR_ZERO: "Scaling by alerts is switched off for it",
    Reason.FIXED_SIZE: "Its minimum is its maximum",
    Reason.NOT_OWNER: "Another scaler owns its replicas",
    Reason.NOT_OPTED_IN: "It is not allowed to sleep",
    Reason.INVALID_LABELS: "Its scaling labels cannot be understood",
    Reason.DRY_RUN: "Only watching: this is a dry run",
    Reason.IN_FLIGHT: "Calls are in flight",
    Reason.RECENTLY_ACTIVE: "It was called a short time ago",
    Reason.TOO_YOUNG: "It was deployed or scaled a short time ago",
    Reason.NO_DATA: "Its load is not known, so it is left alone",
    Reason.STALE_DATA: "The data on its load is too old, so it is left alone",
    Reason.SOURCE_RESTARTED: "The source of its load restarted, so it is left alone for now",
    Reason.AGE_UNKNOWN: "Its age is not known, so it is left alone",
    Reason.LOST_RACE: "Somebody else changed it first",
    Reason.WRITE_FAILED: "The provider did not take the change",
    Reason.UNKNOWN_FUNCTION: "The function is gone",
}
_WRITERS = {
    Writer.ALERT: "Alerts",
    Writer.HPA: "HPA",
    Writer.IDLER: "Idler",
    Writer.WAKE: "Gateway",
    Writer.PERSON: "Person",
}
_STATES = {
    State.READY: "Ready",
    State.SCALING: "Scaling",
    State.STARTING: "Starting",
    State.ASLEEP: "Asleep",
    State.PROBLEM: "Problem",
    State.UNKNOWN: "Unknown",
}
_UNITS = {"s": "s", "percent": "%"}


def reason(told: Told) -> str:
    """One line on why; a reason that is newer than this console is shown by its name."""
    return _known(_REASONS, Reason, told.reason)


def writer(told: Told) -> str:
    return _known(_WRITERS, Writer, told.writer)


def state(of: State) -> str:
    return _STATES[of]


def change(told: Told) -> str:
    """What became of the replicas: ``1 → 3 replicas``, or that they stayed."""
    if told.changes:
        return f"{told.before} → {replicas(told.after)}"
    return f"stays at {replicas(told.after)}"


def replicas(count: float) -> str:
    return f"{count:g} replica" if count == 1 else f"{count:g} replicas"


def inputs(told: Told) -> list[tuple[str, str]]:
    """The numbers a decision was made from: ``data_age_s`` becomes ``data age`` with its unit."""
    return [_input(name, value) for name, value in told.inputs.items()]


def _input(name: str, value: float) -> tuple[str, str]:
    stem, _, unit = name.rpartition("_")
    if unit in _UNITS and stem:
        return stem.replace("_", " "), f"{_short(value)} {_UNITS[unit]}"
    return name.replace("_", " "), _short(value)


def _short(value: float) -> str:
    """Three digits that count, never an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):f}".rstrip("0").rstrip(".")


def _known(words: dict[Reason, str] | dict[Writer, str], kind: type[Reason] | type[Writer], text: str) -> str:
    try:
        return words[kind(text)]  # type: ignore[index]  # the two come in pairs
    except (KeyError, ValueError):
        return text.replace("_", " ")
