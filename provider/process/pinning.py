"""What a deployment fixes before anything runs: a copy of the code, and an environment with what the code requires.

Deploying is the only time at which the folder of a handler is read. What is not referred to any more is removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from springtide.provider.process import launches, requirements
from springtide.provider.process.code_store import CodeStore
from springtide.provider.process.environment_build import Tell
from springtide.provider.process.environments import BuildBounds, Environment, Environments
from springtide.provider.process.launches import LANG, Placed
from springtide.provider.process.records import FunctionRecord, FunctionVersion, Pinned
from springtide.provider.process.requirements import Wanted
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput

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
        self._stores: Stores | None = None
        self._referred: list[Referred] = []

    def __repr__(self) -> str:
        return f"<Pinning {self.code!r} {self.environments!r}>"

    @property
    def stores(self) -> Stores:
        assert self._stores is not None, "open it first"
        return self._stores

    async def open(self) -> None:
        """Raises BadInput when the folders cannot be made."""
        try:
            await asyncio.to_thread(self.code.open)
            await asyncio.to_thread(self.environments.open)
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
        folder = launches.source_folder(spec)
        if folder is None:
            return Pinned(lang=lang)
        code = await asyncio.to_thread(self.code.add, folder)
        return Pinned(code=code, environment=await self.environment_of(code, tell), lang=lang)

    async def environment_of(self, code: str, tell: Tell = lambda _line: None) -> str:
        """The key of the environment that a version asks for; empty for the default one."""
        folder = self.code.path(code)
        wanted = await asyncio.to_thread(requirements.wanted_by, folder, version=code)
        if wanted == Wanted():
            return ""
        environment = await self.environments.ensure(wanted, tell)
        return "" if environment == self.stores.default and not wanted.python else environment.key

    async def restored(self, version: FunctionVersion) -> Pinned:
        """What an earlier version was pinned to, with an environment that is not there any more built again."""
        pinned = version.pinned
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

    async def keep_pruning(self) -> None:
        while True:
            await self.prune()
            await asyncio.sleep(PRUNE_S)
