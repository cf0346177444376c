"""An image of a handler's folder, made here: this machine's Python, what the handler requires, and its code.

The first layer is the machine's (``machine_image``), made once and shared; the second one is the handler's. What is
made has a name by what is in it, so that nothing is made twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, Any

import structlog

from springtide.provider.containers import container_labels, image_archive, machine_image
from springtide.provider.containers.engine.client import Engine, Image
from springtide.provider.containers.machine_image import HOME, MachinePython
from springtide.provider.machine.records import Pinned
from springtide.provider.process import templates
from springtide.provider.process.launches import Placed
from springtide.provider.process.pinning import Pinning
from springtide.provider.process.templates import Language
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import Unavailable
from springtide.runtime.keyed_locks import KeyedLocks
from springtide.scaler.core.label_names import HANDLER, LANG

CODE = f"{HOME}/function"
PLACE, UNFINISHED = "machine-image", ".new"
"""The folder of the layer that is the machine's, and what it is called while it is written."""
MAX_BUILDS = 2
"""At once; each is a file of some 100 MB for a moment."""
COMPILE_S = 300.0
PIECE_BYTES = 256 << 10

_log = structlog.get_logger()


class HandlerImages:
    """``folder`` is the provider's; ``suite`` is part of each image's name."""

    def __init__(self, engine: Engine, pinning: Pinning, suite: str, folder: Path) -> None:
        self._engine, self._pinning, self._suite, self._place = engine, pinning, suite, folder / PLACE
        self._making: KeyedLocks[str] = KeyedLocks()
        self._places = asyncio.Semaphore(MAX_BUILDS)

    def __repr__(self) -> str:
        return f"<HandlerImages of {self._suite}>"

    async def open(self, now: float) -> None:
        """Raises BadInput for folders that cannot be made."""
        await self._pinning.open(now)

    async def close(self) -> None:
        await self._pinning.close()

    async def prune(self) -> None:
        """What images were made of is not needed any more."""
        await self._pinning.prune()

    async def of(self, spec: FunctionSpec) -> Image:
        """Made now, unless it is there. Raises BadInput with what is wrong with the handler."""
        pinned = await self._pinning.pin(spec)
        placed = self._pinning.stores.placed(pinned)
        python = await asyncio.to_thread(machine_image.known, placed.environment.python)
        name = f"{name_of(self._suite)}:{_key(pinned, python)}"
        async with self._places, self._making.of(name):
            there = await self._engine.image(name)
            if there is not None:
                return there
            _log.info("making an image of a handler", image=name, function=str(spec.ref))
            with await self._of_machine(python) as machine:
                await self._make(name, machine, placed)
            made = await self._engine.image(name)
        if made is None:
            raise Unavailable(f"image {name}: it was made and is gone again; deploy the function once more")
        return made

    async def _of_machine(self, python: MachinePython) -> IO[bytes]:
        async with self._making.of(PLACE):
            return await asyncio.to_thread(_opened, self._place, python)

    async def _make(self, name: str, machine: IO[bytes], placed: Placed) -> None:
        runs = _runs(placed, {container_labels.IMAGE_SUITE: self._suite})
        with tempfile.TemporaryFile(dir=self._place) as layer, tempfile.TemporaryFile(dir=self._place) as archive:
            await asyncio.to_thread(_write, archive, name, (machine, layer), placed, runs)
            await self._engine.load(_pieces(archive))


def name_of(suite: str) -> str:
    """Of all that are made here, without their tags."""
    return f"localhost/springtide/{suite}-function"


def is_made_here(spec: FunctionSpec) -> bool:
    """Whether an image is made of what was deployed; handlers of other languages have to bring one along."""
    lang = spec.annotations.get(LANG, "")
    return bool(spec.annotations.get(HANDLER)) and templates.of_handler(lang).language is Language.PYTHON


def _key(pinned: Pinned, python: MachinePython) -> str:
    told = [python.key, pinned.code, pinned.environment, pinned.lang]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:20]


def _opened(place: Path, python: MachinePython) -> IO[bytes]:
    """The machine's layer, made unless it is there; those of other interpreters go, or of what this one was before."""
    file, new = place / f"{python.key}.tar", place / UNFINISHED
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        if not file.exists():
            with new.open("wb") as to:
                machine_image.write(python, to)
            for old in place.glob("*.tar"):
                old.unlink()
            new.rename(file)
        return file.open("rb")
    except OSError as error:
        raise Unavailable(f"{error.filename or place}: {error.strerror}; no image was made") from error


def _write(
    archive: IO[bytes], name: str, layers: tuple[IO[bytes], IO[bytes]], placed: Placed, runs: Mapping[str, Any]
) -> None:
    """The environment at its own path, which its programs name; the code where templates have it."""
    assert placed.code is not None
    _compile(placed.environment.python, [placed.environment.folder, placed.code])
    try:
        with tarfile.open(fileobj=layers[1], mode="w") as tar:
            machine_image.add_places(tar)
            machine_image.add(tar, placed.environment.folder)
            machine_image.add(tar, placed.code, CODE)
        image_archive.write(archive, name, [image_archive.layer_of(layer) for layer in layers], runs)
    except OSError as error:
        raise Unavailable(f"{error.filename or name}: {error.strerror}; no image was made") from error


def _compile(python: Path, folders: list[Path]) -> None:
    """Once, and not at each start. What cannot be compiled is found out when it is imported."""
    command = [str(python), "-I", "-m", "compileall", "-q", *map(str, folders)]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(command, capture_output=True, timeout=COMPILE_S, check=False, env={})


def _runs(placed: Placed, labels: dict[str, str]) -> dict[str, Any]:
    python, user = placed.environment.python, machine_image.USER
    return {
        "Cmd": [str(python), "-m", "springtide.watchdog", CODE, placed.pinned.lang],
        "WorkingDir": f"/{machine_image.OWN}",
        "User": f"{user}:{user}",
        "Env": [f"HOME={HOME}", f"PATH={python.parent}:/usr/bin:/bin"],
        "Labels": labels,
    }


async def _pieces(archive: IO[bytes]) -> AsyncIterator[bytes]:
    archive.seek(0)
    while data := await asyncio.to_thread(archive.read, PIECE_BYTES):
        yield data
