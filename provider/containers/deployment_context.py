"""What all deployments of one provider have in common: its settings, its engine, its folders and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from springtide.provider.containers.container_program import ContainerProgram
from springtide.provider.containers.engine.client import Engine
from springtide.provider.containers.function_container import container_name, container_of
from springtide.provider.containers.networks import Networks
from springtide.provider.containers.settings import ContainerSettings
from springtide.provider.machine.log_files import LogWriter
from springtide.provider.machine.records import FunctionRecord
from springtide.provider.machine.replica_metrics import ReplicaMetrics
from springtide.provider.machine.start_limits import StartSlots
from springtide.provider.machine.state_files import StateFiles
from springtide.provider.process.settings import ProcessSettings
from springtide.scaler.core.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentContext:
    """``spawn`` runs something beside everything else; what fails there for no reason of ours ends the provider."""

    settings: ContainerSettings
    machine: ProcessSettings
    suite: str
    clock: Clock
    engine: Engine
    networks: Networks
    files: StateFiles
    slots: StartSlots
    metrics: ReplicaMetrics
    spawn: Callable[[Coroutine[Any, Any, None], str], Any]

    async def create(self, record: FunctionRecord, program: ContainerProgram, instance: str) -> str:
        """Returns the container's id."""
        await self.networks.ensure(record.ref.namespace)
        body = container_of(
            record,
            program,
            suite=self.suite,
            secrets=self.files.mount(record),
            settings=self.settings,
            machine=self.machine,
        )
        return await self.engine.create(container_name(instance, self.suite), body)

    def log_writer(self, record: FunctionRecord) -> LogWriter:
        return LogWriter(self.files.log(record), self.machine.log_limit_bytes)
