"""The provider of local processes as a Service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from springtide.provider.machine.provider import MachineDeps, MachineProvider
from springtide.provider.machine.state_files import StateFiles
from springtide.provider.ports import ProviderInfo
from springtide.provider.process.builder.image_builder import LocalImageBuilder
from springtide.provider.process.fleet import Fleet
from springtide.provider.process.launches import FunctionProgram
from springtide.provider.process.library import LocalLibrary
from springtide.provider.process.pinning import SCRATCH, Pinning
from springtide.provider.process.preparation import ProgramPreparation
from springtide.provider.process.settings import ProcessSettings
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock, Recorder


@dataclass(frozen=True, slots=True)
class ProcessDeps:
    """``recorder`` hears of counts that a deployment sets; those written are recorded by whoever asks for them.

    ``operator`` is the environment in which the provider runs: what it says of uv and pip counts when requirements are
    installed, and nothing of it reaches a function.
    """

    clock: Clock
    registry: CollectorRegistry
    recorder: Recorder | None = None
    operator: Mapping[str, str] = field(default_factory=dict)
    scalers: Scalers = field(default_factory=Scalers)


def build(
    settings: ProcessSettings, deps: ProcessDeps, pinning: Pinning | None = None
) -> MachineProvider[FunctionProgram]:
    """``pinning`` is for whoever asks it, too, what is on this machine."""
    files, pinning = StateFiles(settings.state_dir), pinning or Pinning(settings, deps.operator)
    fleet = Fleet(
        settings, clock=deps.clock, files=files, pinning=pinning, registry=deps.registry, scalers=deps.scalers
    )
    return MachineProvider(
        MachineDeps(
            info=ProviderInfo("springtide-process", "process"),
            files=files,
            fleet=fleet,
            preparation=ProgramPreparation(settings, pinning),
            default_namespace=settings.default_namespace,
            clock=deps.clock,
            scalers=deps.scalers,
            recorder=deps.recorder,
            builder=LocalImageBuilder(
                files.folder / SCRATCH,
                pinning.builder,
                pinning.images,
                deps.clock,
                deployed=lambda: {deployment.record.spec.image for deployment in fleet.all()},
            ),
            library=LocalLibrary(files.folder / "templates", search=settings.path),
        )
    )
