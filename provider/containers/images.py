"""Which image a name stands for: the engine's own, or pulled, by the policy, with the credentials that there are."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from springtide.provider.containers.engine.client import Engine, Image
from springtide.provider.containers.registry_login import Login, login_for, logins_in, logins_of
from springtide.provider.containers.settings import ContainerSettings, PullPolicy
from springtide.provider.machine.state_files import StateFiles
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput, SpringtideError
from springtide.runtime.files import read_whole
from springtide.runtime.keyed_locks import KeyedLocks

MAX_PULLS = 3
"""At once; more only share the line."""
TELL_EACH_S = 2.0

_log = structlog.get_logger()


class Images:
    def __init__(self, engine: Engine, files: StateFiles, settings: ContainerSettings, *, home: str) -> None:
        self._engine, self._files, self._policy = engine, files, PullPolicy(settings.image_pull_policy)
        self._docker = Path(settings.docker_config or Path(home) / ".docker")
        self._pulling: KeyedLocks[str] = KeyedLocks()
        self._places = asyncio.Semaphore(MAX_PULLS)

    async def of(self, spec: FunctionSpec) -> Image:
        """Raises BadInput naming the image and the remedy."""
        async with self._pulling.of(spec.image):
            there = await self._engine.image(spec.image)
            if there is not None and self._policy is not PullPolicy.ALWAYS:
                return there
            if self._policy is PullPolicy.NEVER:
                raise BadInput(
                    f"image {spec.image}: not on this machine, and image_pull_policy is {self._policy}; build or load "
                    "it here first"
                )
            async with self._places:
                await self._pull(spec)
            pulled = await self._engine.image(spec.image)
        if pulled is None:
            raise BadInput(f"image {spec.image}: it was pulled and is gone again; deploy the function once more")
        return pulled

    async def again(self, image: str, name: str) -> Image:
        """The one of an earlier version, by its id. Raises BadInput when it is not there any more."""
        found = await self._engine.image(image)
        if found is None:
            raise BadInput(f"image {name} ({image[:19]}) is not on this machine any more; deploy the function anew")
        return found

    async def _pull(self, spec: FunctionSpec) -> None:
        login = login_for(spec.image, self._logins(spec))
        shown = {"image": spec.image, "function": str(spec.ref), "user": login.user if login else "nobody"}
        _log.info("pulling an image", **shown)
        began = time.monotonic()
        try:
            await self._engine.pull(spec.image, login=login.header if login else "", tell=_told(spec.image))
        except SpringtideError as error:
            _log.warning("an image cannot be pulled", **shown, why=str(error))
            raise
        _log.info("an image was pulled", **shown, seconds=round(time.monotonic() - began, 1))

    def _logins(self, spec: FunctionSpec) -> list[Login]:
        """The function's own before the operator's."""
        own: list[Login] = []
        for name in spec.secrets:
            with contextlib.suppress(OSError):
                own += logins_of(read_whole(self._files.secrets(spec.ref.namespace) / name))
        return own + logins_in(self._docker)


def _told(image: str) -> Callable[[str], None]:
    """Progress for the log, not each of its thousand lines."""
    last = time.monotonic()

    def tell(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= TELL_EACH_S:
            last = time.monotonic()
            _log.info("an image is being pulled", image=image, progress=line)

    return tell
