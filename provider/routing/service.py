"""The provider of processes and containers of one machine as a Service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from springtide.provider.containers import service as containers
from springtide.provider.containers.service import ContainerDeps
from springtide.provider.containers.settings import ContainerSettings
from springtide.provider.machine.provider import MachineProvider
from springtide.provider.process import service as process
from springtide.provider.process.pinning import Pinning
from springtide.provider.process.service import ProcessDeps
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.routing.metrics import JoinedRegistries
from springtide.provider.routing.provider import Local, RoutingProvider
from springtide.runtime.errors import SpringtideError
from springtide.runtime.service import first_end
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock, Recorder

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RoutingDeps:
    """``operator`` is the environment in which the provider runs; ``local`` replaces the rule of what is a process."""

    clock: Clock
    registry: CollectorRegistry
    recorder: Recorder | None = None
    operator: Mapping[str, str] = field(default_factory=dict)
    scalers: Scalers = field(default_factory=Scalers)
    local: Local | None = None


class Sides:
    """Both, as one Service. An engine that is away keeps no process from starting, nor does a full disk."""

    name = "provider"

    def __init__(
        self, processes: MachineProvider[Any], containers: MachineProvider[Any], provider: RoutingProvider
    ) -> None:
        self._processes, self._containers, self.provider = processes, containers, provider
        self.builder, self.library = processes.builder, processes.library

    def __repr__(self) -> str:
        return f"<Sides {self.provider!r}>"

    async def start(self) -> None:
        """Raises as each of them does."""
        await self._processes.start()
        await self._containers.start()
        try:
            await self.provider.settle()
        except SpringtideError as error:
            _log.error("secrets or namespaces cannot be made the same for processes and containers", why=str(error))

    async def stop(self) -> None:
        await asyncio.gather(self._containers.stop(), self._processes.stop())

    async def wait(self) -> None:
        await first_end(self._processes.wait(), self._containers.wait())


def build(
    processes: ProcessSettings, containers_dir: Path, container_settings: ContainerSettings, deps: RoutingDeps
) -> Sides:
    """``processes`` counts for replicas of either kind; ``containers_dir`` is what containers have in the place of its
    ``state_dir``. Raises BadInput for an engine's address that cannot be one."""
    pinning = Pinning(processes, deps.operator)
    registries = CollectorRegistry(), CollectorRegistry()
    deps.registry.register(JoinedRegistries(*registries))
    first = process.build(
        processes,
        ProcessDeps(deps.clock, registries[0], deps.recorder, deps.operator, deps.scalers),
        pinning,
    )
    second = containers.build(
        container_settings,
        replace(processes, state_dir=containers_dir),
        ContainerDeps(deps.clock, registries[1], deps.recorder, deps.operator, deps.scalers, waits_for_engine=True),
    )
    return Sides(first, second, RoutingProvider(first, second, deps.local or pinning.on_this_machine))
