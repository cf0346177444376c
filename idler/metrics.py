"""What the idler tells Prometheus about itself."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry

from springtide.scaler.core import catalogue
from springtide.scaler.core.vocabulary import Instant
from springtide.wire import instruments


class IdlerMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._last_sweep = instruments.gauge(catalogue.LAST_SWEEP, registry)
        self._seconds = instruments.histogram(catalogue.SWEEP_SECONDS, registry)
        self._last_sample = instruments.gauge(catalogue.LAST_SAMPLE, registry)
        self._failures = instruments.counter(catalogue.SOURCE_FAILURES, registry)
        self._memory = instruments.gauge(catalogue.FUNCTIONS_MEMORY, registry)

    def swept(self, *, at: Instant, took_s: float) -> None:
        self._last_sweep.set(at)
        self._seconds.observe(took_s)

    def measured(self, signal: str, *, at: Instant) -> None:
        """The newest measurement of ``signal``: in_flight or last_active."""
        self._last_sample.labels(signal).set(at)

    def took(self, used_bytes: float | None, bound_bytes: float) -> None:
        """Memory of functions; None where it is not known."""
        self._memory.labels("bound").set(bound_bytes)
        self._memory.labels("used").set(math.nan if used_bytes is None else used_bytes)

    def failed(self, signal: str) -> None:
        """``signal``: functions, in_flight, last_active, recheck, delayed, sleep or memory."""
        self._failures.labels(signal).inc()
