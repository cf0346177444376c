"""The last decisions about every function, followed over one stream for all pages."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from springtide.console.gateway_api import GatewayApi
from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import NotFound, SpringtideError, Unsupported

MAX_DECISIONS, MAX_PER_FUNCTION, MAX_FUNCTIONS = 2_000, 200, 2_000
RECONNECT = Backoff(min_s=0.5, max_s=10.0)
OVERLAP_S = 60.0
"""Writers tell their holds a moment late, so after a break what is a little older is asked for, too."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision as it came; ``number`` counts them in the order in which they came here."""

    number: int
    at: float
    function: str
    before: int
    after: int
    reason: str
    writer: str
    detail: str
    inputs: Mapping[str, float]

    @property
    def changes(self) -> bool:
        return self.before != self.after

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for the same decision told twice."""
        return (self.at, self.function, self.writer, self.reason, self.before, self.after)


class Decisions:
    """Kept of each function on its own, so that one that flaps does not push out the others' reasons."""

    def __init__(self, api: GatewayApi, changed: Callable[[], None]) -> None:
        self._api = api
        self._changed = changed
        self._all: deque[DecisionRecord] = deque(maxlen=MAX_DECISIONS)
        self._by_function: dict[str, deque[DecisionRecord]] = {}
        self._number = 0
        self._known: set[tuple[object, ...]] = set()
        self.problem: str | None = "not connected yet"
        """Why new decisions do not come in, if they do not."""

    def __repr__(self) -> str:
        return f"<Decisions {self._number} heard, {self.problem or 'connected'}>"

    @property
    def number(self) -> int:
        """That of the newest."""
        return self._number

    def of(self, function: str) -> list[DecisionRecord]:
        """Oldest first."""
        return list(self._by_function.get(function, ()))

    def last(self, function: str) -> DecisionRecord | None:
        """The newest that changed the number of replicas, else the newest."""
        told = self._by_function.get(function)
        if not told:
            return None
        return next((decision for decision in reversed(told) if decision.changes), told[-1])

    def after(self, number: int) -> list[DecisionRecord]:
        """What came after that one, as far as it is kept; oldest first."""
        if number >= self._number:
            return []
        return [told for told in self._all if told.number > number]

    async def follow(self) -> None:
        """For ever."""
        failures = 0
        while True:
            heard = self._number
            try:
                await self._follow()
                self.problem = "the stream of decisions ended"
            except (NotFound, Unsupported):
                self.problem = "this provider keeps no decisions, so the reasons cannot be shown"
            except SpringtideError as error:
                self.problem = str(error)
            log.info("decisions do not come in", why=self.problem)
            self._changed()
            failures = 1 if self._number > heard else failures + 1
            await asyncio.sleep(RECONNECT.delay_s(failures))

    async def _follow(self) -> None:
        since = self._all[-1].at - OVERLAP_S if self._all else 0.0
        async with contextlib.aclosing(self._api.decisions(since)) as stream:
            async for value in stream:
                if value is None:
                    self._connected()
                else:
                    self._take(value)

    def _connected(self) -> None:
        self.problem = None
        self._changed()

    def _take(self, value: Any) -> None:
        told = _read(value, self._number + 1)
        # What came shortly before a break is told once more after it.
        if told is None or told.identity in self._known:
            return
        if len(self._all) == self._all.maxlen:
            self._known.discard(self._all[0].identity)
        self._known.add(told.identity)
        self._number = told.number
        self._all.append(told)
        self._keep(told)
        self._changed()

    def _keep(self, told: DecisionRecord) -> None:
        kept = self._by_function.pop(told.function, None) or deque(maxlen=MAX_PER_FUNCTION)
        kept.append(told)
        self._by_function[told.function] = kept  # The one heard of last is the last.
        if len(self._by_function) > MAX_FUNCTIONS:
            del self._by_function[next(iter(self._by_function))]


def _read(value: Any, number: int) -> DecisionRecord | None:
    """None for what is not a decision: a newer provider may tell other things, too."""
    try:
        return DecisionRecord(
            number=number,
            at=float(value["t"]),
            function=str(value["function"]),
            before=int(value["before"]),
            after=int(value["after"]),
            reason=str(value["reason"]),
            writer=str(value["writer"]),
            detail=str(value.get("detail") or ""),
            inputs={str(name): float(number) for name, number in (value.get("inputs") or {}).items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
