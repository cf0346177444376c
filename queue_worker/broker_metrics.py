"""What the queue worker tells Prometheus of the broker. Families are made when scraped: what is not known has none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from springtide.queue_worker.broker_watch import QueueSeen
from springtide.scaler.core import catalogue


class BrokerMetrics(Collector):
    """Implements ``broker_watch.Watcher``."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._seen: QueueSeen | None = None
        self._connected: bool | None = None
        self._last_number: int | None = None
        self._submitted = 0
        self._reconnects = 0

    def __repr__(self) -> str:
        return f"<BrokerMetrics of {self._queue}, {self._seen!r}>"

    def broker_seen(self, seen: QueueSeen, *, reconnects: int) -> None:
        if self._last_number is not None:
            # A stream that was made anew counts from 1.
            before = self._last_number if seen.last_number >= self._last_number else 0
            self._submitted += seen.last_number - before
        self._last_number = seen.last_number
        self._seen, self._connected, self._reconnects = seen, seen.stores, reconnects

    def broker_away(self) -> None:
        self._seen, self._connected = None, False

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield _counter(catalogue.JOBS_SUBMITTED, (self._queue,), self._submitted)
        yield _counter(catalogue.BROKER_RECONNECTS, (), self._reconnects)
        if self._connected is not None:
            yield _gauge(catalogue.BROKER_CONNECTED, (), float(self._connected))
        seen = self._seen
        if seen is None:
            return
        yield _gauge(catalogue.DEAD_LETTERS, (self._queue,), seen.dead)
        yield _gauge(catalogue.JOBS_DELAYED, (), seen.delayed)
        yield _gauge(catalogue.CALLBACKS_WAITING, (), seen.callbacks)
        yield _gauge(catalogue.BROKER_STORED, (), seen.stored_bytes)
        if seen.lost_bytes is not None:
            yield _gauge(catalogue.BROKER_LOST, (), seen.lost_bytes)
        if seen.oldest_at:
            yield _gauge(catalogue.OLDEST_JOB, (self._queue,), seen.oldest_at)
        if seen.max_stored_bytes is not None:
            yield _gauge(catalogue.BROKER_ROOM, (), seen.max_stored_bytes)
        if seen.sync_s is not None:
            yield _gauge(catalogue.BROKER_SYNC, (), seen.sync_s)


def _gauge(metric: catalogue.Metric, labels: tuple[str, ...], value: float) -> Metric:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    family.add_metric(labels, value)
    return family


def _counter(metric: catalogue.Metric, labels: tuple[str, ...], value: float) -> Metric:
    family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    family.add_metric(labels, value)
    return family
