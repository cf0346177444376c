"""What waking ahead tells Prometheus: how calls that were known to come were met."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from springtide.scaler.core import catalogue
from springtide.scaler.core.prewarm import CallSource, Met
from springtide.wire import instruments


class PrewarmMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = instruments.counter(catalogue.EXPECTED_CALLS, registry)
        self._early = instruments.histogram(catalogue.PREWARM_EARLY, registry)
        for source in (CallSource.SCHEDULE, CallSource.JOB):  # a forecast's call may never come: see FORECASTS
            for met in Met:
                self._calls.labels(source.value, met.value)

    def met(self, source: CallSource, met: Met, *, early_s: float | None) -> None:
        """``early_s``: for how long a function that was woken for it had been ready."""
        self._calls.labels(source.value, met.value).inc()
        if early_s is not None:
            self._early.observe(max(0.0, early_s))
