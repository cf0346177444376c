"""Who may write replicas: one table, row by row. A write that no row allows is a hold with the reason told.

    from  to     may write
    0     n      a wake
    n     0      the idler, for a function that opted in
    n     m      the owner that the function's scaling type names: the alert path or an HPA
    any   any    a person

Here n, m ≥ 1. Nothing else may, so no two automatic writers ever share a transition.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import Reason, Writer


class Move(enum.Enum):
    """What a change of the count is to a function."""

    WAKE = "0 to n"
    TO_ZERO = "n to 0"
    STEADY = "n to m"


@dataclass(frozen=True, slots=True)
class Row:
    """``writer`` may make ``move`` where the function's policy ``allows`` it; where not, ``otherwise`` says why."""

    move: Move
    writer: Writer
    allows: Callable[[ScalePolicy], bool]
    otherwise: Reason


def steady_owner(policy: ScalePolicy) -> Writer:
    """Who moves a running function between 1 and its maximum."""
    return policy.target_type.owner


def _always(_policy: ScalePolicy) -> bool:
    return True


def _opted_in(policy: ScalePolicy) -> bool:
    return policy.zero


def _owned_by(writer: Writer) -> Row:
    return Row(Move.STEADY, writer, lambda policy: steady_owner(policy) is writer, Reason.NOT_OWNER)


TABLE = (
    Row(Move.WAKE, Writer.WAKE, _always, Reason.ASLEEP),
    Row(Move.TO_ZERO, Writer.IDLER, _opted_in, Reason.NOT_OPTED_IN),
    _owned_by(Writer.ALERT),
    _owned_by(Writer.HPA),
    *(Row(move, Writer.PERSON, _always, Reason.NOT_OWNER) for move in Move),
)

NO_ROW = {Move.WAKE: Reason.ASLEEP, Move.TO_ZERO: Reason.NOT_OWNER, Move.STEADY: Reason.NOT_OWNER}
"""Why a writer may not make a move that it has no row for."""


def move_of(before: int, after: int) -> Move:
    """Which move it is to go from ``before`` to another count."""
    if before == 0:
        return Move.WAKE
    return Move.TO_ZERO if after == 0 else Move.STEADY


def refusal(writer: Writer, policy: ScalePolicy, before: int, after: int) -> Reason | None:
    """Why ``writer`` must not change the count from ``before`` to ``after``; None when it may."""
    if before == after:
        return None
    move = move_of(before, after)
    for row in TABLE:
        if (row.move, row.writer) == (move, writer):
            return None if row.allows(policy) else row.otherwise
    return NO_ROW[move]
