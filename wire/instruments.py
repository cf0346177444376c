"""prometheus_client instruments made from the catalogue, in an injected registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from springtide.runtime.wrong_credentials import WrongCredentials
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Metric
from springtide.scaler.core.vocabulary import REASONS, Decision, Writer


def counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    """A counter; prometheus_client adds ``_total`` itself, so only names that end in it can be built here."""
    assert metric.name.endswith("_total"), metric.name
    return Counter(metric.name.removesuffix("_total"), metric.help, metric.labels, registry=registry)


def gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)


def histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    return Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)


def wrong_credentials(registry: CollectorRegistry) -> WrongCredentials:
    """What a part's ``RequireBasicAuth`` tells of wrong passwords."""
    return WrongCredentials(counter(catalogue.WRONG_CREDENTIALS, registry).inc)


class DecisionCounter:
    """Counts decisions by writer and reason (a Recorder)."""

    def __init__(self, registry: CollectorRegistry, writer: Writer) -> None:
        """``writer`` is who decides here: its reasons are told from the start, at 0."""
        self._counter = counter(catalogue.DECISIONS, registry)
        for reason in REASONS[writer]:
            self._counter.labels(writer.value, reason.value)

    def record(self, decision: Decision) -> None:
        self._counter.labels(decision.writer.value, decision.reason.value).inc()
