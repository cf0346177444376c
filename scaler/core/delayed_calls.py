"""Asynchronous calls that were put off, as far as somebody has told of them: the nearest ones.

There may be any number, so that not all are told. Until when all are is part of the answer: of a call after that
nothing is known, which is not the same as that there is none.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from springtide.scaler.core.prewarm import CallSource, ExpectedCall
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData


@dataclass(frozen=True, slots=True)
class DelayedCalls:
    """``due``: instants of each function's calls, the earliest first; one of several within a second is enough.

    ``until``: each function's first call is told, if it is before that. Infinite where all are.
    """

    due: Mapping[FunctionRef, Sequence[float]] = field(default_factory=dict)
    until: float = math.inf

    def next_call(self, ref: FunctionRef, after: float) -> ExpectedCall | None:
        due = self.due.get(ref, ())
        place = bisect_right(due, after)
        return ExpectedCall(Instant(due[place]), CallSource.JOB) if place < len(due) else None

    def unknown(self, ref: FunctionRef, upcoming: Instant) -> NoData | None:
        """Why it is not known whether the function has a call before an instant; None: it is known."""
        if ref in self.due or upcoming <= self.until:
            return None
        return NoData("there are so many that only the nearest are told, and those of this function are not")
