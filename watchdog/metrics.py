"""The metrics OpenFaaS's watchdogs have. Stock ones serve them on port 8081; here many replicas share one machine, so
they are at ``/_/metrics`` of the replica's own port."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MAX_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Metrics:
    """Counts calls by status and method; children are looked up once."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("code", "method")
        self._calls = Counter("http_requests", "Calls answered", labels, registry=self._registry)
        self._seconds = Histogram(
            "http_request_duration_seconds", "Seconds a call took", labels, registry=self._registry
        )
        self._in_flight = Gauge("http_requests_in_flight", "Calls being answered", registry=self._registry)
        self._children: dict[tuple[int, str], tuple[Counter, Histogram]] = {}

    def answered(self, status: int, method: str, seconds: float) -> None:
        key = status, method if method in MAX_METHODS else "OTHER"
        if key not in self._children:
            labels = str(status), key[1].lower()
            self._children[key] = self._calls.labels(*labels), self._seconds.labels(*labels)
        calls, histogram = self._children[key]
        calls.inc()
        histogram.observe(seconds)

    def exposition(self, in_flight: int) -> bytes:
        self._in_flight.set(in_flight)
        return generate_latest(self._registry)
