"""``GET /busy-periods?since=…`` at a gateway's port for metrics: when functions had calls in flight, by instants.

Whoever learns from pauses asks every few seconds for what ended since; who was away for a while is told of that, too,
for a gateway keeps the last ``MAX_PERIODS`` of each function. Both ends use this module.

    {"at": 1700000000.5, "gateway": "…", "began": 1699990000.0,
     "functions": {"echo.openfaas-fn": [BUSY, LOST, BEGUN, ENDED, CALLS, BEGUN, ENDED, CALLS, …], …}}

``at`` is up to when everything is told; ``gateway`` names one life of the gateway and ``began`` when it began. A period
has no stretch of ``QUIET_S`` or longer without a call in flight; they are in the order of time. ``BUSY`` is 1 while
calls are in flight, and then the last period goes on. ``LOST`` is an instant: periods that ended up to then were
dropped, for there were too many; 0 where none was. Instants are seconds since 1970 by the gateway's clock.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from springtide.runtime import bounded_json
from springtide.runtime.errors import Unavailable

PATH = "/busy-periods"
QUIET_S = 1.0
"""A shorter stretch without a call in flight ends no period."""
MAX_PERIODS = 32
"""Of a function, that a gateway keeps."""
MAX_FUNCTIONS = 20_000
MAX_INSTANT = 253_402_300_800.0
MAX_CALLS = 2.0**53
MAX_TEXT = 200


class Period(NamedTuple):
    """``calls`` began in it."""

    begun: float
    ended: float
    calls: int


@dataclass(frozen=True, slots=True)
class FunctionPeriods:
    """One function at one gateway."""

    periods: Sequence[Period]
    busy: bool = False
    lost_until: float = 0.0


@dataclass(frozen=True, slots=True)
class BusyReport:
    """One gateway's answer."""

    at: float
    gateway: str
    began: float
    functions: Mapping[str, FunctionPeriods] = field(default_factory=dict)


def encode(told: BusyReport) -> bytes:
    functions = {
        name: [int(one.busy), one.lost_until, *itertools.chain.from_iterable(one.periods)]
        for name, one in told.functions.items()
    }
    value = {"at": told.at, "gateway": told.gateway, "began": told.began, "functions": functions}
    return json.dumps(value, separators=(",", ":")).encode()


def decode(text: bytes) -> BusyReport:
    """Raises Unavailable for what is no such answer, or is not within bounds."""
    try:
        value = bounded_json.loads(text)
        return BusyReport(
            at=_number(value["at"], MAX_INSTANT),
            gateway=_text(value["gateway"]),
            began=_number(value["began"], MAX_INSTANT),
            functions=_functions(value["functions"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"not busy periods: {error!r:.200}") from error


def _functions(value: Any) -> dict[str, FunctionPeriods]:
    if not isinstance(value, dict) or len(value) > MAX_FUNCTIONS:
        raise ValueError(f"functions: not an object of at most {MAX_FUNCTIONS} members")
    return {_text(name, 2 * MAX_TEXT): _function(numbers) for name, numbers in value.items()}


def _function(value: Any) -> FunctionPeriods:
    if not isinstance(value, list) or len(value) % 3 != 2 or len(value) > 3 * (MAX_PERIODS + 1):
        raise ValueError("not the periods of a function")
    busy, lost_until, *numbers = (_number(number, max(MAX_INSTANT, MAX_CALLS)) for number in value)
    periods = [Period(begun, ended, int(calls)) for begun, ended, calls in zip(*[iter(numbers)] * 3, strict=True)]
    if any(not period.begun <= period.ended <= MAX_INSTANT for period in periods):
        raise ValueError("a period that ends before it begins")
    return FunctionPeriods(periods, bool(busy), lost_until)


def _number(value: Any, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{str(value)[:40]} is not a number between 0 and {most:g}")
    return float(value)


def _text(value: Any, most: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise ValueError(f"not a text of at most {most} characters")
    return value
