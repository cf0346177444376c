"""What is listed of schedules: which of them, in which order, and which part of a long list."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from springtide.runtime.errors import BadInput
from springtide.runtime.query import whole_number
from springtide.triggers.cron.entry import Entry, Outcome
from springtide.wire.schedules.expression import MAX_NEXT

T = TypeVar("T", bound=enum.StrEnum)

MAX_LISTED = 1000
"""Schedules of one answer that was asked for a part of the list."""
MAX_OFFSET = 1_000_000
MAX_SEARCH = 200
BAD = (Outcome.FAILED, Outcome.REFUSED, Outcome.MISSED)


class State(enum.StrEnum):
    """Which schedules are asked for."""

    PAUSED = "paused"
    RUNNING = "running"
    """Not paused."""
    FAILING = "failing"
    """What became of the last tick is not what was meant to."""


class Order(enum.StrEnum):
    NAME = "name"
    NEXT = "next"
    """The one that is due first comes first; those that are not due at all come last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """``search``: a part of a function's name or of a schedule, in lower case. ``limit`` None: all of them."""

    next: int = 1
    search: str = ""
    state: State | None = None
    order: Order = Order.NAME
    offset: int = 0
    limit: int | None = None


def asked_for(query: Mapping[str, str]) -> Asked:
    """Raises BadInput, which names the parameter."""
    search = query.get("search", "").strip().lower()
    if len(search) > MAX_SEARCH:
        raise BadInput(f"search has {len(search)} characters; write at most {MAX_SEARCH}")
    limit = query.get("limit")
    return Asked(
        next=whole_number("next", query.get("next", "1"), low=1, high=MAX_NEXT),
        search=search,
        state=_one_of(State, "state", query["state"]) if query.get("state") else None,
        order=_one_of(Order, "order", query["order"]) if query.get("order") else Order.NAME,
        offset=whole_number("offset", query.get("offset", "0"), low=0, high=MAX_OFFSET),
        limit=whole_number("limit", limit, low=1, high=MAX_LISTED) if limit is not None else None,
    )


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry, and whether its function is paused."""

    entry: Entry
    paused: bool

    @property
    def failing(self) -> bool:
        runs = self.entry.runs
        return bool(runs) and runs[-1].outcome in BAD

    def is_asked_for(self, asked: Asked) -> bool:
        if asked.search not in f"{self.entry.ref} {self.entry.timed.schedule.text}".lower():
            return False
        match asked.state:
            case State.PAUSED:
                return self.paused
            case State.RUNNING:
                return not self.paused
            case State.FAILING:
                return self.failing
        return True

    def next_due(self) -> float:
        return float("inf") if self.paused else self.entry.oldest


def chosen(listed: Collection[Listed], asked: Asked) -> tuple[list[Listed], int]:
    """The part that is asked for of ``listed``, which are by name; and of how many."""
    found = [one for one in listed if one.is_asked_for(asked)]
    if asked.order is Order.NEXT:
        found.sort(key=Listed.next_due)
    end = None if asked.limit is None else asked.offset + asked.limit
    return found[asked.offset : end], len(found)


def _one_of(kind: type[T], name: str, text: str) -> T:
    try:
        return kind(text)
    except ValueError:
        raise BadInput(f"{name} is {text[:40]!r}; write {', '.join(kind)}") from None
