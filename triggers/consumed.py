"""How far a log is consumed, whose entries are done with in any order and told of only in the log's own."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Position = TypeVar("Position")


class Consumed(Generic[Position]):
    """Of one log: a partition, a replication slot. ``given`` in the log's order, ``taken`` in any.

    Positions may have gaps between them, as those of a log with transactions have: nothing is computed with them.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Position, bool] = OrderedDict()
        """Whether it is taken, in the log's order."""

    def __repr__(self) -> str:
        return f"<Consumed but for {len(self._open)}>"

    def __len__(self) -> int:
        return len(self._open)

    def given(self, position: Position) -> None:
        self._open.setdefault(position, False)

    def taken(self, position: Position) -> Position | None:
        """The last position up to which all is taken, where that moved; None where one before it is not."""
        if position in self._open:
            self._open[position] = True
        last = None
        while self._open and self._open[first := next(iter(self._open))]:
            del self._open[first]
            last = first
        return last
