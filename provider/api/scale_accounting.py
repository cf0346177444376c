"""What is kept of requests to scale: the decisions, and who wrote how often and how often another came first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from springtide.scaler.core import catalogue
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Writer
from springtide.wire.decision_log import DecisionLog

MAX_SERIES = 100_000
"""Beyond it the ones begun first are forgotten. Functions that go with their namespace are not told one by one."""


class ScaleWrites(Collector):
    """Counts requests to scale by function, writer and outcome: two that fight over one function show here."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts: Counter[tuple[FunctionRef, Writer, str]] = Counter()
        registry.register(self)

    def __repr__(self) -> str:
        return f"<ScaleWrites {len(self._counts)} series>"

    def count(self, ref: FunctionRef, writer: Writer, outcome: str) -> None:
        """``outcome``: one of the catalogue's."""
        self._counts[ref, writer, outcome] += 1
        if len(self._counts) > MAX_SERIES:
            del self._counts[next(iter(self._counts))]

    def forget(self, ref: FunctionRef) -> None:
        """The function was deleted."""
        for writer in Writer:
            for outcome in (catalogue.WRITTEN, catalogue.CONFLICT):
                self._counts.pop((ref, writer, outcome), None)

    def collect(self) -> Iterator[CounterMetricFamily]:
        metric = catalogue.SCALE_WRITES
        family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
        for (ref, writer, outcome), count in self._counts.items():
            family.add_metric([str(ref), writer.value, outcome], count)
        yield family


@dataclass(frozen=True, slots=True)
class ScaleAccounting:
    decisions: DecisionLog
    writes: ScaleWrites

    def written(self, decision: Decision) -> None:
        self.decisions.record(decision)
        self.writes.count(decision.ref, decision.writer, catalogue.WRITTEN)

    def conflict(self, ref: FunctionRef, writer: Writer) -> None:
        """Another came first, so nothing was written; the writer tells its decision itself."""
        self.writes.count(ref, writer, catalogue.CONFLICT)

    def forget(self, ref: FunctionRef) -> None:
        """The function was deleted (its past decisions stay)."""
        self.decisions.forget(ref)
        self.writes.forget(ref)
