"""Whose job goes out next: deficit round robin, first between functions, then between the tenants of one.

Each waiting function gets the same share of the worker's time, however many jobs it has and however long they take: a
visit gives it credit for as many seconds as any other, and a job costs what the last ones of its function took. After
M. Shreedhar and G. Varghese, "Efficient Fair Queuing Using Deficit Round-Robin", SIGCOMM 1995, with seconds for bytes;
and as in surplus round robin (H. Adiseshu, G. Parulkar and G. Varghese, SIGCOMM 1996) whoever has credit may go once
and be in debt for it, so that who comes new need not save up for a long job before its first one goes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import Lane

MIN_COST_S, MAX_COST_S = 0.01, 60.0
"""Of one job: no function is free, and none waits for ever behind its own long jobs."""

UNKNOWN_COST_S = 1.0
"""Of a job of a function of which none has ended yet."""

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
        self._passed_by: dict[_Key, float] = {}
        """Who could not go when it was its turn: not asked again before ``wake``, and its credit stays as it was."""
        self._visited: _Key | None = None
        """Who is first in turn and has had what this visit gives."""
        self._rounds = 0.0
        self._debts: dict[_Key, tuple[float, float]] = {}
        """Of those that left: what they owe, and the round in which they did."""

    def __repr__(self) -> str:
        return f"<RoundRobin of {len(self)}>"

    def __len__(self) -> int:
        return len(self._credit) + len(self._passed_by)

    def enter(self, key: _Key) -> None:
        """It waits. Who waits already keeps its place and its credit."""
        if key not in self._credit and key not in self._passed_by:
            owed, since = self._debts.pop(key, (0.0, 0.0))
            self._credit[key] = min(0.0, owed + QUANTUM_S * (self._rounds - since))

    def leave(self, key: _Key) -> None:
        """It has nothing that waits; what credit it had is gone, as nobody saves it up, and what it owes is not."""
        credit = self._credit.pop(key, 0.0) + self._passed_by.pop(key, 0.0)
        if credit < 0:
            self._debts[key] = (credit, self._rounds)
        if self._visited == key:
            self._visited = None

    def forget(self, key: _Key) -> None:
        self.leave(key)
        self._debts.pop(key, None)

    def give_back(self, key: _Key, seconds: float) -> None:
        """Of what it was charged."""
        for credit in (self._credit, self._passed_by):
            if key in credit:
                credit[key] += seconds
                return
        owed, since = self._debts.pop(key, (0.0, 0.0))
        if owed + seconds < 0:
            self._debts[key] = (owed + seconds, since)

    def wake(self, key: _Key) -> None:
        """It may be able to go now."""
        if key in self._passed_by:
            self._credit[key] = self._passed_by.pop(key)

    def wake_all(self) -> None:
        self._credit.update(self._passed_by)
        self._passed_by.clear()

    def next(self, can: Callable[[_Key], bool]) -> _Key | None:
        """Whose turn it is of those that ``can`` go now, which is charged for it; None where nobody can."""
        in_debt = 0
        while self._credit:
            key = next(iter(self._credit))
            if not can(key):
                self._passed_by[key] = self._credit.pop(key)
                self._visited = None
                continue
            if self._visited != key:
                self._visited = key
                self._credit[key] += QUANTUM_S
                self._rounds += 1 / len(self._credit)
            if self._credit[key] > 0:
                self._credit[key] -= self._cost(key)
                return key  # and the next one, too, while its credit lasts
            self._credit.move_to_end(key)
            self._visited = None
            in_debt += 1
            if in_debt >= len(self._credit):
                self._skip_rounds()
                in_debt = 0
        return None

    def _skip_rounds(self) -> None:
        """All are in debt: as many visits at once as leave the first of them one short of credit."""
        rounds = int(-max(self._credit.values()) / QUANTUM_S)
        if rounds > 0:
            self._rounds += rounds
            for key in self._credit:
                self._credit[key] += rounds * QUANTUM_S


class FairShare:
    """Lanes that wait, by function. ``took`` tells it what jobs cost."""

    def __init__(self) -> None:
        self._seconds: dict[FunctionRef, float] = {}
        self._functions = RoundRobin[FunctionRef](self._cost)
        self._lanes: dict[FunctionRef, RoundRobin[Lane]] = {}

    def __repr__(self) -> str:
        return f"<FairShare of {len(self._functions)} functions>"

    def enter(self, lane: Lane) -> None:
        """A job of it may be waiting."""
        lanes = self._lanes.get(lane.function)
        if lanes is None:
            lanes = self._lanes[lane.function] = RoundRobin(lambda one: self._cost(one.function))
        lanes.enter(lane)
        self._functions.enter(lane.function)

    def leave(self, lane: Lane) -> None:
        """None is."""
        lanes = self._lanes.get(lane.function)
        if lanes is not None:
            lanes.leave(lane)
            if not len(lanes):
                self._functions.leave(lane.function)

    def wake(self, function: FunctionRef) -> None:
        """It may have room now."""
        self._functions.wake(function)

    def wake_all(self) -> None:
        self._functions.wake_all()

    def next(self, has_room: Callable[[FunctionRef], bool]) -> Lane | None:
        """The lane whose job is to go out; None where no waiting function has room. Who has none is not asked again
        before it is woken."""
        function = self._functions.next(has_room)
        return None if function is None else self._lanes[function].next(lambda _: True)

    def was_empty(self, lane: Lane, jobs: int) -> None:
        """It was charged for so many that were not there."""
        seconds = jobs * self._cost(lane.function)
        self._functions.give_back(lane.function, seconds)
        if (lanes := self._lanes.get(lane.function)) is not None:
            lanes.give_back(lane, seconds)

    def took(self, function: FunctionRef, seconds: float) -> None:
        """A job of it ran for so long."""
        known = self._seconds.get(function, seconds)
        self._seconds[function] = known + LATEST * (seconds - known)

    def forget(self, function: FunctionRef) -> None:
        """Nothing came for it for long."""
        self._functions.forget(function)
        self._lanes.pop(function, None)
        self._seconds.pop(function, None)

    def _cost(self, function: FunctionRef) -> float:
        return min(max(self._seconds.get(function, UNKNOWN_COST_S), MIN_COST_S), MAX_COST_S)
