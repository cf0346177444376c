"""The gateway's metric families, built when scraped from the plain numbers the data plane keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UnknownMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from springtide.gateway import trace_context
from springtide.gateway.call_metrics import CallMetrics, Histogram, code
from springtide.gateway.request_counts import RequestCounts
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Kind
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import FunctionRef

WRONG_CREDENTIALS = "wrong_credentials"
"""The reason of a refused request of the system API, which names no function."""


class FunctionNumbers(Protocol):
    """The numbers of one function."""

    @property
    def ref(self) -> FunctionRef: ...

    @property
    def label(self) -> str: ...

    @property
    def metrics(self) -> CallMetrics: ...

    @property
    def desired(self) -> int: ...

    @property
    def ready(self) -> Sized: ...

    @property
    def policy(self) -> ScalePolicy: ...


class FunctionTable(Protocol):
    def __iter__(self) -> Iterator[FunctionNumbers]: ...

    @property
    def connected(self) -> bool: ...


class GatewayNumbers(Protocol):
    """Whose numbers are told: one data plane's, or those of several workers added up."""

    @property
    def table(self) -> FunctionTable: ...

    @property
    def unknown(self) -> FunctionNumbers: ...

    @property
    def requests(self) -> RequestCounts: ...

    @property
    def broker_reconnects(self) -> int: ...


class GatewayCollector(Collector):
    """Series exist for the functions in the table and for nothing else: a deleted function's are gone at once."""

    def __init__(self, numbers: Callable[[], GatewayNumbers | None]) -> None:
        self._numbers = numbers

    def describe(self) -> Iterable[Metric]:
        """What may be collected, without collecting it."""
        return [_family(metric) for metric in _EMITTED]

    def collect(self) -> Iterator[Metric]:
        numbers = self._numbers()
        if numbers is None:
            return
        routes = sorted(numbers.table, key=lambda route: route.ref)
        yield from _calls(routes)
        yield _refused([*routes, numbers.unknown])
        yield _webhooks([*routes, numbers.unknown])
        yield from _scales(routes)
        yield from _requests(numbers.requests)
        yield _wrong_credentials(numbers.unknown)
        yield _connected(numbers.table)
        yield _broker_reconnects(numbers.broker_reconnects)


_EMITTED = (
    catalogue.INVOCATIONS,
    catalogue.STARTED,
    catalogue.SECONDS,
    catalogue.IN_FLIGHT,
    catalogue.LAST_ACTIVE,
    catalogue.HELD,
    catalogue.COLD_START,
    catalogue.COLD_START_PART,
    catalogue.REFUSED,
    catalogue.WEBHOOK_DELIVERIES,
    catalogue.DESIRED,
    catalogue.READY,
    catalogue.MIN_REPLICAS,
    catalogue.MAX_REPLICAS,
    catalogue.TARGET_LOAD,
    catalogue.SYSTEM_REQUESTS,
    catalogue.SYSTEM_SECONDS,
    catalogue.PROVIDER_CONNECTED,
    catalogue.GATEWAY_RECONNECTS,
    catalogue.WRONG_CREDENTIALS,
)


def _family(metric: catalogue.Metric) -> Metric:
    """An empty family of the right kind and exactly the catalogue's name."""
    if metric.kind is Kind.HISTOGRAM:
        return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    if metric.kind is Kind.GAUGE:
        return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    if metric.name.endswith("_total"):
        return CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    # The library would add _total to a counter's name; OpenFaaS's dashboards know this one without it.
    return UnknownMetricFamily(metric.name, metric.help, labels=metric.labels)


def _add(family: Metric, metric: catalogue.Metric, labels: tuple[str, ...], value: float) -> None:
    family.add_sample(metric.name, dict(zip(metric.labels, labels, strict=True)), value)


def _add_histogram(family: Metric, metric: catalogue.Metric, labels: tuple[str, ...], histogram: Histogram) -> None:
    named = dict(zip(metric.labels, labels, strict=True))
    for bound, count, known in histogram.cumulative():
        # Only OpenMetrics has a place for exemplars; the older text format leaves them out.
        exemplar = known and Exemplar({"trace_id": trace_context.in_hex(known.trace_id)}, known.value, known.at)
        family.add_sample(f"{metric.name}_bucket", {**named, "le": bound}, count, exemplar=exemplar)
    family.add_sample(f"{metric.name}_count", named, histogram.count)
    family.add_sample(f"{metric.name}_sum", named, histogram.sum)


def _calls(routes: list[FunctionNumbers]) -> Iterator[Metric]:
    invocations, seconds = _family(catalogue.INVOCATIONS), _family(catalogue.SECONDS)
    cold, part = _family(catalogue.COLD_START), _family(catalogue.COLD_START_PART)
    for route in routes:
        for status, histogram in sorted(route.metrics.seconds.items()):
            labels = (route.label, code(status))
            _add(invocations, catalogue.INVOCATIONS, labels, histogram.count)
            _add_histogram(seconds, catalogue.SECONDS, labels, histogram)
        if not _starts_cold(route):
            continue
        _add_histogram(cold, catalogue.COLD_START, (route.label,), route.metrics.cold_start)
        for name, histogram in zip(catalogue.COLD_START_PARTS, route.metrics.cold_parts, strict=True):
            _add_histogram(part, catalogue.COLD_START_PART, (route.label, name), histogram)
    yield from (invocations, seconds, cold, part)
    yield _per_route(catalogue.STARTED, routes, lambda route: route.metrics.started)
    yield _per_route(catalogue.IN_FLIGHT, routes, lambda route: route.metrics.in_flight)
    yield _per_route(catalogue.LAST_ACTIVE, routes, lambda route: route.metrics.last_active)
    yield _per_route(catalogue.HELD, routes, lambda route: route.metrics.held)


def _starts_cold(route: FunctionNumbers) -> bool:
    """Whether its cold starts are exposed.

    Those that may go to zero begin at 0, so that the first cold start shows as an increase. For the others, most of a
    large installation, these histograms would be four fifths of all series and stay empty.
    """
    return route.policy.zero or route.desired == 0 or route.metrics.cold_start.count > 0


def _scales(routes: list[FunctionNumbers]) -> Iterator[Metric]:
    yield _per_route(catalogue.DESIRED, routes, lambda route: route.desired)
    yield _per_route(catalogue.READY, routes, lambda route: len(route.ready))
    yield _per_route(catalogue.MIN_REPLICAS, routes, lambda route: route.policy.min)
    yield _per_route(catalogue.MAX_REPLICAS, routes, lambda route: route.policy.max)
    family = _family(catalogue.TARGET_LOAD)
    for route in routes:
        _add(family, catalogue.TARGET_LOAD, (route.label, route.policy.type), route.policy.target)
    yield family


def _per_route(
    metric: catalogue.Metric, routes: list[FunctionNumbers], value: Callable[[FunctionNumbers], float]
) -> Metric:
    family = _family(metric)
    for route in routes:
        _add(family, metric, (route.label,), value(route))
    return family


def _refused(routes: list[FunctionNumbers]) -> Metric:
    return _counted(catalogue.REFUSED, routes, lambda route: route.metrics.refused)


def _webhooks(routes: list[FunctionNumbers]) -> Metric:
    return _counted(catalogue.WEBHOOK_DELIVERIES, routes, lambda route: route.metrics.webhooks)


def _counted(
    metric: catalogue.Metric, routes: list[FunctionNumbers], counts: Callable[[FunctionNumbers], Mapping[str, int]]
) -> Metric:
    """By function and what is counted apart of it."""
    family = _family(metric)
    for route in routes:
        label = route.label if route.ref.namespace else route.ref.name
        for name, count in sorted(counts(route).items()):
            _add(family, metric, (label, name), count)
    return family


def _requests(requests: RequestCounts) -> Iterator[Metric]:
    counts, seconds = _family(catalogue.SYSTEM_REQUESTS), _family(catalogue.SYSTEM_SECONDS)
    for (method, path, status), histogram in requests:
        labels = (method, path, status, status)
        _add(counts, catalogue.SYSTEM_REQUESTS, labels, histogram.count)
        _add_histogram(seconds, catalogue.SYSTEM_SECONDS, labels, histogram)
    yield from (counts, seconds)


def _wrong_credentials(unknown: FunctionNumbers) -> Metric:
    """As every part tells it; workers add it up among the reasons for which calls are refused."""
    family = _family(catalogue.WRONG_CREDENTIALS)
    _add(family, catalogue.WRONG_CREDENTIALS, (), unknown.metrics.refused.get(WRONG_CREDENTIALS, 0))
    return family


def _connected(table: FunctionTable) -> Metric:
    family = _family(catalogue.PROVIDER_CONNECTED)
    _add(family, catalogue.PROVIDER_CONNECTED, (), float(table.connected))
    return family


def _broker_reconnects(count: int) -> Metric:
    family = _family(catalogue.GATEWAY_RECONNECTS)
    _add(family, catalogue.GATEWAY_RECONNECTS, (), count)
    return family
