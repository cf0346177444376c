"""A function's calls as bursts, for what only depends on its longer pauses: when it sleeps, and when it is woken.

Calls with pauses of less than ``BURST_S`` between them are one burst: no policy sleeps in the first minute, so a
million calls become some hundreds of bursts, and weeks of hundreds of functions are lived through in seconds.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from springtide.scaler.core.keepalive.history import BURST_S


@dataclass(slots=True)
class Bursts:
    """One function's life, from 0 to ``length_s``: when each burst began and ended, and how many calls it had."""

    function: str
    length_s: float
    cold_start_s: float
    since: array[float] = field(default_factory=lambda: array("d"))
    until: array[float] = field(default_factory=lambda: array("d"))
    calls: array[int] = field(default_factory=lambda: array("L"))


def bursts_of(
    function: str,
    arrivals: Iterable[float],
    *,
    length_s: float,
    cold_start_s: float,
    service_s: Callable[[random.Random], float],
    source: random.Random,
) -> Bursts:
    """Of calls that begin at these instants, in order, each of which takes as long as is drawn."""
    found = Bursts(function, length_s, cold_start_s)
    since = until = float("-inf")
    calls = 0
    for at in arrivals:
        if at >= length_s:
            break
        if calls and at - until >= BURST_S:
            _append(found, since, until, calls)
            calls = 0
        if not calls:
            since = until = at
        until = max(until, at + service_s(source))
        calls += 1
    if calls:
        _append(found, since, until, calls)
    return found


def _append(found: Bursts, since: float, until: float, calls: int) -> None:
    found.since.append(since)
    found.until.append(min(until, found.length_s))
    found.calls.append(calls)
