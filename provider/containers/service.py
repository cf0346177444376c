"""The provider of containers as a Service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from springtide.provider.containers import container_labels
from springtide.provider.containers.container_program import ContainerProgram
from springtide.provider.containers.credential_helpers import CredentialHelpers
from springtide.provider.containers.engine.client import Engine
from springtide.provider.containers.engine.socket_path import engine_socket
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
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock, Recorder

MOUNTED = MountRule(file_mode=0o644, hidden=is_login)
"""Containers run as users of their own, and see no passwords of registries."""


@dataclass(frozen=True, slots=True)
class ContainerDeps:
    """``operator`` is the environment in which the provider runs: where its engine may be found."""

    clock: Clock
    registry: CollectorRegistry
    recorder: Recorder | None = None
    operator: Mapping[str, str] = field(default_factory=dict)
    scalers: Scalers = field(default_factory=Scalers)


def build(
    settings: ContainerSettings, machine: ProcessSettings, deps: ContainerDeps
) -> MachineProvider[ContainerProgram]:
    """``machine`` has what counts for any replica. Raises BadInput or Unavailable where no engine can be found."""
    named = {"DOCKER_HOST": settings.engine} if settings.engine else deps.operator
    engine, files = Engine(engine_socket(named)), StateFiles(machine.state_dir, MOUNTED)
    suite = container_labels.suite_of(files.folder)
    helpers = CredentialHelpers(Path(settings.docker_config or Path(machine.home) / ".docker"), deps.operator)
    images = Images(engine, files, settings, helpers, suite=suite, clock=deps.clock)
    handlers = HandlerImages(engine, Pinning(machine, deps.operator), suite, files.folder)
    preparation = ContainerPreparation(images, handlers)
    return MachineProvider(
        MachineDeps(
            info=ProviderInfo("springtide-containers", "containers"),
            files=files,
            fleet=Fleet(
                engine,
                settings=settings,
                machine=machine,
                clock=deps.clock,
                files=files,
                preparation=preparation,
                registry=deps.registry,
                scalers=deps.scalers,
            ),
            preparation=preparation,
            default_namespace=machine.default_namespace,
            clock=deps.clock,
            scalers=deps.scalers,
            recorder=deps.recorder,
        )
    )
