"""The workers' numbers added up, those of dead ones included: counters never fall."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from springtide.gateway.call_metrics import CallMetrics
from springtide.gateway.request_counts import RequestCounts
from springtide.gateway.workers.messages import Row
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.load_stream import Load

UNKNOWN = FunctionRef("", "_unknown")

MAX_KEPT_FUNCTIONS = 50
"""The sums of so many are kept for the next time they are asked for; those of thousands would fill the memory."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function over all workers, as the collector wants it. ``ready`` has as many members as there are replicas."""

    ref: FunctionRef
    metrics: CallMetrics
    desired: int = 0
    ready: range = range(0)
    policy: ScalePolicy = field(default_factory=ScalePolicy)

    @property
    def label(self) -> str:
        return str(self.ref)


@dataclass(frozen=True, slots=True)
class Table:
    functions: tuple[Function, ...]
    connected: bool

    def __iter__(self) -> Iterator[Function]:
        return iter(self.functions)


@dataclass(frozen=True, slots=True)
class Merged:
    """What the gateway as a whole says of itself."""

    table: Table
    unknown: Function
    requests: RequestCounts
    decisions: Mapping[tuple[str, str], float]
    broker_reconnects: int = 0
    loop_lags: Mapping[str, Sequence[float]] = field(default_factory=dict)


class Told:
    """What one worker has told so far. What it told last is what counts when it dies."""

    def __init__(self) -> None:
        self.functions: dict[FunctionRef, Row] = {}
        self.unknown = CallMetrics(last_active=0.0)
        self.requests = RequestCounts()
        self.decisions: Counter[tuple[str, str]] = Counter()
        self.broker_reconnects = 0
        self.loop_lag: list[float] = []
        self.connected = False
        self.news: set[FunctionRef] = set()
        """Functions that something was told of, or that are gone, since the load was last summed up."""
        self.changes = 0
        """How often it told something new that is summed up."""

    def __repr__(self) -> str:
        return f"<Told {len(self.functions)} functions>"

    def rows(self, content: Mapping[str, Any]) -> list[FunctionRef]:
        """Take in rows; returns the functions that the worker no longer has, or has anew."""
        self.changes += 1
        gone = [FunctionRef(*names) for names in content["gone"]]
        for ref in gone:
            self.functions.pop(ref, None)
            self.news.add(ref)
        for values in content["rows"]:
            row = Row(*values)
            ref = FunctionRef(row.namespace, row.name)
            self.functions[ref] = row
            self.news.add(ref)
        return gone

    def summary(self, content: Mapping[str, Any]) -> None:
        """Take in what has changed; what is not in ``content`` is as it was told before."""
        self.changes += bool(content.keys() - {"loop_lag"})
        self.connected = content.get("connected", self.connected)
        self.loop_lag = content.get("loop_lag", self.loop_lag)
        self.broker_reconnects = content.get("broker_reconnects", self.broker_reconnects)
        if "requests" in content:
            self.requests = RequestCounts()
            self.requests.add(content["requests"])
        if "decisions" in content:
            self.decisions = Counter({(writer, reason): count for writer, reason, count in content["decisions"]})
        if content.get("unknown") is not None:
            self.unknown = CallMetrics(last_active=0.0)
            self.unknown.add(content["unknown"])


class Totals:
    """``base`` is what workers had counted that are no more."""

    def __init__(self) -> None:
        self._base: dict[FunctionRef, CallMetrics] = {}
        self._unknown = CallMetrics(last_active=0.0)
        self._requests = RequestCounts()
        self._decisions: Counter[tuple[str, str]] = Counter()
        self._broker_reconnects = 0
        self._news: set[FunctionRef] = set()
        self._changes = 0
        self._kept: tuple[tuple[object, ...], Merged] | None = None
        """The last sums, and what they are of."""

    def __repr__(self) -> str:
        return f"<Totals of dead workers: {len(self._base)} functions>"

    def fold(self, told: Told) -> None:
        """A worker has ended: what it counted stays, what it was doing is over."""
        self._changes += 1
        self._news.update(told.functions, told.news)
        for ref, row in told.functions.items():
            metrics = self._base.setdefault(ref, CallMetrics(last_active=0.0))
            metrics.add(row.numbers)
            metrics.in_flight = metrics.held = 0
        self._unknown.add(told.unknown.as_numbers())
        self._requests.add(told.requests.as_numbers())
        self._decisions.update(told.decisions)
        self._broker_reconnects += told.broker_reconnects

    def forget(self, gone: Iterable[FunctionRef]) -> None:
        """These functions were deleted."""
        for ref in gone:
            self._changes += self._base.pop(ref, None) is not None

    def tidy(self, living: Sequence[Told]) -> None:
        """Forget functions that were deleted while the workers that knew them died."""
        if any(told.connected for told in living):
            listed = {ref for told in living for ref in told.functions}
            self.forget([ref for ref in self._base if ref not in listed])

    def merged(self, living: Sequence[Told]) -> Merged:
        """Everything as if one process had counted it; functions are those that a living worker lists.

        The same object as before where nobody has told anything since, as is so of functions at rest.
        """
        parts = (self._changes, *((told, told.changes) for told in living))
        if self._kept is None or self._kept[0] != parts:
            merged = self._sum(living)
            self._kept = (parts, merged) if len(merged.table.functions) <= MAX_KEPT_FUNCTIONS else None
            return merged
        return self._kept[1]

    def _sum(self, living: Sequence[Told]) -> Merged:
        rows: dict[FunctionRef, list[Row]] = {}
        # The scale is told by a worker that hears of changes, wherever there is one.
        for told in sorted(living, key=lambda told: not told.connected):
            for ref, row in told.functions.items():
                rows.setdefault(ref, []).append(row)
        unknown = CallMetrics(last_active=0.0)
        for metrics in (self._unknown, *(told.unknown for told in living)):
            unknown.add(metrics.as_numbers())
        requests = RequestCounts()
        for counted in (self._requests, *(told.requests for told in living)):
            requests.add(counted.as_numbers())
        decisions = self._decisions.copy()
        for told in living:
            decisions.update(told.decisions)  # adding counters would drop those that are 0 so far
        reconnects = self._broker_reconnects + sum(told.broker_reconnects for told in living)
        functions = tuple(self._function(ref, those) for ref, those in rows.items())
        connected = bool(living) and all(told.connected for told in living)
        return Merged(Table(functions, connected), Function(UNKNOWN, unknown), requests, decisions, reconnects)

    def load(self, living: Sequence[Told], *, everything: bool = False) -> Iterator[tuple[FunctionRef, Load | None]]:
        """Each function that something was told of since this was last asked; None for one that nobody lists."""
        news = self._news.union(*(told.news for told in living))
        if everything:
            news.update(*(told.functions for told in living))
        self._news.clear()
        for told in living:
            told.news.clear()
        for ref in news:
            rows = [told.functions[ref] for told in living if ref in told.functions]
            yield ref, self._load(ref, rows) if rows else None

    def _load(self, ref: FunctionRef, rows: Sequence[Row]) -> Load:
        base = self._base.get(ref)
        started, completed = (base.started, base.answered) if base is not None else (0, 0)
        in_flight = waiting = 0
        for row in rows:
            numbers = row.numbers
            started += int(numbers["started"][""][0])
            completed += row.completed
            in_flight += int(numbers["in_flight"][""][0])
            waiting += int(numbers["held"][""][0])
        return Load(started, completed, in_flight, waiting)

    def _function(self, ref: FunctionRef, rows: Sequence[Row]) -> Function:
        metrics = CallMetrics(last_active=0.0)
        base = self._base.get(ref)
        if base is not None:
            metrics.add(base.as_numbers())
        for row in rows:
            metrics.add(row.numbers)
        scale = rows[0]
        policy = ScalePolicy(min=scale.least, max=scale.most, type=scale.scaling_type, target=scale.target)
        return Function(ref, metrics, scale.desired, range(scale.ready), policy)
