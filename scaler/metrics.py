"""What the control loop tells Prometheus about itself, and about the loads that it follows."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from prometheus_client import CollectorRegistry

from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Metric
from springtide.wire import instruments

Series = tuple[str, str]
"""A function, and one of its loads or a reason."""


class _FunctionGauge:
    """A gauge of functions, which shows those that there are and no others."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._gauge = instruments.gauge(metric, registry)
        self._shown: dict[Series, float] = {}

    def show(self, values: Mapping[Series, float], *, kept: Collection[str]) -> None:
        """All of them, but for those of functions ``kept`` as they were; what else is not there is shown no more."""
        for series, value in values.items():
            if self._shown.get(series) != value:  # most are as they were, and there are thousands
                self._gauge.labels(*series).set(value)
        stay = {series: value for series, value in self._shown.items() if series[0] in kept} if kept else {}
        for gone in self._shown.keys() - values.keys() - stay.keys():
            self._gauge.remove(*gone)
        self._shown = {**stay, **values}


class ScalerMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = instruments.histogram(catalogue.LOOK_SECONDS, registry)
        self._last_look = instruments.gauge(catalogue.LAST_LOOK, registry)
        self._owned = instruments.gauge(catalogue.OWNED, registry)
        self._age = instruments.gauge(catalogue.SIGNAL_AGE, registry)
        self._unknown = instruments.gauge(catalogue.UNKNOWN_LOADS, registry)
        self._functions = {
            metric: _FunctionGauge(metric, registry)
            for metric in (catalogue.CURRENT_LOAD, catalogue.FOLLOWED_TARGET, catalogue.HOLD_SECONDS)
        }

    def looked(self, *, at: float, took_s: float, owned: int) -> None:
        self._last_look.set(at)
        self._seconds.observe(took_s)
        self._owned.set(owned)

    def signals(self, ages_s: Mapping[str, float], unknown: Mapping[str, int]) -> None:
        """By kind: the age of the oldest that is known, and of how many functions nothing is known."""
        for kind, age_s in ages_s.items():
            self._age.labels(kind).set(age_s)
        for kind, count in unknown.items():
            self._unknown.labels(kind).set(count)

    def functions(self, metric: Metric, values: Mapping[Series, float], *, kept: Collection[str]) -> None:
        """One of the gauges by function, as they are now; those of functions ``kept`` stay as they were."""
        self._functions[metric].show(values, kept=kept)
