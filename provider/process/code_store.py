"""The code of deployed functions: each version of a folder is copied once, under the hash of what is in it.

    code/SHA256/…     as deployed, and read-only: what a person edits afterwards is not deployed
    code/.new-…       a copy under way

What nothing refers to any more is removed after a grace.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from springtide.provider.process import hashed_folders, kernel
from springtide.provider.process.hashed_folders import GRACE_S, UNFINISHED, remove_tree
from springtide.runtime.errors import BadInput, Unavailable

MAX_ENTRIES, MAX_BYTES, MAX_DEPTH = 20_000, 1 << 30, 32
"""Of one version: files and folders, bytes together, folders inside each other."""
MAX_SYNCED_FILES = 50
"""Brought to the disk one by one; more by all that its file system has to write."""

SKIPPED = frozenset({".git", ".hg", ".svn", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox"})
"""Folders that are never part of a version; nor are virtual environments, which have a ``pyvenv.cfg``."""

_READ_BYTES = 1 << 20
_READ_ONLY_FOLDER, _READ_ONLY_FILE, _READ_ONLY_PROGRAM = 0o555, 0o444, 0o555


class CodeStore:
    """Safe to use from several threads; everything here blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __repr__(self) -> str:
        return f"<CodeStore {self._folder}>"

    def open(self) -> None:
        """Make the folder, and remove what was being copied when somebody was killed. Raises OSError."""
        hashed_folders.open_store(self._folder)

    def add(self, folder: Path) -> str:
        """Copy a folder, and return the hash of the copy, which is there already when nothing changed.

        Raises BadInput for what cannot be a version (too much of it, a link that leads out), Unavailable when the copy
        cannot be written.
        """
        if not folder.is_dir():
            raise BadInput(f"{folder}: there is no such folder on this machine")
        new = None
        try:
            new = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self._folder))
            version = _Copy(folder, new).made()
            return self._settled(new, version)
        except OSError as error:
            raise Unavailable(f"{error.filename or folder}: {error.strerror}; the code was not copied") from error
        finally:
            if new is not None:
                remove_tree(new)

    def path(self, version: str) -> Path:
        """Where a version is. Raises BadInput when it is not there."""
        path = self._folder / version
        if not version.isalnum() or not path.is_dir():
            raise BadInput(f"the code of version {version[:12]!r} is not there any more; deploy the function again")
        return path

    def prune(self, kept: Collection[str], *, grace_s: float = GRACE_S) -> list[str]:
        """Remove every version that is not kept and was not added just now; returns their hashes."""
        return hashed_folders.prune(self._folder, kept, grace_s=grace_s)

    def _settled(self, new: Path, version: str) -> str:
        path = self._folder / version
        if not path.is_dir():
            _make_durable(new)
            with contextlib.suppress(FileExistsError):
                new.rename(path)
        os.utime(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return version


class _Copy:
    """One folder on its way to another, hashed as it is copied: the name of the copy is that of what is in it."""

    def __init__(self, source: Path, target: Path) -> None:
        self._root, self._source, self._target = source.resolve(), source, target
        self._hash = hashlib.sha256()
        self._entries, self._bytes = 0, 0

    def made(self) -> str:
        self._folder("", 0)
        return self._hash.hexdigest()

    def _folder(self, name: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise BadInput(f"{self._source / name}: more than {MAX_DEPTH} folders inside each other; deploy less")
        python = False
        for entry in _sorted_entries(self._source / name):
            inner = f"{name}/{entry.name}" if name else entry.name
            self._entries += 1
            if self._entries > MAX_ENTRIES:
                raise BadInput(f"{self._source}: more than {MAX_ENTRIES} files; deploy the function's own folder")
            if entry.is_symlink():
                self._link(inner)
            elif entry.is_dir():
                self._tell("folder", inner)
                (self._target / inner).mkdir()
                self._folder(inner, depth + 1)
            elif entry.is_file():
                self._file(inner)
                python = python or inner.endswith(".py")
        place = self._target / name
        if python:
            # The one place that replicas write to: compiled once, by whichever interpreter it is.
            (place / "__pycache__").mkdir(exist_ok=True)
        place.chmod(_READ_ONLY_FOLDER)

    def _file(self, name: str) -> None:
        with (self._source / name).open("rb") as source, (self._target / name).open("wb") as target:
            mode = os.fstat(source.fileno())
            program = bool(mode.st_mode & stat.S_IXUSR)
            self._tell("program" if program else "file", name)
            while data := source.read(_READ_BYTES):
                self._bytes += len(data)
                if self._bytes > MAX_BYTES:
                    raise BadInput(f"{self._source}: more than {MAX_BYTES >> 20} MiB; deploy the function's own folder")
                self._hash.update(b"%d:" % len(data) + data)
                target.write(data)
            target.flush()
            os.fchmod(target.fileno(), _READ_ONLY_PROGRAM if program else _READ_ONLY_FILE)
            os.utime(target.fileno(), ns=(mode.st_mtime_ns, mode.st_mtime_ns))

    def _link(self, name: str) -> None:
        """Kept as a link, relative, so that it leads to the copy of what it leads to."""
        link = self._source / name
        leads_to = Path(os.path.normpath(link.parent.resolve() / link.readlink()))
        if not leads_to.is_relative_to(self._root):
            raise BadInput(f"{link} leads to {leads_to}, out of the folder that is deployed; copy the file into it")
        words = os.path.relpath(leads_to, (self._root / name).parent)
        self._tell("link", name, words)
        (self._target / name).symlink_to(words)

    def _tell(self, *words: str) -> None:
        self._hash.update(b"\0".join(os.fsencode(word) for word in words) + b"\0\n")


def _make_durable(folder: Path) -> None:
    """Everything in it is on the disk. Many files are not worth a wait each."""
    files = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    if len(files) > MAX_SYNCED_FILES:
        kernel.sync_file_system(folder)
        return
    for file in files:
        if not file.is_symlink():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


def _sorted_entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        skipped = entry.name in SKIPPED or (Path(entry.path) / "pyvenv.cfg").is_file()
        if not (skipped and entry.is_dir(follow_symlinks=False)):
            yield entry
