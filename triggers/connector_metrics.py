"""What a connector tells Prometheus of its sources, events and calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry

from springtide.scaler.core import catalogue
from springtide.triggers.delivery import Delivered, Outcome
from springtide.triggers.journal import DELIVERED, EMPTY, UNWANTED
from springtide.wire import instruments

MAX_FUNCTIONS = 1000
"""With series of their own."""
OTHER = "_other"
OUTCOMES = (DELIVERED, UNWANTED, EMPTY)


class ConnectorMetrics:
    """Implements ``intake.IntakeObserver``. Sources have their series from the start, at 0."""

    def __init__(self, registry: CollectorRegistry, sources: Iterable[str]) -> None:
        self._functions: set[str] = set()
        self._connected = instruments.gauge(catalogue.EVENT_SOURCE_CONNECTED, registry)
        self._inflight = instruments.gauge(catalogue.EVENTS_INFLIGHT, registry)
        self._waiting = instruments.gauge(catalogue.EVENTS_WAITING, registry)
        self._events = instruments.counter(catalogue.EVENTS, registry)
        self._unconfirmed = instruments.counter(catalogue.EVENTS_UNCONFIRMED, registry)
        self._redelivered = instruments.counter(catalogue.EVENTS_REDELIVERED, registry)
        self._seconds = instruments.histogram(catalogue.EVENT_SECONDS, registry)
        self._calls = instruments.counter(catalogue.EVENT_CALLS, registry)
        self._retries = instruments.counter(catalogue.EVENT_RETRIES, registry)
        for source in sources:
            self._connected.labels(source).set(0)
            self._inflight.labels(source).set(0)
            self._unconfirmed.labels(source)
            self._redelivered.labels(source)
            self._retries.labels(source)
            for outcome in OUTCOMES:
                self._events.labels(source, outcome)

    def __repr__(self) -> str:
        return f"<ConnectorMetrics {len(self._functions)} functions>"

    def connected(self, source: str, *, yes: bool) -> None:
        self._connected.labels(source).set(int(yes))

    def ended(self, source: str, outcome: str, delivered: Sequence[Delivered], seconds: float) -> None:
        self._events.labels(source, outcome).inc()
        self._seconds.labels(source).observe(seconds)
        for one in delivered:
            self._calls.labels(self._label(one), one.outcome.value).inc()

    def inflight(self, source: str, count: int) -> None:
        self._inflight.labels(source).set(count)

    def waiting(self, source: str, count: int | None) -> None:
        """None: it is not known, which is no number."""
        if count is not None:
            self._waiting.labels(source).set(count)
            return
        with contextlib.suppress(KeyError):
            self._waiting.remove(source)

    def retried(self, source: str) -> None:
        """What is ``Delivery.retried``."""
        self._retries.labels(source).inc()

    def unconfirmed(self, source: str) -> None:
        self._unconfirmed.labels(source).inc()

    def redelivered(self, source: str) -> None:
        self._redelivered.labels(source).inc()

    def _label(self, one: Delivered) -> str:
        name = str(one.function)
        if name in self._functions:
            return name
        if len(self._functions) >= MAX_FUNCTIONS:
            return OTHER
        self._functions.add(name)
        for outcome in Outcome:  # from 0 on, so that the first one counts as an increase
            self._calls.labels(name, outcome.value)
        return name
