"""Who may write replicas: one table, row by row. A write that no row allows is a hold with the reason told.

    from  to     may write
    0     n      a wake; ahead of a call that is known to come prewarm, of a function that opted in to zero
    n     0      the idler, for a function that opted in
    n     m      the function's owner: the alert path, the control loop, an HPA, or nobody
    any   any    a person

Here n, m ≥ 1. Nothing else may, so no two automatic writers ever share a transition, but for the two that wake: they
write the same count. ``steady_owner`` says who the owner is, by the function's labels and by what runs here; only the
provider knows that, and tells it with each function.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from springtide.scaler.core import loads, policy
from springtide.scaler.core.policy import Owner, ScalePolicy
from springtide.scaler.core.vocabulary import Function, Reason, Writer


class Move(enum.Enum):
    """What a change of the count is to a function."""

    WAKE = "0 to n"
    TO_ZERO = "n to 0"
    STEADY = "n to m"


@dataclass(frozen=True, slots=True)
class Scalers:
    """What moves replicas where functions run, beside the alert path: HPAs, the control loop.

    ``loop_default``: the loop also has the functions whose labels name no load.
    """

    hpa: bool = False
    loop: bool = False
    loop_default: bool = False


UNTOLD = Scalers(hpa=True)
"""Taken for what there is where a provider does not tell the owner: by labels, as before there was a loop."""

_BY_LABEL: Mapping[Owner, Writer | None] = {
    Owner.ALERTS: Writer.ALERT,
    Owner.SCALER: Writer.SCALER,
    Owner.HPA: Writer.HPA,
    Owner.NONE: None,
}


@dataclass(frozen=True, slots=True)
class Row:
    """``writer`` may make ``move`` if the function's policy, or its owner, ``allows`` it; if not, ``otherwise`` says
    why."""

    move: Move
    writer: Writer
    allows: Callable[[ScalePolicy, Writer | None], bool]
    otherwise: Reason


def steady_owner(asked: ScalePolicy, scalers: Scalers) -> Writer | None:
    """Who moves a running function between its minimum and its maximum; None for nobody.

    The label has the first word. A function whose minimum is its maximum has none to move it. One that scales by
    processor time is an HPA's where there are HPAs; one that names a load, a type or a target, is the control loop's
    where one runs; every other is the alert path's, or the loop's where that is the default.
    """
    if asked.owner is not None:
        return _BY_LABEL[asked.owner]
    if asked.fixed_size:
        return None
    if asked.target_type.owner is Writer.HPA and (scalers.hpa or not scalers.loop):
        return Writer.HPA
    if scalers.loop and (asked.names_load or scalers.loop_default):
        return Writer.SCALER
    return Writer.ALERT


def why_owner(asked: ScalePolicy, owner: Writer | None) -> str:
    """Why a function whose owner was told as ``owner`` is that one's."""
    if asked.owner is not None:
        return f"label {policy.OWNER} says so"
    if asked.fixed_size:
        return "its minimum is its maximum"
    if owner is Writer.SCALER:
        return f"its labels name a load, {asked.type}" if asked.names_load else "that is the default here"
    if owner is Writer.ALERT:
        return "no control loop runs here" if asked.names_load else "its labels name no load"
    return f"its labels name a load, {asked.type}"


def owner_by_labels(labels: Mapping[str, str], scalers: Scalers) -> Writer | None:
    """``steady_owner`` of a function with these labels."""
    return _owner_by(tuple(labels.get(key) for key in _TELLING), scalers)


def owner_to_text(owner: Writer | None) -> str:
    """How a provider tells it."""
    return Owner.NONE.value if owner is None else owner.value


def owner_from_text(told: object, labels: Mapping[str, str]) -> Writer | None:
    """What a provider tells; None for nobody, and for a writer unknown here. One that tells nothing knows of no control
    loop: then the labels do."""
    if told is None:
        return owner_by_labels(labels, UNTOLD)
    return next((writer for writer in Writer if writer.value == told), None)


_TELLING = (policy.OWNER, policy.TYPE, policy.TARGET, policy.MIN, policy.MAX)
MAX_REMEMBERED = 4096


@lru_cache(maxsize=MAX_REMEMBERED)
def _owner_by(values: tuple[str | None, ...], scalers: Scalers) -> Writer | None:
    """Remembered, for a list of thousands of functions is asked for each second."""
    labels = {key: value for key, value in zip(_TELLING, values, strict=True) if value is not None}
    return steady_owner(ScalePolicy.from_labels(labels)[0], scalers)


def counted_wake(learned: int | None, owner: Writer | None) -> int | None:
    """What was learned of a function's wakes, as long as the control loop has the function."""
    return learned if owner is Writer.SCALER else None


def owned(function: Function, scalers: Scalers) -> Function:
    """The function with its owner, and with what was learned of its wakes only where that counts."""
    owner = owner_by_labels(function.labels, scalers)
    return replace(function, owner=owner, learned_wake=counted_wake(function.learned_wake, owner))


def problems_of(labels: Mapping[str, str], annotations: Mapping[str, str], scalers: Scalers) -> tuple[str, ...]:
    """Why a function may not be deployed here: an owner that there is not, or loads that cannot be followed."""
    asked, problems = ScalePolicy.from_labels(labels)[0], []
    if asked.owner is Owner.HPA and not scalers.hpa:
        remedy = f"write {Owner.SCALER if scalers.loop else Owner.ALERTS}, or leave it out"
        problems.append(f"{policy.OWNER}={asked.owner.value!r}: there are no HPAs here, only on Kubernetes; {remedy}")
    if asked.owner is Owner.SCALER and not scalers.loop:
        remedy = "switch it on (setting scaler), or write alerts"
        problems.append(f"{policy.OWNER}={asked.owner.value!r}: no control loop runs here; {remedy}")
    wrong = loads.loads_of(labels, annotations)[1]
    if steady_owner(asked, scalers) is not Writer.SCALER:
        # Percent are right for an HPA; what names loads for a loop has to be right before one comes.
        wrong = tuple(problem for problem in wrong if not problem.startswith(policy.TARGET))
    return (*problems, *wrong)


def _always(_policy: ScalePolicy, _owner: Writer | None) -> bool:
    return True


def _opted_in(asked: ScalePolicy, _owner: Writer | None) -> bool:
    return asked.zero


def _owned_by(writer: Writer) -> Row:
    return Row(Move.STEADY, writer, lambda _policy, owner: owner is writer, Reason.NOT_OWNER)


TABLE = (
    Row(Move.WAKE, Writer.WAKE, _always, Reason.ASLEEP),
    Row(Move.WAKE, Writer.PREWARM, _opted_in, Reason.NOT_OPTED_IN),
    Row(Move.TO_ZERO, Writer.IDLER, _opted_in, Reason.NOT_OPTED_IN),
    _owned_by(Writer.ALERT),
    _owned_by(Writer.SCALER),
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


def refusal(writer: Writer, asked: ScalePolicy, before: int, after: int, *, owner: Writer | None) -> Reason | None:
    """Why ``writer`` must not change the count from ``before`` to ``after``; None when it may. ``owner`` is the
    function's steady one."""
    if before == after:
        return None
    move = move_of(before, after)
    for row in TABLE:
        if (row.move, row.writer) == (move, writer):
            return None if row.allows(asked, owner) else row.otherwise
    return NO_ROW[move]
