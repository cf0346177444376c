"""What the control loop is told of a function at a look: its counts, and a signal for each kind of load.

Each signal is known by itself, or not, with the reason. What is too old, or no number, is not known. Unknown is never
zero: nothing is taken away on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from springtide.scaler.core import targets
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.loads import Load
from springtide.scaler.core.vocabulary import Function, Instant, NoData, Reason, Unmeasured

CALLS = "calls"
"""The key of the gateways' signal, which tells the load of both ``rps`` and ``capacity``."""

CALLS_MAX_AGE_S = 5.0
"""Gateways tell each second."""
MAX_AGE_S: Mapping[str, float] = {targets.CPU.name: 90.0, targets.QUEUE.name: 30.0}
"""A cluster tells of the processor time of 15 to 60 s ago, and one of its scrapes may fail."""
QUERY_MAX_AGE_S = 120.0
"""A recording rule may be evaluated once a minute."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What all gateways know of a function. ``silent``: those that should be there and have not been heard lately."""

    sample: LoadSample
    silent: tuple[str, ...] = ()

    @property
    def at(self) -> Instant:
        return self.sample.at


@dataclass(frozen=True, slots=True)
class Level:
    """The function's whole load, in the unit of its target, and when it was so."""

    value: float
    at: Instant


Signal = Calls | Level | NoData
Held = tuple[Reason, str]


@dataclass(frozen=True, slots=True)
class Observation:
    """A look. ``signals`` by ``signal_key``; one that is missing is not known.

    ``unread`` says why the counts of ``function`` are not those of now, where they could not be read: they are the last
    that were. ``wakes`` counts how often it left zero: a sleep may begin and end between two looks.
    """

    function: Function
    signals: Mapping[str, Signal]
    unread: str = ""
    wakes: int = 0


def signal_key(load: Load) -> str:
    """Under which key a load's signal is."""
    return CALLS if load.type is targets.RPS or load.type is targets.CAPACITY else load.name


def unknown(key: str, signal: Signal | None, now: Instant) -> Held | None:
    """Why a signal tells nothing now; None where it is known."""
    if signal is None:
        return Reason.NO_DATA, f"{key}: nobody measures it"
    if isinstance(signal, NoData):
        reason = Reason.UNMEASURED if isinstance(signal, Unmeasured) else Reason.NO_DATA
        return reason, f"{key}: {signal.why}"
    if not _a_number(signal):
        return Reason.NO_DATA, f"{key}: what was measured is no number of at least 0"
    age_s = now - signal.at
    limit_s = CALLS_MAX_AGE_S if isinstance(signal, Calls) else MAX_AGE_S.get(key, QUERY_MAX_AGE_S)
    if age_s > limit_s:
        return Reason.STALE_DATA, f"{key}: last measured more than {limit_s:g} s ago"
    if age_s < -limit_s:
        return Reason.STALE_DATA, f"{key}: measured more than {limit_s:g} s in the future, so two clocks differ"
    return None


def _a_number(signal: Calls | Level) -> bool:
    if isinstance(signal, Level):
        return 0.0 <= signal.value < math.inf
    sample = signal.sample
    return (
        0.0 <= sample.in_flight < math.inf
        and 0.0 <= sample.waiting < math.inf
        and 0.0 <= sample.started < math.inf
        and 0.0 <= sample.completed < math.inf
    )
