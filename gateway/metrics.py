"""The gateway's metric families, built when scraped from the plain numbers the data plane keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UnknownMetricFamily,
)
from prometheus_client.registry import Collector

from gateway.call_metrics import Histogram
from gateway.endpoint_table import EndpointTable
from gateway.plane import Plane
from gateway.route import Route
from scaler.core import catalogue
from scaler.core.catalogue import Kind


class GatewayCollector(Collector):
    """Series exist for the functions in the table and for nothing else: a deleted function's are gone at once."""

    def __init__(self, plane: Callable[[], Plane | None]) -> None:
        self._plane = plane

    def describe(self) -> Iterable[Metric]:
        """What may be collected, without collecting it."""
        return [_family(metric) for metric in _EMITTED]

    def collect(self) -> Iterator[Metric]:
        plane = self._plane()
        if plane is None:
            return
        routes = sorted(plane.table, key=lambda route: route.ref)
        yield from _calls(routes)
        yield _refused([*routes, plane.unknown])
        yield from _scales(routes)
        yield _connected(plane.table)


_EMITTED = (
    catalogue.INVOCATIONS,
    catalogue.STARTED,
    catalogue.SECONDS,
    catalogue.IN_FLIGHT,
    catalogue.LAST_ACTIVE,
    catalogue.HELD,
    catalogue.COLD_START,
    catalogue.REFUSED,
    catalogue.DESIRED,
    catalogue.READY,
    catalogue.MIN_REPLICAS,
    catalogue.MAX_REPLICAS,
    catalogue.TARGET_LOAD,
    catalogue.PROVIDER_CONNECTED,
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
    for bound, count in histogram.cumulative():
        family.add_sample(f"{metric.name}_bucket", {**named, "le": bound}, count)
    family.add_sample(f"{metric.name}_count", named, histogram.count)
    family.add_sample(f"{metric.name}_sum", named, histogram.sum)


def _calls(routes: list[Route]) -> Iterator[Metric]:
    invocations, seconds = _family(catalogue.INVOCATIONS), _family(catalogue.SECONDS)
    cold = _family(catalogue.COLD_START)
    for route in routes:
        for status, histogram in sorted(route.metrics.seconds.items()):
            labels = (route.label, str(status))
            _add(invocations, catalogue.INVOCATIONS, labels, histogram.count)
            _add_histogram(seconds, catalogue.SECONDS, labels, histogram)
        _add_histogram(cold, catalogue.COLD_START, (route.label,), route.metrics.cold_start)
    yield from (invocations, seconds, cold)
    yield _per_route(catalogue.STARTED, routes, lambda route: route.metrics.started)
    yield _per_route(catalogue.IN_FLIGHT, routes, lambda route: route.metrics.in_flight)
    yield _per_route(catalogue.LAST_ACTIVE, routes, lambda route: route.metrics.last_active)
    yield _per_route(catalogue.HELD, routes, lambda route: route.metrics.held)


def _scales(routes: list[Route]) -> Iterator[Metric]:
    yield _per_route(catalogue.DESIRED, routes, lambda route: route.desired)
    yield _per_route(catalogue.READY, routes, lambda route: len(route.ready))
    yield _per_route(catalogue.MIN_REPLICAS, routes, lambda route: route.policy.min)
    yield _per_route(catalogue.MAX_REPLICAS, routes, lambda route: route.policy.max)
    family = _family(catalogue.TARGET_LOAD)
    for route in routes:
        _add(family, catalogue.TARGET_LOAD, (route.label, route.policy.type), route.policy.target)
    yield family


def _per_route(metric: catalogue.Metric, routes: list[Route], value: Callable[[Route], float]) -> Metric:
    family = _family(metric)
    for route in routes:
        _add(family, metric, (route.label,), value(route))
    return family


def _refused(routes: list[Route]) -> Metric:
    family = _family(catalogue.REFUSED)
    for route in routes:
        label = route.label if route.ref.namespace else route.ref.name
        for reason, count in sorted(route.metrics.refused.items()):
            _add(family, catalogue.REFUSED, (label, reason), count)
    return family


def _connected(table: EndpointTable) -> Metric:
    family = _family(catalogue.PROVIDER_CONNECTED)
    _add(family, catalogue.PROVIDER_CONNECTED, (), float(table.connected))
    return family
