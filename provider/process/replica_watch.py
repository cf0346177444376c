"""The two rounds made over all replicas: do they answer, and what do they use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from springtide.provider.machine.plan import ReplicaState
from springtide.provider.machine.usage_watch import Reading
from springtide.provider.process import launches
from springtide.provider.process.deployment import Deployment
from springtide.provider.process.host_protocol import OUT_OF_MEMORY, TOO_MANY_PROCESSES
from springtide.provider.process.replica_process import ReplicaProcess, probe_health
from springtide.provider.process.settings import ProcessSettings

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


class UsageLimits:
    """Ends replicas above their limits, and those that were stopped: as a ``Judge`` of what they use."""

    def __init__(self, deployments: Deployments, settings: ProcessSettings) -> None:
        self._deployments, self._settings = deployments, settings
        self.enforces_memory = True
        self.enforces_processes = True
        """False where the kernel does."""

    def judge(self, reading: Reading) -> None:
        instance = reading.replica.instance
        for deployment in self._deployments():
            if (replica := deployment.replicas.get(instance)) is not None:
                self._enforce(deployment, replica, reading)

    def _enforce(self, deployment: Deployment, replica: ReplicaProcess, reading: Reading) -> None:
        program, most = deployment.program, self._settings.replica_processes
        limit = launches.memory_limit(program, self._settings) if program is not None else None
        if reading.still_stopped:
            # Nothing of it goes on, so its callers lose nothing: they wait, and it may be for an hour.
            deployment.kill(replica, STOPPED)
        elif self.enforces_memory and limit is not None and reading.measured.memory_bytes > limit:
            deployment.kill(replica, OUT_OF_MEMORY)
        elif self.enforces_processes and 0 < most < reading.measured.processes:
            deployment.kill(replica, TOO_MANY_PROCESSES)
