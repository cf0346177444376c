"""The ``ImageBuilder`` of this machine: a context becomes code in the store, and a name to deploy it by."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO

import structlog

from springtide.provider.ports import Build
from springtide.provider.process import local_images, templates
from springtide.provider.process.builder.archive import ArchiveLimits, BuildRequest, unpack
from springtide.provider.process.builder.code_builder import CodeBuilder
from springtide.provider.process.hashed_folders import remove_tree
from springtide.provider.process.local_images import LocalImage, LocalImages
from springtide.runtime.errors import BadInput, Unavailable
from springtide.scaler.core.ports import Clock

NO_SECRETS = (
    "com.openfaas.secrets: build secrets are not taken here, for there is no container that they could be mounted "
    "into; leave out build_secrets"
)

_log = structlog.get_logger()


class LocalImageBuilder:
    """``deployed`` tells the images of the functions there are, whose names are kept."""

    def __init__(
        self,
        scratch: Path,
        code: CodeBuilder,
        images: LocalImages,
        clock: Clock,
        *,
        deployed: Callable[[], Collection[str]],
        limits: ArchiveLimits | None = None,
    ) -> None:
        self._scratch, self._code, self._images, self._clock = scratch, code, images, clock
        self._deployed, self._limits = deployed, limits or ArchiveLimits()
        self._naming = asyncio.Lock()
        self._discarding: set[asyncio.Future[None]] = set()

    def __repr__(self) -> str:
        return f"<LocalImageBuilder {self._images!r}>"

    @property
    def scratch(self) -> Path:
        return self._scratch

    async def accept(self, archive: IO[bytes]) -> Build:
        """Raises BadInput for what is not a build request, Unavailable when it cannot be written."""
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="context-", dir=self._scratch))
        try:
            request = await asyncio.to_thread(unpack, archive, folder, self._limits)
            if request.has_secrets:
                raise BadInput(NO_SECRETS)  # noqa: TRY301 - what was unpacked goes in any case
            return _Build(self, request, local_images.check_name(request.image), folder)
        except BaseException as error:
            self.remove(folder)
            if isinstance(error, OSError):
                raise Unavailable(f"{error.filename or folder}: {error.strerror}; nothing was built") from error
            raise

    async def build(self, request: BuildRequest, image: str, tell: Callable[[str], None]) -> None:
        known = await asyncio.to_thread(templates.recognise, request.context)
        tell(f"template {known.name}: {known.template.about}")
        if request.build_args:
            tell("build_args are for the steps of a Dockerfile, which are not run here: ignored")
        built = await self._code.build(known.template, known.handler, tell)
        made = LocalImage(
            name=image,
            code=built.version,
            environment=built.environment,
            lang=known.name,
            command=built.command,
            said=known.command,
            variables=built.variables,
            built_at=self._clock.wall(),
        )
        async with self._naming:
            await asyncio.to_thread(self._images.put, made, deployed=self._deployed())
        tell(f"image {image}: built; deploy it to run it")
        _log.info("an image was built", image=image, template=known.name, code=built.version[:12])

    def remove(self, folder: Path) -> None:
        """Soon, and off the loop: a context may have many files."""
        removing = asyncio.get_running_loop().run_in_executor(None, remove_tree, folder)
        self._discarding.add(removing)
        removing.add_done_callback(self._discarding.discard)


class _Build:
    def __init__(self, builder: LocalImageBuilder, request: BuildRequest, image: str, folder: Path) -> None:
        self._builder, self._request, self._folder = builder, request, folder
        self.image = image

    def __repr__(self) -> str:
        return f"<Build of {self.image}>"

    async def run(self, tell: Callable[[str], None]) -> None:
        await self._builder.build(self._request, self.image, tell)

    def discard(self) -> None:
        self._builder.remove(self._folder)
