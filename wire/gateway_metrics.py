"""What one look at the gateways' metrics says of each function."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from prometheus_client.parser import text_string_to_metric_families

from springtide.scaler.core import catalogue

Labels = Mapping[str, str]
Key = TypeVar("Key")


@dataclass(slots=True)
class FunctionCounters:
    """One function, all gateways together. A gauge is None when no gateway shows it."""

    desired: float | None = None
    ready: float | None = None
    min_replicas: float | None = None
    max_replicas: float | None = None
    target: float | None = None
    in_flight: float | None = None
    held: float | None = None
    last_active: float | None = None
    codes: dict[str, float] = field(default_factory=dict)
    buckets: dict[float, float] = field(default_factory=dict)
    refused: dict[str, float] = field(default_factory=dict)
    cold_calls: float = 0.0
    cold_s: float = 0.0
    cold_parts_s: dict[str, float] = field(default_factory=dict)

    @property
    def answered(self) -> float:
        return sum(self.codes.values())

    @property
    def failed(self) -> float:
        """Answers that are the function's or the suite's fault."""
        return sum(count for code, count in self.codes.items() if code.startswith("5"))


@dataclass(frozen=True, slots=True)
class GatewayMetrics:
    """``connected`` is whether the gateway hears of changes from the provider; None when it does not say."""

    functions: Mapping[str, FunctionCounters]
    connected: bool | None


class GatewayMetricsReader:
    """Reads expositions. A series keeps its labels from scrape to scrape, so they are parsed once and remembered."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Labels]] = {}

    def read(self, texts: Iterable[str]) -> GatewayMetrics:
        """Raises ValueError for what is no exposition."""
        seen: dict[str, tuple[str, Labels]] = {}
        functions: dict[str, FunctionCounters] = {}
        connected: list[bool] = []
        for text in texts:
            for line in text.splitlines():
                if not line.startswith(_WANTED):
                    continue
                key, _, number = line.rpartition(" ")
                series = seen[key] = self._known.get(key) or _parsed(line)
                value = float(number)
                if series[0] == catalogue.PROVIDER_CONNECTED.name:
                    connected.append(value > 0)
                elif name := series[1].get("function_name"):
                    _take(functions.setdefault(name, FunctionCounters()), series, value)
        self._known = seen
        return GatewayMetrics(functions, all(connected) if connected else None)


_GAUGES: dict[str, tuple[str, Callable[[float, float], float]]] = {
    # Every gateway shows the same scale, but its own callers.
    catalogue.DESIRED.name: ("desired", max),
    catalogue.READY.name: ("ready", max),
    catalogue.MIN_REPLICAS.name: ("min_replicas", max),
    catalogue.MAX_REPLICAS.name: ("max_replicas", max),
    catalogue.TARGET_LOAD.name: ("target", max),
    catalogue.IN_FLIGHT.name: ("in_flight", operator.add),
    catalogue.HELD.name: ("held", operator.add),
    catalogue.LAST_ACTIVE.name: ("last_active", max),
}
_BUCKET = f"{catalogue.SECONDS.name}_bucket"
_COLD_COUNT, _COLD_SUM = f"{catalogue.COLD_START.name}_count", f"{catalogue.COLD_START.name}_sum"
_PART_SUM = f"{catalogue.COLD_START_PART.name}_sum"
_OF_FUNCTIONS = (
    *_GAUGES,
    catalogue.INVOCATIONS.name,
    catalogue.REFUSED.name,
    _BUCKET,
    _COLD_COUNT,
    _COLD_SUM,
    _PART_SUM,
)
SAMPLES = (*_OF_FUNCTIONS, catalogue.PROVIDER_CONNECTED.name)
"""The names of those that are read."""

_WANTED = (*(f"{name}{{" for name in _OF_FUNCTIONS), f"{catalogue.PROVIDER_CONNECTED.name} ")


def _parsed(line: str) -> tuple[str, Labels]:
    for family in text_string_to_metric_families(line + "\n"):
        for sample in family.samples:
            return sample.name, sample.labels
    raise ValueError(f"not a sample: {line[:200]!r}")


def _take(counters: FunctionCounters, series: tuple[str, Labels], value: float) -> None:
    name, labels = series
    if name in _GAUGES:
        attribute, together = _GAUGES[name]
        before = getattr(counters, attribute)
        setattr(counters, attribute, value if before is None else together(before, value))
    elif name == catalogue.INVOCATIONS.name:
        _add(counters.codes, labels.get("code", ""), value)
    elif name == _BUCKET:
        _add(counters.buckets, float(labels.get("le", "nan")), value)
    elif name == catalogue.REFUSED.name:
        _add(counters.refused, labels.get("reason", ""), value)
    elif name == _PART_SUM:
        _add(counters.cold_parts_s, labels.get("part", ""), value)
    elif name == _COLD_COUNT:
        counters.cold_calls += value
    elif name == _COLD_SUM:
        counters.cold_s += value


def _add(counts: dict[Key, float], key: Key, value: float) -> None:
    if not math.isnan(value):
        counts[key] = counts.get(key, 0.0) + value
