"""Memory and processor time of a part's processes, under the names everybody's dashboards know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from springtide.scaler.core import catalogue


def show_usage(registry: CollectorRegistry, processes: Callable[[], Mapping[str, int]]) -> None:
    """``processes``: what each is called in the label → its process id, at the time of a scrape."""
    registry.register(_Usage(processes))


class _Usage(Collector):
    def __init__(self, processes: Callable[[], Mapping[str, int]]) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        memory, cpu = catalogue.PROCESS_MEMORY, catalogue.PROCESS_CPU
        resident = GaugeMetricFamily(memory.name, memory.help, labels=memory.labels)
        used = CounterMetricFamily(cpu.name.removesuffix("_total"), cpu.help, labels=cpu.labels)
        for name, pid in sorted(self._processes().items()):
            numbers = _numbers(pid)
            if memory.name in numbers:
                resident.add_metric([name], numbers[memory.name])
            if cpu.name in numbers:
                used.add_metric([name], numbers[cpu.name])
        yield from (resident, used)


def _numbers(pid: int) -> Mapping[str, float]:
    """What the library reads of a process; nothing of one that has ended, or where there is no /proc."""
    families = ProcessCollector(pid=lambda: pid, registry=None).collect()
    return {sample.name: sample.value for family in families for sample in family.samples}
