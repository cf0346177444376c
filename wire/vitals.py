"""What every process tells of itself: what it is made of, and whether its event loop keeps up."""

from __future__ import annotations

import itertools
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from springtide.runtime import build_info
from springtide.runtime.loop_lag import LoopLag
from springtide.scaler.core import catalogue
from springtide.wire import instruments
from springtide.wire.process_usage import show_usage

ALONE, MASTER = "main", "master"

Numbers = Sequence[float]
"""As ``LoopLag.numbers`` gives them."""


def vitals(registry: CollectorRegistry) -> LoopLag:
    """Tell them in ``registry``; the Service returned does the measuring."""
    show_build(registry)
    lag = loop_lag()
    registry.register(_LoopLags(lambda: {ALONE: lag.numbers()}))
    show_usage(registry, lambda: {ALONE: os.getpid()})
    return lag


def loop_lag() -> LoopLag:
    """Measures with the catalogue's buckets; whoever makes it tells the numbers."""
    return LoopLag(catalogue.LOOP_LAG.buckets)


def show_build(registry: CollectorRegistry) -> None:
    labels = (build_info.version(), platform.python_version())
    instruments.gauge(catalogue.BUILD_INFO, registry).labels(*labels).set(1)


def loop_lags(processes: Mapping[str, Numbers]) -> HistogramMetricFamily:
    """The family of several processes' numbers, by the name each has in the label."""
    metric = catalogue.LOOP_LAG
    bounds = [*(str(bound) for bound in metric.buckets), "+Inf"]
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for process, (total, *counts) in sorted(processes.items()):
        cumulative = itertools.accumulate(counts)
        family.add_metric([process], buckets=list(zip(bounds, cumulative, strict=True)), sum_value=total)
    return family


class _LoopLags(Collector):
    def __init__(self, read: Callable[[], Mapping[str, Numbers]]) -> None:
        self._read = read

    def collect(self) -> Iterator[HistogramMetricFamily]:
        yield loop_lags(self._read())
