"""How far a log is consumed, whose entries are done with in any order and told of only in the log's own."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Position = TypeVar("Position")


class Consumed(Generic[Position]):
    """Of one log: a partition, a replication slot, a connection whose messages are acknowledged in their order.

    Positions are ``given`` in the log's order, and ``taken`` in any. There may be gaps between them, as a log with
    transactions has: nothing is computed with them.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Position, bool] = OrderedDict()
        """Whether it is taken, in the log's order."""

    def __repr__(self) -> str:
        return f"<Consumed but for {len(self._open)}>"

    def __len__(self) -> int:
        return len(self._open)

    def given(self, position: Position) -> None:
        """Given anew it is open anew."""
        self._open[position] = False

    def taken(self, position: Position) -> list[Position]:
        """The positions, in order, up to which all is taken now and was not before."""
        if position in self._open:
            self._open[position] = True
        passed: list[Position] = []
        while self._open and self._open[first := next(iter(self._open))]:
            del self._open[first]
            passed.append(first)
        return passed
