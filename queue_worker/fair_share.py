"""Whose job goes out next: deficit round robin, first between functions, then between the tenants of one.

Each waiting function gets the same share of the worker's time, however many jobs it has and however long they take: a
visit gives it credit for as many seconds as any other, and a job costs what the last ones of its function took. After
M. Shreedhar and G. Varghese, "Efficient Fair Queuing Using Deficit Round-Robin", SIGCOMM 1995, with seconds for bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import Lane

MIN_COST_S, MAX_COST_S = 0.01, 60.0
"""Of one job: no function is free, and none waits for ever behind its own long jobs."""

QUANTUM_S = 0.25
"""What a visit gives."""

LATEST = 0.2
"""How much the newest run time counts in what is expected of the next."""

_Key = TypeVar("_Key", bound=Hashable)


class RoundRobin(Generic[_Key]):
    """Visits those who wait in turn. ``cost`` is of one job of theirs, in seconds."""

    def __init__(self, cost: Callable[[_Key], float]) -> None:
        self._cost = cost
        self._credit: OrderedDict[_Key, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<RoundRobin of {len(self._credit)}>"

    def __len__(self) -> int:
        return len(self._credit)

    def enter(self, key: _Key) -> None:
        """It waits. Who waited just now keeps its place and its credit."""
        self._credit.setdefault(key, 0.0)

    def leave(self, key: _Key) -> None:
        """It has nothing that waits; what credit it had is gone, as nobody saves it up."""
        self._credit.pop(key, None)

    def next(self, can: Callable[[_Key], bool]) -> _Key | None:
        """Whose turn it is of those that ``can`` go now, which is charged for it; None where nobody can."""
        passed_by = 0
        while passed_by < len(self._credit):
            key = next(iter(self._credit))
            if not can(key):
                passed_by += 1
            elif self._credit[key] >= self._cost(key):
                self._credit[key] -= self._cost(key)
                return key  # and the next one, too, while its credit lasts
            else:
                passed_by = 0
                self._credit[key] += QUANTUM_S
            self._credit.move_to_end(key)
        return None


class FairShare:
    """Lanes that wait, by function. ``took`` tells it what jobs cost."""

    def __init__(self) -> None:
        self._seconds: dict[FunctionRef, float] = {}
        self._functions = RoundRobin[FunctionRef](self._cost)
        self._lanes: dict[FunctionRef, RoundRobin[Lane]] = {}

    def __repr__(self) -> str:
        return f"<FairShare of {len(self._lanes)} functions>"

    def enter(self, lane: Lane) -> None:
        """A job of it may be waiting."""
        lanes = self._lanes.get(lane.function)
        if lanes is None:
            lanes = self._lanes[lane.function] = RoundRobin(lambda one: self._cost(one.function))
            self._functions.enter(lane.function)
        lanes.enter(lane)

    def leave(self, lane: Lane) -> None:
        """None is."""
        lanes = self._lanes.get(lane.function)
        if lanes is not None:
            lanes.leave(lane)
            if not len(lanes):
                del self._lanes[lane.function]
                self._functions.leave(lane.function)

    def next(self, has_room: Callable[[FunctionRef], bool]) -> Lane | None:
        """The lane whose job is to go out; None where no waiting function has room."""
        function = self._functions.next(has_room)
        return None if function is None else self._lanes[function].next(lambda _: True)

    def took(self, function: FunctionRef, seconds: float) -> None:
        """A job of it ran for so long."""
        known = self._seconds.get(function, seconds)
        self._seconds[function] = known + LATEST * (seconds - known)

    def forget(self, function: FunctionRef) -> None:
        """It is no more."""
        self._seconds.pop(function, None)

    def _cost(self, function: FunctionRef) -> float:
        return min(max(self._seconds.get(function, MIN_COST_S), MIN_COST_S), MAX_COST_S)
