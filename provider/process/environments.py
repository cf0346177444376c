"""Python environments of functions: built once for the same requirements and interpreter, shared, and never changed.

    environments/KEY/             an environment that is whole: bin/python, what is installed, environment.json
    environments/.new-KEY-…       one that is being built
    environments/.cache/          what the installer has downloaded, linked into the environments

KEY is a hash of the requirements, the interpreter and the platform. Handlers without requirements share one that is
empty: the machine's own Python without anything that is installed for it, or for us. What nothing refers to any more is
removed after a grace.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from springtide.provider.process import environment_build, hashed_folders, interpreters, kernel
from springtide.provider.process.environment_build import Tell, size_of
from springtide.provider.process.hashed_folders import GRACE_S, UNFINISHED, remove_tree
from springtide.provider.process.installer import installer
from springtide.provider.process.interpreters import Interpreter
from springtide.provider.process.requirements import Wanted
from springtide.runtime.errors import BadInput, TooMany, Unavailable

MAX_WAITING = 100
"""Builds that wait for their turn."""
_CACHE, _META = ".cache", "environment.json"
_MAX_SCRIPT_BYTES = 1 << 20

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Environment:
    """One that is whole. ``python`` is its interpreter: a program."""

    key: str
    python: Path

    @property
    def folder(self) -> Path:
        return self.python.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildBounds:
    timeout_s: float = 600.0
    max_bytes: int = 4 << 30
    """Of one environment."""
    at_once: int = 2


@dataclass(slots=True, eq=False)
class _Building:
    """A build under way and those who hear of it."""

    task: asyncio.Task[Environment]
    listeners: list[Tell] = field(default_factory=list)

    def tell(self, line: str) -> None:
        for listener in self.listeners:
            listener(line)


def _nobody(_line: str) -> None:
    pass


class Environments:
    """``operator`` is the environment whose settings of uv and pip count; ``search`` is as PATH, for interpreters."""

    def __init__(self, folder: Path, bounds: BuildBounds, operator: Mapping[str, str], *, search: str) -> None:
        self._folder, self._bounds, self._operator, self._search = folder, bounds, operator, search
        self._building: dict[str, _Building] = {}
        self._places = asyncio.Semaphore(bounds.at_once)

    def __repr__(self) -> str:
        return f"<Environments {self._folder} {len(self._building)} being built>"

    def open(self) -> None:
        """Make the folder, and remove what was being built when somebody was killed. Raises OSError."""
        hashed_folders.open_store(self._folder)

    async def ensure(self, wanted: Wanted, tell: Tell = _nobody) -> Environment:
        """The environment, which is there already or is built now; ``tell`` gets each line of progress.

        Raises BadInput with the installer's own words, TooMany when too many builds wait, Unavailable when the disk is
        full, say. A caller who gives up does not end the build: the next one finds it.
        """
        interpreter = await asyncio.to_thread(interpreters.choose, wanted.python, self._search)
        key = _key(wanted, interpreter)
        there = self._there(key)
        if there is not None:
            return there
        building = self._building.get(key)
        if building is None:
            if len(self._building) >= MAX_WAITING:
                raise TooMany(f"{MAX_WAITING} environments are waiting to be built; try again later")
            building = _Building(asyncio.create_task(self._build(key, wanted, interpreter), name=f"environment {key}"))
            self._building[key] = building
            building.task.add_done_callback(lambda task: self._built(key, task))
        building.listeners.append(tell)
        try:
            return await asyncio.shield(building.task)
        finally:
            building.listeners.remove(tell)

    def get(self, key: str) -> Environment:
        """One that was built. Raises BadInput when it is not there any more."""
        there = self._there(key)
        if there is None:
            raise BadInput(f"the Python environment {key[:12]!r} is not there any more; deploy the function again")
        return there

    def prune(self, kept: Collection[str], *, grace_s: float = GRACE_S) -> list[str]:
        """Remove each that is not kept and was not asked for just now; returns their keys. Blocks."""
        removed = hashed_folders.prune(self._folder, kept, grace_s=grace_s)
        cache = self._folder / _CACHE
        if removed and not self._building and size_of(cache) > self._bounds.max_bytes:
            remove_tree(cache)  # What environments have of it are links, which stay.
        return removed

    async def close(self) -> None:
        """End what is being built."""
        tasks = [building.task for building in self._building.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _there(self, key: str) -> Environment | None:
        """Whole, and its interpreter still on this machine."""
        folder = self._folder / key
        python = folder / "bin" / "python"
        if not key.isalnum() or not (folder / _META).is_file() or not os.access(python, os.X_OK):
            return None
        with contextlib.suppress(OSError):
            os.utime(folder)
        return Environment(key, python)

    def _built(self, key: str, task: asyncio.Task[Environment]) -> None:
        del self._building[key]
        if not task.cancelled():
            task.exception()  # Whoever asked has gone, perhaps: then nobody is told, and nothing is amiss.

    async def _build(self, key: str, wanted: Wanted, interpreter: Interpreter) -> Environment:
        if wanted.nothing:
            return await asyncio.to_thread(self._settled, self._new(key, interpreter), key, wanted)
        if self._places.locked():
            await asyncio.sleep(0)
            self._tell(key, f"waiting for {self._bounds.at_once} other builds (environment_builds)")
        async with self._places:
            self._tell(key, f"building environment ({wanted.shown}) for Python {interpreter.number}")
            began = time.monotonic()
            new = await asyncio.to_thread(self._new, key, interpreter)
            try:
                tool = installer(new / "bin" / "python", self._operator, cache=self._folder / _CACHE)
                await environment_build.install(
                    wanted,
                    new,
                    tool,
                    tell=lambda line: self._tell(key, line),
                    timeout_s=self._bounds.timeout_s,
                    max_bytes=self._bounds.max_bytes,
                )
                made = await asyncio.to_thread(self._settled, new, key, wanted)
            except OSError as error:
                raise Unavailable(f"{error.filename or self._folder}: {error.strerror}") from error
            finally:
                await asyncio.to_thread(remove_tree, new)
        _log.info("a Python environment was built", key=key, by=tool.name, seconds=round(time.monotonic() - began, 2))
        return made

    def _tell(self, key: str, line: str) -> None:
        if key in self._building:
            self._building[key].tell(line)

    def _new(self, key: str, interpreter: Interpreter) -> Path:
        try:
            folder = Path(tempfile.mkdtemp(prefix=f"{UNFINISHED}{key[:12]}-", dir=self._folder))
            environment_build.make_empty(folder, interpreter)
        except OSError as error:
            raise Unavailable(f"{error.filename or self._folder}: {error.strerror}") from error
        return folder

    def _settled(self, new: Path, key: str, wanted: Wanted) -> Environment:
        """Under its own name, which its programs are told; another one of that name was not whole."""
        if size_of(new) > self._bounds.max_bytes:
            raise BadInput(f"the environment takes more than {self._bounds.max_bytes >> 20} MiB (environment_size)")
        target = self._folder / key
        _rename_in_programs(new, target)
        if not wanted.nothing:
            kernel.sync_file_system(new)
        (new / _META).write_text(json.dumps({"requirements": wanted.requirements, "python": wanted.python}, indent=1))
        if target.exists():
            remove_tree(target)
        new.rename(target)
        return Environment(key, target / "bin" / "python")


def _rename_in_programs(new: Path, target: Path) -> None:
    """An installer writes the environment's place into the first line of each program."""
    old, own = os.fsencode(new), os.fsencode(target)
    for script in (new / "bin").iterdir():
        if script.is_symlink() or not script.is_file() or script.stat().st_size > _MAX_SCRIPT_BYTES:
            continue
        data = script.read_bytes()
        if data.startswith(b"#!") and old in data:
            mode = script.stat().st_mode
            script.unlink()  # It may be a link to what the installer keeps.
            script.write_bytes(data.replace(old, own))
            script.chmod(mode)


def _key(wanted: Wanted, interpreter: Interpreter) -> str:
    parts = [sorted(wanted.requirements), wanted.local, interpreter.path, interpreter.number, interpreter.platform]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]
