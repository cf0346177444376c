"""From a spec to a program that can be started: its image is found, pulled or made, and fixed by its id."""

from __future__ import annotations

from collections.abc import Collection

from springtide.provider.containers import handler_images
from springtide.provider.containers.container_program import ContainerProgram, program_of
from springtide.provider.containers.engine.client import Image
from springtide.provider.containers.handler_images import HandlerImages
from springtide.provider.containers.image_use import KeepRule
from springtide.provider.containers.images import Images
from springtide.provider.machine.records import FunctionVersion, Pinned
from springtide.provider.runtime_label import Runtime, check_only
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.scaler.core.label_names import HANDLER, LANG
from springtide.scaler.core.vocabulary import Instant


class ContainerPreparation:
    def __init__(self, images: Images, handlers: HandlerImages) -> None:
        self._images, self._handlers = images, handlers

    async def open(self, now: Instant) -> None:
        """Images themselves are the engine's to keep."""
        await self._images.open()
        await self._handlers.open(now)

    async def close(self) -> None:
        await self._handlers.close()

    async def prepare(self, spec: FunctionSpec) -> tuple[Pinned, ContainerProgram]:
        check_only(Runtime.CONTAINER, spec.labels)
        if handler_images.is_made_here(spec):
            image = await self._images.again((await self._handlers.of(spec)).id, spec.image)
        else:
            image = await self._named(spec)
        return Pinned(code=image.id), program_of(spec, image)

    async def _named(self, spec: FunctionSpec) -> Image:
        try:
            return await self._images.of(spec)
        except BadInput as error:
            if not spec.annotations.get(HANDLER):
                raise
            lang = spec.annotations.get(LANG, "")
            raise BadInput(
                f"{error}; and no image is made here of a handler whose lang is {lang}, only of Python's: build it "
                "(faas-cli build), or run the suite with --provider process"
            ) from error

    async def restore(self, version: FunctionVersion) -> tuple[Pinned, ContainerProgram]:
        image = await self._images.again(version.pinned.code, version.spec.image)
        return version.pinned, program_of(version.spec, image)

    async def collect(self, named: Collection[str], keep: KeepRule | None = None) -> None:
        """Remove images that are not ``named``, and what others were made of. Raises Unavailable."""
        await self._images.collect(named, keep)
        await self._handlers.prune()
