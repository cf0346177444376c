"""The provider of containers as a Service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from springtide.provider.containers import container_labels
from springtide.provider.containers.awaited_fleet import AwaitedFleet
from springtide.provider.containers.container_program import ContainerProgram
from springtide.provider.containers.credential_helpers import CredentialHelpers
from springtide.provider.containers.engine.client import Engine
from springtide.provider.containers.engine.socket_path import USUAL, engine_socket
from springtide.provider.containers.fleet import Fleet
from springtide.provider.containers.handler_images import HandlerImages
from springtide.provider.containers.images import Images
from springtide.provider.containers.preparation import ContainerPreparation
from springtide.provider.containers.registry_login import is_login
from springtide.provider.containers.settings import ContainerSettings
from springtide.provider.machine.provider import MachineDeps, MachineProvider
from springtide.provider.machine.state_files import MountRule, StateFiles
from springtide.provider.ports import ProviderInfo
from springtide.provider.process.pinning import Pinning
from springtide.provider.process.settings import ProcessSettings
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock, Recorder

MOUNTED = MountRule(file_mode=0o644, hidden=is_login)
"""Containers run as users of their own, and see no passwords of registries."""


@dataclass(frozen=True, slots=True)
class ContainerDeps:
    """``operator`` is the environment in which the provider runs: where its engine may be found. ``waits_for_engine``:
    where none is there at the start, functions are as their records say until one comes."""

    clock: Clock
    registry: CollectorRegistry
    recorder: Recorder | None = None
    operator: Mapping[str, str] = field(default_factory=dict)
    scalers: Scalers = field(default_factory=Scalers)
    waits_for_engine: bool = False


def build(
    settings: ContainerSettings, machine: ProcessSettings, deps: ContainerDeps
) -> MachineProvider[ContainerProgram]:
    """``machine`` has what counts for any replica. Raises BadInput or Unavailable where no engine can be found."""
    engine, files = Engine(_socket(settings, deps)), StateFiles(machine.state_dir, MOUNTED)
    suite = container_labels.suite_of(files.folder)
    helpers = CredentialHelpers(Path(settings.docker_config or Path(machine.home) / ".docker"), deps.operator)
    images = Images(engine, files, settings, helpers, suite=suite, clock=deps.clock)
    handlers = HandlerImages(engine, Pinning(machine, deps.operator), suite, files.folder)
    preparation = ContainerPreparation(images, handlers)
    fleet = Fleet(
        engine,
        settings=settings,
        machine=machine,
        clock=deps.clock,
        files=files,
        preparation=preparation,
        registry=deps.registry,
        scalers=deps.scalers,
    )
    return MachineProvider(
        MachineDeps(
            info=ProviderInfo("springtide-containers", "containers"),
            files=files,
            fleet=AwaitedFleet(fleet) if deps.waits_for_engine else fleet,
            preparation=preparation,
            default_namespace=machine.default_namespace,
            clock=deps.clock,
            scalers=deps.scalers,
            recorder=deps.recorder,
        )
    )


def _socket(settings: ContainerSettings, deps: ContainerDeps) -> Path:
    named = {"DOCKER_HOST": settings.engine} if settings.engine else deps.operator
    try:
        return engine_socket(named)
    except Unavailable:
        if not deps.waits_for_engine:
            raise
        return USUAL[0]
