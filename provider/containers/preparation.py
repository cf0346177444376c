"""From a spec to a program that can be started: its image is found or pulled, and fixed by its id."""

from __future__ import annotations

from springtide.provider.containers.container_program import ContainerProgram, program_of
from springtide.provider.containers.images import Images
from springtide.provider.machine.records import FunctionVersion, Pinned
from springtide.provider.runtime_label import Runtime, check_only
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.vocabulary import Instant


class ContainerPreparation:
    def __init__(self, images: Images) -> None:
        self._images = images

    async def open(self, now: Instant) -> None:
        """Images are the engine's to keep."""

    async def close(self) -> None: ...

    async def prepare(self, spec: FunctionSpec) -> tuple[Pinned, ContainerProgram]:
        check_only(Runtime.CONTAINER, spec.labels)
        image = await self._images.of(spec)
        return Pinned(code=image.id), program_of(spec, image)

    async def restore(self, version: FunctionVersion) -> tuple[Pinned, ContainerProgram]:
        image = await self._images.again(version.pinned.code, version.spec.image)
        return version.pinned, program_of(version.spec, image)
