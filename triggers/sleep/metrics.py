"""What learned sleep tells Prometheus: how current it is, of how many functions, and whether forecasts are worth it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from springtide.scaler.core import catalogue
from springtide.scaler.core.keepalive.forecasts import Outcome
from springtide.wire import instruments


class SleepMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._heard = instruments.gauge(catalogue.SLEEP_HEARD, registry)
        self._functions = instruments.gauge(catalogue.SLEEP_FUNCTIONS, registry)
        self._seconds = instruments.histogram(catalogue.SLEEP_LOOK_SECONDS, registry)
        self._failures = instruments.counter(catalogue.SLEEP_FAILURES, registry)
        self._forecasts = instruments.counter(catalogue.FORECASTS, registry)
        self._replica_s = instruments.counter(catalogue.FORECAST_REPLICA_SECONDS, registry)
        self._up = instruments.gauge(catalogue.FORECASTS_UP, registry)
        for outcome in Outcome:
            self._forecasts.labels(outcome.value)
        for what in catalogue.SLEEP_FAILING:
            self._failures.labels(what)

    def looked(self, *, heard_until: float, functions: int, up: int, took_s: float) -> None:
        self._heard.set(heard_until)
        self._functions.set(functions)
        self._up.set(up)
        self._seconds.observe(took_s)

    def failed(self, what: str) -> None:
        """One of ``catalogue.SLEEP_FAILING``."""
        self._failures.labels(what).inc()

    def scored(self, outcome: Outcome) -> None:
        self._forecasts.labels(outcome.value).inc()

    def spent(self, replica_s: float) -> None:
        self._replica_s.inc(replica_s)
