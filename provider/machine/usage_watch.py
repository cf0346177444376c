"""What replicas use of the machine: measured in rounds, exported, and shown to who judges it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from springtide.provider.machine.ports import Deployment, Measurable
from springtide.provider.machine.usage import Measured, Meter
from springtide.provider.spec import Usage
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef

Deployments = Callable[[], Iterable[Deployment[Any]]]


@dataclass(frozen=True, slots=True)
class Reading:
    deployment: Deployment[Any]
    replica: Measurable
    measured: Measured
    cpu_millicores: float
    still_stopped: bool
    """By a signal, in this look and the one before."""


class Judge(Protocol):
    def __call__(self, reading: Reading, /) -> None:
        """Of one replica, in each round."""


class UsageWatch:
    def __init__(self, deployments: Deployments, clock: Clock, *, interval_s: float, judge: Judge) -> None:
        self._deployments, self._clock = deployments, clock
        self._interval_s, self._judge = interval_s, judge
        self._meter = Meter()
        self._readings: dict[str, Reading] = {}
        self._read_at: float | None = None

    def usage(self, deployment: Deployment[Any]) -> Usage | None:
        """What a function's replicas used in the last round; None when there was none yet."""
        own = [reading for reading in self._readings.values() if reading.deployment is deployment]
        if not own:
            return None
        return Usage(
            cpu_millicores=round(sum(reading.cpu_millicores for reading in own), 3),
            memory_bytes=float(sum(reading.measured.memory_bytes for reading in own)),
        )

    def memory_use(self, deployments: Mapping[FunctionRef, Deployment[Any]]) -> dict[FunctionRef, float]:
        """Bytes of all replicas that run, of the functions that have some, all of which were measured."""
        found = {}
        for ref, deployment in deployments.items():
            running = [instance for instance, replica in deployment.replicas.items() if replica.pid]
            if running and all(instance in self._readings for instance in running):
                found[ref] = float(sum(self._readings[instance].measured.memory_bytes for instance in running))
        return found

    async def run(self) -> None:
        while True:
            await self._round()
            await asyncio.sleep(self._interval_s)

    async def _round(self) -> None:
        replicas = [
            (deployment, replica)
            for deployment in self._deployments()
            for replica in deployment.replicas.values()
            if replica.pid
        ]
        measured = await asyncio.to_thread(self._meter.measure, [replica.pid for _, replica in replicas])
        now, before = self._clock.now(), self._readings
        passed_s = now - self._read_at if self._read_at is not None else 0.0
        self._read_at = now
        self._readings = {
            replica.instance: _reading(
                before.get(replica.instance), deployment, replica, measured=measured[replica.pid], passed_s=passed_s
            )
            for deployment, replica in replicas
            if replica.pid in measured
        }
        for reading in self._readings.values():
            self._judge(reading)

    def families(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        cpu, memory = catalogue.REPLICA_CPU, catalogue.REPLICA_MEMORY
        seconds = CounterMetricFamily(cpu.name, cpu.help, labels=cpu.labels)
        size = GaugeMetricFamily(memory.name, memory.help, labels=memory.labels)
        for instance, reading in list(self._readings.items()):
            if instance not in reading.deployment.replicas:
                continue  # It has ended since the last round.
            ref = reading.deployment.record.ref
            labels = (str(ref), ref.namespace, instance)
            seconds.add_metric(labels, reading.measured.cpu_s)
            size.add_metric(labels, reading.measured.memory_bytes)
        yield seconds
        yield size


class UsageCollector(Collector):
    """prometheus_client's way to ask at scrape time: series of replicas that are gone go by themselves."""

    def __init__(self, watch: UsageWatch, registry: CollectorRegistry) -> None:
        self._watch = watch
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        return self._watch.families()


def _reading(
    before: Reading | None, deployment: Deployment[Any], replica: Measurable, *, measured: Measured, passed_s: float
) -> Reading:
    millicores = 0.0
    if before is not None and passed_s > 0:
        millicores = max(0.0, measured.cpu_s - before.measured.cpu_s) / passed_s * 1000
    still = measured.stopped and before is not None and before.measured.stopped
    return Reading(deployment, replica, measured, millicores, still)
