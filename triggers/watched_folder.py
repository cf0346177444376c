"""A folder whose files are complete at some time: found, lent to one reader at a time, and taken away. Blocks, and
belongs into a thread.

A file is complete once it has not changed for a while, and nobody has it open for writing. The latter the system tells
by a lease (``F_SETLEASE``, fcntl(2)) on Linux's own file systems, of files that are ours or where we are root;
elsewhere only the former is known. Looking again and again sees what notices of changes do not: files that were there
before, network file systems, and what an overflow of notices lost. Of several copies on one machine one has a file, by
``flock``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import signal
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from springtide.runtime.errors import BadInput

DONE = "done"
"""The folder inside it for files that are done with, unless they are deleted."""
MAX_FILES = 10_000
"""That one look considers; the others have their turn when these are gone."""
MAX_LOOK_BYTES = 16 * 1024 * 1024
"""After so much one look reads no further file."""
_FATAL = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""They say nothing of the file."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """By which a file is known to be what it was."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRules:
    """``match``: patterns of names, one of which a file has to have."""

    match: tuple[str, ...]
    settle_s: float
    max_bytes: int
    delete: bool


@dataclass(frozen=True, slots=True)
class LentFile:
    """Nobody else has it while its ``descriptor`` is open."""

    name: str
    stamp: Stamp
    body: bytes
    descriptor: int


@dataclass(slots=True)
class Look:
    """What one found. ``left``: names that lie there and are no events, and why; each is told once."""

    files: list[LentFile] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)


class WatchedFolder:
    """All that raise here raise OSError, but for ``check``. ``look`` is for one thread at a time."""

    def __init__(self, path: Path, rules: FolderRules) -> None:
        self.path = path
        self._rules = rules
        self._seen: dict[str, tuple[Stamp, float]] = {}
        """What each was at the last look, and since when."""
        self._ready: deque[str] = deque()
        self._lent: set[str] = set()
        self._over: dict[str, Stamp] = {}
        """Done with, and could not be taken away."""
        self._left: dict[str, Stamp] = {}
        """Told of as no events."""

    def __repr__(self) -> str:
        return f"<WatchedFolder {self.path}, {len(self._ready)} ready, {len(self._lent)} lent>"

    @property
    def waiting(self) -> int:
        """Files that are not lent, as of the last look, complete or not."""
        return len(self._seen.keys() - self._lent)

    def check(self) -> None:
        """Raises BadInput where files cannot be found here, or not be taken away."""
        if not self.path.is_dir():
            what = "it is no folder; name one" if self.path.exists() else "there is no such folder; create it"
            raise BadInput(f"path: {self.path}: {what}")
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise BadInput(f"path: {self.path}: files that are done with are taken away: make it readable and writable")
        if not self._rules.delete:
            try:
                (self.path / DONE).mkdir(exist_ok=True)
            except OSError as error:
                remedy = "make it a folder to write to, or write after: delete"
                raise BadInput(f"path: {self.path / DONE}: {error.strerror}; {remedy}") from error

    def look(self, now: float, limit: int) -> Look:
        """At most ``limit`` files, the oldest first. ``now`` in seconds of a clock that only goes forward."""
        look = Look()
        for name, stamp in list(self._over.items()):
            self._take_away(name, stamp)
            del self._over[name]
        if not self._ready:
            self._scan(now)
        read = 0
        while self._ready and len(look.files) < limit and read < MAX_LOOK_BYTES:
            name = self._ready.popleft()
            stamp = self._seen[name][0]
            try:
                file = self._lend(name, stamp)
            except _LeftError as error:
                self._left[name] = stamp
                look.left.append((name, str(error)))
                continue
            if file is not None:
                look.files.append(file)
                read += len(file.body)
        return look

    def release(self, file: LentFile) -> None:
        """It may be lent again."""
        self._lent.discard(file.name)
        os.close(file.descriptor)

    def take_away(self, file: LentFile) -> None:
        """One that was written anew meanwhile stays, as another one. What fails is tried again at each look, and the
        file is not lent again."""
        try:
            self._take_away(file.name, file.stamp)
        except OSError:
            self._over[file.name] = file.stamp
            raise
        self._seen.pop(file.name, None)

    def _scan(self, now: float) -> None:
        seen: dict[str, tuple[Stamp, float]] = {}
        left: dict[str, Stamp] = {}
        for name, stamp in self._files():
            if self._left.get(name) == stamp:
                left[name] = stamp
                continue
            before = self._seen.get(name)
            seen[name] = before if before is not None and before[0] == stamp else (stamp, now)
            if len(seen) >= MAX_FILES or len(left) >= MAX_FILES:
                break
        self._seen, self._left = seen, left
        settled = [
            name for name, (_, since) in seen.items() if now - since >= self._rules.settle_s and name not in self._lent
        ]
        self._ready.extend(sorted(settled, key=lambda name: (seen[name][0].modified_ns, name)))

    def _files(self) -> Iterator[tuple[str, Stamp]]:
        """Hidden ones are none: so producers hide what is not complete. Neither are links, which lead elsewhere."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not any(fnmatchcase(entry.name, one) for one in self._rules.match):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode):
                        yield entry.name, Stamp.of(found)

    def _lend(self, name: str, stamp: Stamp) -> LentFile | None:
        """None where somebody else has it, or it is not what it was. Raises _LeftError."""
        if stamp.size > self._rules.max_bytes:
            raise _LeftError(f"it has {stamp.size} bytes, more than max_bytes ({self._rules.max_bytes})")
        try:
            descriptor = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _left_or(error) from error
        try:
            body = self._read(name, stamp, descriptor)
        except OSError as error:
            os.close(descriptor)
            raise _left_or(error) from error
        if body is None:
            os.close(descriptor)
            return None
        self._lent.add(name)
        return LentFile(name, stamp, body, descriptor)

    def _read(self, name: str, stamp: Stamp, descriptor: int) -> bytes | None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it before may just have taken it away.
            if Stamp.of(os.lstat(self.path / name)) != stamp or _is_written(descriptor):
                return None
        except (BlockingIOError, FileNotFoundError):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            body = file.read(stamp.size + 1)
        return body if len(body) == stamp.size and Stamp.of(os.fstat(descriptor)) == stamp else None

    def _take_away(self, name: str, stamp: Stamp) -> None:
        path = self.path / name
        target = self.path / f".springtide-{secrets.token_hex(8)}" if self._rules.delete else self._done(name, stamp)
        try:
            if Stamp.of(os.lstat(path)) != stamp:
                return
            path.rename(target)
        except FileNotFoundError:
            if not target.parent.is_dir():
                raise
            return
        # A producer may have put another one in its place in that very moment.
        if Stamp.of(os.lstat(target)) != stamp and not path.exists():
            target.rename(path)
        elif self._rules.delete:
            target.unlink(missing_ok=True)

    def _done(self, name: str, stamp: Stamp) -> Path:
        """One of that name is there already, if the name came before."""
        target = self.path / DONE / name
        if target.exists():
            short = os.fsdecode(os.fsencode(name)[:200])
            target = target.with_name(f"{short}.{stamp.modified_ns}")
        return target if not target.exists() else target.with_name(f"{target.name}.{secrets.token_hex(4)}")


class _LeftError(Exception):
    """A file lies there and is no event. The text says why."""


def _left_or(error: OSError) -> Exception:
    return error if error.errno in _FATAL else _LeftError(f"it cannot be read: {error.strerror}")


def _is_written(descriptor: int) -> bool:
    """Whether somebody has it open for writing, as far as the system tells."""
    lease, at_break = getattr(fcntl, "F_SETLEASE", None), getattr(fcntl, "F_SETSIG", None)
    if lease is None or at_break is None:
        return False
    try:
        # Who opens the file just now ends the lease, and we are sent a signal: by default one that would end us.
        fcntl.fcntl(descriptor, at_break, signal.SIGURG)
        fcntl.fcntl(descriptor, lease, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, lease, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False
