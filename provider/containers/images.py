"""Which image a name stands for: the engine's own, or pulled, by the policy, with the credentials that there are.

What was brought to this machine for functions goes again, some time after the last of them named it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection

import structlog

from springtide.provider.containers import container_labels, handler_images
from springtide.provider.containers.credential_helpers import CredentialHelpers, Found
from springtide.provider.containers.engine.client import Engine, Image
from springtide.provider.containers.image_use import FILE_NAME, GRACE_S, ImageUse, KeepRule
from springtide.provider.containers.registry_login import login_for, logins_of, registry_of
from springtide.provider.containers.settings import ContainerSettings, PullPolicy
from springtide.provider.machine.state_files import StateFiles
from springtide.provider.spec import PROCESS_IMAGE, PYTHON_IMAGE, FunctionSpec
from springtide.runtime.errors import BadInput, SpringtideError
from springtide.runtime.files import read_whole
from springtide.runtime.keyed_locks import KeyedLocks
from springtide.scaler.core.ports import Clock

MAX_PULLS = 3
"""At once; more only share the line."""
TELL_EACH_S = 2.0

_log = structlog.get_logger()


class Images:
    """``suite`` is whose images those are that were made here."""

    def __init__(
        self,
        engine: Engine,
        files: StateFiles,
        settings: ContainerSettings,
        helpers: CredentialHelpers,
        *,
        suite: str,
        clock: Clock,
    ) -> None:
        self._engine, self._files, self._policy = engine, files, PullPolicy(settings.image_pull_policy)
        self._helpers, self._suite, self._clock = helpers, suite, clock
        self._name = f"{handler_images.name_of(suite)}:"
        self._keep = KeepRule(
            age_s=max(settings.image_keep_s, GRACE_S) if settings.image_keep_s else None,
            most_bytes=settings.image_keep_bytes or None,
        )
        self._use: ImageUse | None = None
        self._pulling: KeyedLocks[str] = KeyedLocks()
        self._places = asyncio.Semaphore(MAX_PULLS)
        self._removing = asyncio.Lock()
        """One image is removed, or found to be there and kept for who asked: never one in the middle of the other."""

    def __repr__(self) -> str:
        return f"<Images {self._use!r}>"

    async def open(self) -> None:
        self._use = await asyncio.to_thread(ImageUse, self._files.folder / FILE_NAME)

    @property
    def use(self) -> ImageUse:
        assert self._use is not None, "open it first"
        return self._use

    async def of(self, spec: FunctionSpec) -> Image:
        """Raises BadInput naming the image and the remedy."""
        async with self._pulling.of(spec.image):
            there = await self._found(spec.image)
            if there is not None and self._policy is not PullPolicy.ALWAYS:
                return there
            if spec.image in (PROCESS_IMAGE, PYTHON_IMAGE):
                raise BadInput(
                    f"image {spec.image} stands for a program of this machine, and functions are containers here: name "
                    "an image that holds the program, or run the suite with --provider process"
                )
            if self._policy is PullPolicy.NEVER:
                raise BadInput(
                    f"image {spec.image}: not on this machine, and image_pull_policy is {self._policy}; build or load "
                    "it here first"
                )
            async with self._places:
                return await self._pulled(spec, there)

    async def again(self, image: str, name: str) -> Image:
        """The one of an earlier version, by its id. Raises BadInput when it is not there any more."""
        found = await self._found(image)
        if found is None:
            raise BadInput(f"image {name} ({image[:19]}) is not on this machine any more; deploy the function anew")
        return found

    async def collect(self, named: Collection[str], keep: KeepRule | None = None) -> list[str]:
        """Remove what was brought here, is not ``named`` and is due by ``keep``, or else by the settings.

        What something of somebody else's uses stays, for the engine does not give it away. Returns the ids that are
        gone. Raises Unavailable.
        """
        async with self._removing:
            there = await self._engine.images()
            made_here = await self._made_here()
            await asyncio.to_thread(self.use.look, there, named, made_here, self._clock.wall())
        sizes, rule, gone = {one.id: one.size for one in there}, keep or self._keep, list[str]()
        for image in self.use.due(sizes, rule, self._clock.wall()):
            async with self._removing:
                still_due = image in self.use.due(sizes, rule, self._clock.wall())
                if still_due and await self._engine.remove_image(image):
                    _log.info("an image that no function names is removed", image=image[:19], bytes=sizes.get(image, 0))
                    gone.append(image)
        return gone

    async def _made_here(self) -> set[str]:
        """By label and name: what others build or commit of ours has the label, too."""
        labelled, name = await self._engine.images(container_labels.made_here(self._suite)), self._name
        return {one.id for one in labelled if one.names and all(own.startswith(name) for own in one.names)}

    async def _found(self, image: str) -> Image | None:
        """About to be named, when it is there, and stays so long."""
        async with self._removing:
            found = await self._engine.image(image)
            if found is not None:
                self.use.asked_for(found.id, self._clock.wall())
        return found

    async def _pulled(self, spec: FunctionSpec, there: Image | None) -> Image:
        """``there`` is what had the name: where that is somebody's, so is what takes its place."""
        before = {one.id for one in await self._engine.images()}
        await self._pull(spec)
        ours = there is None or there.id in self.use
        async with self._removing:
            pulled = await self._engine.image(spec.image)
            if pulled is None:
                raise BadInput(f"image {spec.image}: it was pulled and is gone again; deploy the function once more")
            if ours and pulled.id not in before:
                await asyncio.to_thread(self.use.brought, pulled.id, pulled.names, self._clock.wall())
            self.use.asked_for(pulled.id, self._clock.wall())
        return pulled

    async def _pull(self, spec: FunctionSpec) -> None:
        found = await self._login(spec)
        login = found.login
        shown = {"image": spec.image, "function": str(spec.ref), "user": login.user if login else "nobody"}
        _log.info("pulling an image", **shown)
        began = time.monotonic()
        try:
            await self._engine.pull(spec.image, login=login.header if login else "", tell=_told(spec.image))
        except SpringtideError as error:
            _log.warning("an image cannot be pulled", **shown, why=str(error))
            if found.problem:
                raise type(error)(f"{error}; nobody was logged in, for {found.problem}") from error
            raise
        _log.info("an image was pulled", **shown, seconds=round(time.monotonic() - began, 1))

    async def _login(self, spec: FunctionSpec) -> Found:
        """The function's own before the operator's. Of a secret nothing is run, whatever it says."""
        for name in spec.secrets:
            with contextlib.suppress(OSError):
                own = login_for(spec.image, logins_of(read_whole(self._files.secrets(spec.ref.namespace) / name)))
                if own is not None:
                    return Found(own)
        return await self._helpers.login(registry_of(spec.image))


def _told(image: str) -> Callable[[str], None]:
    """Progress for the log, not each of its thousand lines."""
    last = time.monotonic()

    def tell(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= TELL_EACH_S:
            last = time.monotonic()
            _log.info("an image is being pulled", image=image, progress=line)

    return tell
