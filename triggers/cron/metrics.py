"""What the cron part counts."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from springtide.scaler.core import catalogue
from springtide.triggers.cron.entry import Outcome, Run
from springtide.wire import instruments

OF_TICKS = tuple(outcome for outcome in Outcome if outcome is not Outcome.CANCELLED)
"""What becomes of a tick when it is due; the end of its call comes later, and is the queue's to count."""


class CronMetrics:
    """Implements ``term.Observer``."""

    def __init__(
        self, registry: CollectorRegistry, *, schedules: Callable[[], int], overdue_s: Callable[[], float]
    ) -> None:
        self._ticks = instruments.counter(catalogue.TICKS, registry)
        self._late = instruments.histogram(catalogue.TICK_LATENESS, registry)
        self._retries = instruments.counter(catalogue.TICK_RETRIES, registry)
        for outcome in OF_TICKS:
            self._ticks.labels(str(outcome))
        instruments.gauge(catalogue.SCHEDULES, registry).set_function(schedules)
        instruments.gauge(catalogue.TICKS_OVERDUE, registry).set_function(overdue_s)

    def told(self, run: Run) -> None:
        self._ticks.labels(str(run.outcome)).inc()
        if run.outcome in (Outcome.QUEUED, Outcome.CALLED, Outcome.FAILED):
            self._late.observe(max(0.0, run.at - run.due))

    def missed(self, count: int) -> None:
        self._ticks.labels(str(Outcome.MISSED)).inc(count)

    def retried(self) -> None:
        self._retries.inc()
