"""The state folder: functions, namespaces and secrets as files, written whole, in the order asked for.

functions/NAME.NAMESPACE.json    namespaces/NAME.json    secrets/NAMESPACE/NAME
mounts/NAMESPACE/UID-GENERATION/NAME   the secrets of one generation of a function, as its replicas see them
work/UID/   logs/UID/            a function's working folder and its log
host.sock, host.lock, host.log, provider.lock, stage/
code/, environments/, images/, node/, builds/, templates/   of code_store, environments, local_images, builder, library
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from springtide.provider.machine import records
from springtide.provider.machine.log_files import CURRENT, PREVIOUS
from springtide.provider.machine.records import FunctionRecord
from springtide.provider.ports import Namespace
from springtide.runtime.errors import BadInput, Unavailable
from springtide.runtime.files import make_way, read_json, read_whole, set_aside, write_atomic
from springtide.scaler.core.vocabulary import FunctionRef, Instant

T = TypeVar("T")
_log = structlog.get_logger()

MADE_WHEN_USED = ("code", "environments", "images", "builds", "node", "templates")
"""Folders of the code and environment stores and of the builder."""
LOCK_TRIES, LOCK_PAUSE_S = 10, 0.1
"""A provider that was killed just now may not be quite gone."""


def secrets_folder(folder: Path, namespace: str) -> Path:
    """Where, below a provider's folder, the values are."""
    return folder / "secrets" / namespace


@dataclass(frozen=True, slots=True)
class MountRule:
    """How replicas see secrets. ``file_mode`` beyond the owner is for those that are other users, in a folder that only
    they are shown; ``hidden`` tells values that are not theirs to see."""

    file_mode: int = 0o600
    hidden: Callable[[bytes], bool] = lambda _: False

    @property
    def folder_mode(self) -> int:
        """Who may read a file may look into its folder."""
        return self.file_mode | (self.file_mode & 0o444) >> 2


class StateFiles:
    """One thread does all the writing, so that two writes of one file never change places."""

    def __init__(self, folder: Path, mounts: MountRule = MountRule()) -> None:
        self.folder = folder.absolute()
        self._mounts = mounts
        self._writer = ThreadPoolExecutor(1, "state")
        self._lock: int | None = None

    def __repr__(self) -> str:
        return f"<StateFiles {self.folder} {'locked' if self._lock is not None else 'closed'}>"

    # Where things are.

    def secrets(self, namespace: str) -> Path:
        return secrets_folder(self.folder, namespace)

    def mount(self, record: FunctionRecord) -> Path:
        return self._mount(record, record.generation)

    def _mount(self, record: FunctionRecord, generation: int) -> Path:
        return self.folder / "mounts" / record.ref.namespace / f"{record.uid}-{generation}"

    def copies(self, namespace: str, secret: str) -> list[Path]:
        """The files of a secret in all mounts of its namespace."""
        return list((self.folder / "mounts" / namespace).glob(f"*/{secret}"))

    def work(self, record: FunctionRecord) -> Path:
        return self.folder / "work" / record.uid

    def log(self, record: FunctionRecord) -> Path:
        return self.folder / "logs" / record.uid

    def had(self, record: FunctionRecord) -> bool:
        """It is kept here, or was deleted and not swept yet: something of it may still run."""
        return self.work(record).is_dir()

    # Life.

    async def open(self, now: Instant) -> None:
        """Make the folder ours. Raises Unavailable when another provider has it, BadInput when it cannot be used."""
        try:
            for name in ("functions", "namespaces", "secrets", "mounts", "work", "logs", "stage"):
                _make_place(self.folder / name, now)
            for name in MADE_WHEN_USED:
                clear_way(self.folder / name, now, folder=True)
            self.folder.chmod(0o700)
            clear_way(self.folder / "provider.lock", now)
            self._lock = os.open(self.folder / "provider.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadInput(f"{error.filename}: {error.strerror}; choose a state folder that can be written") from error
        for _ in range(LOCK_TRIES):
            if _locked(self._lock):
                return
            await asyncio.sleep(LOCK_PAUSE_S)
        self.close()
        raise Unavailable(f"{self.folder}: another provider uses this state folder; stop it or choose another folder")

    def close(self) -> None:
        self._writer.shutdown()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # Functions.

    def functions(self, now: Instant) -> list[FunctionRecord]:
        return records.load_all(self.folder / "functions", now)

    async def save(self, record: FunctionRecord) -> None:
        """Durable when this returns. Raises Unavailable."""
        file = self.folder / "functions" / records.file_name(record.ref)
        await self._write(write_atomic, file, json.dumps(record.to_json(), indent=1).encode())

    async def forget(self, ref: FunctionRef) -> None:
        """What was set aside of it goes, too: it would be listed again at the next start."""
        folder = self.folder / "functions"
        await self._write(_unlink, [folder / records.file_name(ref), *records.damaged_files(folder, ref)])

    async def sweep(self, record: FunctionRecord) -> None:
        """Remove what a deleted function's replicas needed, once the last of them is gone."""
        folders = [self.work(record), self.log(record), *self.folder.glob(f"mounts/*/{record.uid}-*")]
        await self._write(_remove, folders)

    def sweep_strangers(self, uids: set[str]) -> None:
        """Remove the folders of functions that are no more; for the start, when nothing runs in them."""
        folders = [*self.folder.glob("work/*"), *self.folder.glob("logs/*"), *self.folder.glob("mounts/*/*")]
        _remove([folder for folder in folders if folder.name.partition("-")[0] not in uids])

    # Namespaces.

    def namespaces(self, now: Instant) -> list[Namespace]:
        """Of one whose file is damaged, and set aside, only the name is left, and that it is for functions."""
        return [_namespace(file, now) for file in sorted((self.folder / "namespaces").glob("[!.]*.json"))]

    async def save_namespace(self, namespace: Namespace) -> None:
        file = self.folder / "namespaces" / f"{namespace.name}.json"
        await self._write(write_atomic, file, _namespace_json(namespace))

    async def forget_namespace(self, name: str) -> None:
        await self._write(_unlink, [self.folder / "namespaces" / f"{name}.json"])
        await self._write(_remove, [self.secrets(name)])

    # Secrets.

    def missing_secrets(self, record: FunctionRecord) -> list[str]:
        """The names of those that the record's function asks for and that are not there."""
        folder = self.secrets(record.ref.namespace)
        return sorted(name for name in set(record.spec.secrets) if not (folder / name).is_file())

    async def write_secret(self, files: list[Path], value: bytes) -> None:
        """The same value into each file: of mounts as their rule says, of others readable by the owner only."""
        seen = [file for file in files if file.is_relative_to(self.folder / "mounts")]
        await self._write(_write_secret, [file for file in files if file not in seen], value)
        if not self._mounts.hidden(value):
            await self._write(_write_secret, seen, value, self._mounts)

    async def remove_files(self, files: list[Path]) -> None:
        await self._write(_unlink, files)

    async def make_mount(self, record: FunctionRecord) -> None:
        """A folder with exactly the secrets of the record's generation, and a working folder. Raises Unavailable."""
        source, mount, log = self.secrets(record.ref.namespace), self.mount(record), self.log(record)
        folders, files = (mount.parent, mount, self.work(record), log), (log / CURRENT, log / PREVIOUS)
        await self._write(_clear_ways, folders, files)
        await self._write(_make_mount, mount, source, record.spec.secrets, self._mounts)
        await self._write(_make_folder, self.work(record))

    async def remove_mount(self, record: FunctionRecord, generation: int) -> None:
        await self._write(_remove, [self._mount(record, generation)])

    async def _write(self, work: Callable[..., T], *arguments: Any) -> T:
        """Off the loop. Shielded: a caller who gives up does not leave memory and disk apart."""
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.shield(loop.run_in_executor(self._writer, work, *arguments))
        except OSError as error:
            raise Unavailable(f"{error.filename or self.folder}: {error.strerror}; the state was not saved") from error


def clear_way(path: Path, now: float, *, folder: bool = False) -> None:
    """Set aside what is no file, or no folder, where one of ours is to be. Raises OSError."""
    if where := make_way(path, now, folder=folder):
        _log.error("something else was in the place of one of ours", path=str(path), set_aside_as=str(where))


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _namespace(file: Path, now: Instant) -> Namespace:
    name = file.name.removesuffix(".json")
    try:
        value: Any = read_json(file)
        _check_namespace(value)
        return Namespace(name, value["labels"], value["annotations"])
    except (BadInput, OSError) as error:
        namespace = Namespace(name, {"openfaas": "1"}, {})
        where: Path | None = None
        with contextlib.suppress(OSError):
            where = set_aside(file, now)
            write_atomic(file, _namespace_json(namespace))
        _log.error(
            "a namespace's file is damaged; its labels and annotations are lost: restore the file from a copy and "
            "restart, or set them again",
            namespace=name,
            why=str(error),
            set_aside_as=str(where),
        )
        return namespace


def _check_namespace(value: Any) -> None:
    parts = [value.get(key) for key in ("labels", "annotations")] if isinstance(value, dict) else [None]
    if not all(isinstance(part, dict) and all(isinstance(text, str) for text in part.values()) for part in parts):
        raise BadInput("not a namespace's state")


def _namespace_json(namespace: Namespace) -> bytes:
    value = {"labels": dict(namespace.labels), "annotations": dict(namespace.annotations)}
    return json.dumps(value, indent=1).encode()


def _write_secret(files: list[Path], value: bytes, rule: MountRule = MountRule()) -> None:
    for file in files:
        file.parent.mkdir(mode=rule.folder_mode, exist_ok=True)
        write_atomic(file, value, mode=rule.file_mode)


def _clear_ways(folders: tuple[Path, ...], files: tuple[Path, ...]) -> None:
    for paths, are_folders in ((folders, True), (files, False)):
        for path in paths:
            clear_way(path, time.time(), folder=are_folders)


def _make_mount(mount: Path, source: Path, names: tuple[str, ...], rule: MountRule) -> None:
    mount.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mount.mkdir(mode=0o700, exist_ok=True)
    mount.chmod(rule.folder_mode)  # whatever the umask says
    shown = set()
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            value = read_whole(source / name)
            if rule.hidden(value):
                continue
            shown.add(name)
            if not _holds(mount / name, value):  # A start on a full disk has nothing to write.
                _write_secret([mount / name], value, rule)
    _unlink([file for file in mount.iterdir() if file.name not in shown])


def _holds(file: Path, value: bytes) -> bool:
    try:
        return read_whole(file) == value
    except OSError:
        return False


def _make_place(folder: Path, now: Instant) -> None:
    """With what is no folder set aside: nothing of ours is in it."""
    clear_way(folder, now, folder=True)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)


def _unlink(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
