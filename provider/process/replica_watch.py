"""The two rounds made over all replicas: do they answer, and what do they use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from springtide.provider.machine.plan import ReplicaState
from springtide.provider.machine.usage import Measured, Meter
from springtide.provider.process import launches
from springtide.provider.process.deployment import Deployment
from springtide.provider.process.host_protocol import OUT_OF_MEMORY, TOO_MANY_PROCESSES
from springtide.provider.process.replica_process import ReplicaProcess, probe_health
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import Usage
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Clock

MAX_PROBES = 32
"""Health checks under way at once."""
STOPPED = "was stopped by a signal (SIGSTOP) and did nothing"

Deployments = Callable[[], Iterable[Deployment]]


async def check_health(deployments: Deployments, settings: ProcessSettings) -> None:
    """Ask every replica that is in service, round after round."""
    places = asyncio.Semaphore(MAX_PROBES)

    async def check(deployment: Deployment, replica: ReplicaProcess) -> None:
        async with places:
            health = await probe_health(settings.host, replica.port, deadline_s=settings.health_timeout_s)
        deployment.checked(replica, health)

    while True:
        await asyncio.sleep(settings.health_interval_s)
        await asyncio.gather(
            *(
                check(deployment, replica)
                for deployment in deployments()
                for replica in list(deployment.replicas.values())
                if replica.state in (ReplicaState.READY, ReplicaState.UNREADY)
            )
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    deployment: Deployment
    replica: ReplicaProcess
    measured: Measured
    cpu_millicores: float


class UsageWatch:
    """Measures replicas in rounds, ends those above their limits or stopped, and exports what it measured."""

    def __init__(self, deployments: Deployments, settings: ProcessSettings, clock: Clock) -> None:
        self._deployments, self._settings, self._clock = deployments, settings, clock
        self._meter = Meter()
        self._readings: dict[str, _Reading] = {}
        self._read_at: float | None = None
        self.enforces_memory = True
        self.enforces_processes = True
        """False where the kernel does."""

    def usage(self, deployment: Deployment) -> Usage | None:
        """What a function's replicas used in the last round; None when there was none yet."""
        own = [reading for reading in self._readings.values() if reading.deployment is deployment]
        if not own:
            return None
        return Usage(
            cpu_millicores=round(sum(reading.cpu_millicores for reading in own), 3),
            memory_bytes=float(sum(reading.measured.memory_bytes for reading in own)),
        )

    async def run(self) -> None:
        while True:
            await self._round()
            await asyncio.sleep(self._settings.usage_interval_s)

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
            replica.instance: _Reading(
                deployment,
                replica,
                measured[replica.pid],
                _millicores(before.get(replica.instance), measured[replica.pid], passed_s),
            )
            for deployment, replica in replicas
            if replica.pid in measured
        }
        for instance, reading in self._readings.items():
            if reading.measured.stopped and instance in before and before[instance].measured.stopped:
                # Nothing of it goes on, so its callers lose nothing: they wait, and it may be for an hour.
                reading.deployment.kill(reading.replica, STOPPED)
            else:
                self._enforce(reading)

    def _enforce(self, reading: _Reading) -> None:
        program, most = reading.deployment.program, self._settings.replica_processes
        limit = launches.memory_limit(program, self._settings) if program is not None else None
        if self.enforces_memory and limit is not None and reading.measured.memory_bytes > limit:
            reading.deployment.kill(reading.replica, OUT_OF_MEMORY)
        elif self.enforces_processes and 0 < most < reading.measured.processes:
            reading.deployment.kill(reading.replica, TOO_MANY_PROCESSES)

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


def _millicores(before: _Reading | None, now: Measured, passed_s: float) -> float:
    if before is None or passed_s <= 0:
        return 0.0
    return max(0.0, now.cpu_s - before.measured.cpu_s) / passed_s * 1000
