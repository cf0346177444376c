"""Memory and processor time of a part's processes, under the names everybody's dashboards know."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from springtide.scaler.core import catalogue

TICKS_PER_S, PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


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
            if numbers is not None:
                resident.add_metric([name], numbers[0])
                used.add_metric([name], numbers[1])
        yield from (resident, used)


def _numbers(pid: int) -> tuple[int, float] | None:
    """Bytes resident and seconds used (proc(5)); None of a process that has ended, or where there is no /proc.

    The library's own collector reads three more files, and lists those that are open, for each process at each scrape.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].split()  # from the third on: a name may have blanks and brackets
    user, system, resident = int(fields[11]), int(fields[12]), int(fields[21])
    return resident * PAGE_BYTES, (user + system) / TICKS_PER_S
