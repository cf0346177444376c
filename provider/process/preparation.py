"""From a spec to a program that can be started: what it needs is fixed first, and refused where it cannot run."""

from __future__ import annotations

from springtide.provider.machine.records import FunctionVersion, Pinned
from springtide.provider.process import launches, runnable
from springtide.provider.process.launches import FunctionProgram
from springtide.provider.process.pinning import Pinning
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.runtime_label import Runtime, check_only
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import Instant


class ProgramPreparation:
    """Raises BadInput for what cannot run, before it is built where that can be said, and after."""

    def __init__(self, settings: ProcessSettings, pinning: Pinning) -> None:
        self._settings, self.pinning = settings, pinning

    async def open(self, now: Instant) -> None:
        await self.pinning.open(now)

    async def close(self) -> None:
        await self.pinning.close()

    async def prepare(self, spec: FunctionSpec) -> tuple[Pinned, FunctionProgram]:
        check_only(Runtime.PROCESS, spec.labels)
        if self.pinning.runs_from_its_source(spec):
            self._check(spec, launches.program(spec))
        pinned = await self.pinning.pin(spec)
        return pinned, self._program(spec, pinned)

    async def restore(self, version: FunctionVersion) -> tuple[Pinned, FunctionProgram]:
        pinned = await self.pinning.restored(version.pinned)
        return pinned, self._program(version.spec, pinned)

    def _program(self, spec: FunctionSpec, pinned: Pinned) -> FunctionProgram:
        program = launches.program(spec, self.pinning.stores.placed(pinned))
        self._check(spec, program)
        return program

    def _check(self, spec: FunctionSpec, program: FunctionProgram) -> None:
        missing = launches.below_minimum(spec, self._settings)
        if missing := missing or runnable.missing(spec, program, self._settings):
            raise BadInput(missing)
