"""What a deployment fixes before anything runs: a copy of the code, and an environment with what the code requires.

Deploying is the only time at which the folder of a handler is read. What is not referred to any more is removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from springtide.provider.machine.records import FunctionRecord, Pinned
from springtide.provider.process import launches, requirements, templates
from springtide.provider.process.builder.code_builder import CodeBuilder
from springtide.provider.process.builder.node_modules import NodeModules, NpmBounds
from springtide.provider.process.code_store import CodeStore
from springtide.provider.process.environment_build import Tell
from springtide.provider.process.environments import BuildBounds, Environment, Environments
from springtide.provider.process.launches import Placed
from springtide.provider.process.local_images import LocalImage, LocalImages, normal_name
from springtide.provider.process.requirements import Wanted
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.process.templates import Language
from springtide.provider.spec import PROCESS_IMAGE, PYTHON_IMAGE, FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.scaler.core.label_names import HANDLER, LANG

SCRATCH = "builds"
NO_IMAGES = ("any:latest", "none:latest", f"{PYTHON_IMAGE}:latest", f"{PROCESS_IMAGE}:latest")
"""What people, or our own clients, write where there is no image: it must not be empty."""
PRUNE_S = 600.0
"""Between looks for what is not referred to."""

Referred = Callable[[], Iterable[Pinned]]
"""What is still needed, by whoever keeps it."""


@dataclass(frozen=True, slots=True)
class Stores:
    """``default`` is the environment of handlers without requirements, and of every program."""

    code: CodeStore
    environments: Environments
    default: Environment

    def placed(self, pinned: Pinned) -> Placed:
        """Where it is on this machine. Raises BadInput when some of it is not there any more."""
        environment = self.environments.get(pinned.environment) if pinned.environment else self.default
        code = self.code.path(pinned.code) if pinned.code else None
        return Placed(pinned, code, environment)


class Pinning:
    """``operator`` is the environment whose settings of uv and pip count."""

    def __init__(self, settings: ProcessSettings, operator: Mapping[str, str]) -> None:
        bounds = BuildBounds(
            timeout_s=settings.build_timeout_s,
            max_bytes=settings.environment_bytes,
            at_once=settings.environment_builds,
        )
        folder = settings.state_dir.absolute()
        self.code = CodeStore(folder / "code")
        self.environments = Environments(folder / "environments", bounds, operator, search=settings.path)
        self.images = LocalImages(folder / "images")
        npm = NpmBounds(timeout_s=settings.build_timeout_s, max_bytes=settings.environment_bytes)
        modules = NodeModules(folder / "node", npm, operator, search=settings.path)
        self.builder = CodeBuilder(folder / SCRATCH, self.code, self.environment_of, modules, search=settings.path)
        self._stores: Stores | None = None
        self._referred: list[Referred] = [self._of_images]

    def __repr__(self) -> str:
        return f"<Pinning {self.code!r} {self.environments!r}>"

    @property
    def stores(self) -> Stores:
        assert self._stores is not None, "open it first"
        return self._stores

    async def open(self, now: float) -> None:
        """Raises BadInput when the folders cannot be made."""
        try:
            await asyncio.to_thread(self.code.open)
            await asyncio.to_thread(self.environments.open)
            await asyncio.to_thread(self.builder.open)
            await asyncio.to_thread(self.images.open, now)
        except OSError as error:
            raise BadInput(f"{error.filename}: {error.strerror}; choose a state folder that can be written") from error
        self._stores = Stores(self.code, self.environments, await self.environments.ensure(Wanted()))

    async def close(self) -> None:
        await self.environments.close()

    def refers(self, referred: Referred) -> None:
        """What it returns, whenever it is asked, is kept."""
        self._referred.append(referred)

    async def pin(self, spec: FunctionSpec, tell: Tell = lambda _line: None) -> Pinned:
        """Copy the code, and build its environment. Nothing has changed after BadInput, TooMany or Unavailable."""
        lang = spec.annotations.get(LANG, "")
        image = self.image_of(spec)
        if image is not None:
            return await self._image_pinned(image)
        folder = launches.source_folder(spec)
        if folder is None:
            return Pinned(lang=lang)
        built = await self.builder.build(templates.of_handler(lang), folder, tell)
        return Pinned(
            code=built.version,
            environment=built.environment,
            lang=lang,
            command=built.command,
            variables=built.variables,
        )

    def image_of(self, spec: FunctionSpec) -> LocalImage | None:
        """What was built here under the function's image, unless it brings a handler of its own along."""
        return None if spec.annotations.get(HANDLER) else self.images.find(spec.image)

    def on_this_machine(self, spec: FunctionSpec) -> bool:
        """Whether what it is to run is here, or its image names nothing. A command alone says nothing: faas-cli sends
        that of its template along with every image."""
        named = launches.known_image(spec.image) is not None or normal_name(spec.image) in NO_IMAGES
        return named or bool(spec.annotations.get(HANDLER)) or self.images.find(spec.image) is not None

    def runs_from_its_source(self, spec: FunctionSpec) -> bool:
        """Whether what runs is what was deployed, so that it can be checked before it is pinned."""
        lang = templates.of_handler(spec.annotations.get(LANG, "")).language
        return self.image_of(spec) is None and (lang is Language.PYTHON or launches.source_folder(spec) is None)

    async def environment_of(self, code: str, tell: Tell = lambda _line: None) -> str:
        """The key of the environment that a version asks for; empty for the default one."""
        folder = self.code.path(code)
        wanted = await asyncio.to_thread(requirements.wanted_by, folder, version=code)
        if wanted == Wanted():
            return ""
        environment = await self.environments.ensure(wanted, tell)
        return "" if environment == self.stores.default and not wanted.python else environment.key

    async def _image_pinned(self, image: LocalImage) -> Pinned:
        try:
            pinned = await self.restored(_of_image(image))
            self.stores.placed(pinned)
        except BadInput as error:
            raise BadInput(f"image {image.name} was built here, but: {error}; build it again") from error
        return pinned

    async def restored(self, pinned: Pinned) -> Pinned:
        """What was pinned earlier, with an environment that is not there any more built again."""
        if not pinned.code or not pinned.environment:
            return pinned
        try:
            self.environments.get(pinned.environment)
        except BadInput:
            return replace(pinned, environment=await self.environment_of(pinned.code))
        return pinned

    async def adopted(self, record: FunctionRecord) -> FunctionRecord:
        """A function that was deployed before code was pinned: what is on disk now is its version."""
        if record.current.pinned.code or launches.source_folder(record.spec) is None:
            return record
        return record.adopted(await self.pin(record.spec))

    async def prune(self, *, grace_s: float | None = None) -> None:
        """Remove what nothing refers to and nobody asked for lately."""
        kept = [pinned for referred in self._referred for pinned in referred()]
        more = {} if grace_s is None else {"grace_s": grace_s}
        await asyncio.to_thread(self.code.prune, {pinned.code for pinned in kept}, **more)
        environments = {self.stores.default.key, *(pinned.environment for pinned in kept)}
        await asyncio.to_thread(self.environments.prune, environments, **more)

    def _of_images(self) -> Iterable[Pinned]:
        return [_of_image(image) for image in self.images.all()]

    async def keep_pruning(self) -> None:
        while True:
            await self.prune()
            await asyncio.sleep(PRUNE_S)


def _of_image(image: LocalImage) -> Pinned:
    return Pinned(
        code=image.code,
        environment=image.environment,
        lang=image.lang,
        command=image.command,
        said=image.said,
        variables=image.variables,
    )
