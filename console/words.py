"""Decisions, states and parts in a person's words."""

from __future__ import annotations

from springtide.console.decisions import DecisionRecord
from springtide.console.functions import State
from springtide.scaler.core import explain

_REASONS = {reason.value: text for reason, text in explain.REASONS.items()}
_WRITERS = {writer.value: words.badge for writer, words in explain.WRITERS.items()}
_STATES = {
    State.READY: "Ready",
    State.SCALING: "Scaling",
    State.STARTING: "Starting",
    State.ASLEEP: "Asleep",
    State.PROBLEM: "Problem",
    State.UNKNOWN: "Unknown",
}
_UNITS = {"s": "s", "percent": "%"}


def reason(told: DecisionRecord) -> str:
    """One line on why; a reason that is newer than this console is shown by its name."""
    return _REASONS.get(told.reason, told.reason.replace("_", " "))


def writer(told: DecisionRecord) -> str:
    return _WRITERS.get(told.writer, told.writer.replace("_", " "))


def state(of: State) -> str:
    return _STATES[of]


def change(told: DecisionRecord) -> str:
    return explain.change(told.before, told.after)


def inputs(told: DecisionRecord) -> list[tuple[str, str]]:
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
