"""A function's log on disk: two files, the older one dropped when the newer is half the limit. One writer: the host.

Each line is ``<seconds since the epoch> <instance> <text>``. Readers need no lock: lines are appended whole, and a
rotation is a rename, which a reader that keeps the file open does not notice until it looks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from springtide.watchdog.log import LINE_BEGINS

CURRENT, PREVIOUS = "current.log", "previous.log"
MAX_LINE_BYTES = 16_384
"""A longer line is written in pieces, so that output without line ends is neither held back nor unbounded."""


@dataclass(frozen=True, slots=True)
class StoredLine:
    at: float
    instance: str
    text: str


class LogWriter:
    """Appends lines; synchronous, for the host's loop. A full disk loses log lines, never a function."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit = folder, limit_bytes
        self._fd, self._size = -1, 0
        with contextlib.suppress(OSError):
            self._open()

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self._folder / CURRENT, flags, 0o600)
        self._size = os.fstat(self._fd).st_size

    def append(self, instance: str, lines: list[bytes], at: float) -> None:
        head, waiting = f"{at:.6f} {instance} ".encode(), bytearray()
        with contextlib.suppress(OSError):
            if self._fd < 0:
                self._open()
            for line in lines:
                entry = head + line + b"\n"
                if self._size + len(waiting) + len(entry) > self._limit // 2 and self._size + len(waiting):
                    self._write(waiting)
                    waiting = bytearray()
                    self._rotate()
                waiting += entry
            self._write(waiting)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def _write(self, data: bytearray) -> None:
        self._size += os.write(self._fd, data)

    def _rotate(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # moved before, when no new one could be made
            (self._folder / CURRENT).replace(self._folder / PREVIOUS)
        full = self._fd
        self._open()
        os.close(full)


class LineSplitter:
    """Cuts a stream of bytes into lines, and remembers what was said last."""

    def __init__(self) -> None:
        self._rest = b""
        self._programs = self._watchdogs = ""

    @property
    def last(self) -> str:
        """The program's last line that said something, and what the watchdog said after it: of a program that cannot
        start only the first tells why.
        """
        return "; ".join(filter(None, (self._programs, self._watchdogs)))

    def feed(self, data: bytes) -> list[bytes]:
        *whole, rest = (self._rest + data).split(b"\n")
        *before, (rest, watchdogs) = _lines_in(rest)
        *full, rest = _pieces(rest)
        # The mark stays until the line's end is here: it says whose line it is.
        self._rest = LINE_BEGINS + rest if watchdogs and not full else rest
        ended = [line for text in whole for line in _lines_in(text)]
        return self._noted([*ended, *before, *((piece, watchdogs) for piece in full)])

    def end(self) -> list[bytes]:
        """What came without a line end."""
        rest, self._rest = self._rest, b""
        return self._noted(_lines_in(rest) if rest not in (b"", LINE_BEGINS) else [])

    def _noted(self, lines: list[tuple[bytes, bool]]) -> list[bytes]:
        self._remember([line for line in lines if line[0].strip()])
        return [piece for line, _ in lines for piece in _pieces(line)]

    def _remember(self, lines: list[tuple[bytes, bool]]) -> None:
        after = ""
        for line, watchdogs in reversed(lines):
            if not watchdogs:
                self._programs, self._watchdogs = _shown(line), after
                return
            after = after or _shown(line)
        self._watchdogs = after or self._watchdogs


def _shown(line: bytes) -> str:
    return line[:300].decode(errors="replace").strip()


def _lines_in(text: bytes) -> list[tuple[bytes, bool]]:
    """With whether it is the watchdog's. Ends what a program wrote without a line end where one of those begins."""
    if LINE_BEGINS not in text:
        return [(text, False)]
    before, *own = text.split(LINE_BEGINS)
    return [*([(before, False)] if before else []), *((line, True) for line in own)]


def _pieces(line: bytes) -> list[bytes]:
    return [line[at : at + MAX_LINE_BYTES] for at in range(0, len(line), MAX_LINE_BYTES)] or [line]


class LogReader:
    """Reads what is kept, then, call by call, what came since. Blocking, but only on files just written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rest = b""
        self._file: BinaryIO | None = None
        with contextlib.suppress(FileNotFoundError):
            self._file = (folder / CURRENT).open("rb")

    def kept(self) -> list[StoredLine]:
        """The older file and the current one, up to now."""
        older = b""
        with contextlib.suppress(FileNotFoundError):
            older = (self._folder / PREVIOUS).read_bytes()
            if self._file is not None and _same(self._file.fileno(), self._folder / PREVIOUS):
                older = b""  # Rotated between the opening and the reading.
        return [*parse(older), *self.more()]

    def more(self) -> list[StoredLine]:
        """Lines appended since the last call."""
        lines = list(self._read())
        if self._file is None or not _same(self._file.fileno(), self._folder / CURRENT):
            with contextlib.suppress(FileNotFoundError):
                following = (self._folder / CURRENT).open("rb")
                lines += self._read()  # What came between our read and the rename.
                lines += self._skipped()
                self.close()
                self._file = following
                lines += self._read()
        return lines

    def _skipped(self) -> list[StoredLine]:
        """The older file, if it was rotated in and out of use between two calls."""
        previous = self._folder / PREVIOUS
        if self._file is None or _same(self._file.fileno(), previous) or not previous.exists():
            return []
        return list(parse(previous.read_bytes()))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _read(self) -> Iterator[StoredLine]:
        if self._file is not None:
            whole, newline, self._rest = (self._rest + self._file.read()).rpartition(b"\n")
            yield from parse(whole + newline)


def parse(data: bytes) -> Iterator[StoredLine]:
    for line in data.split(b"\n"):
        at, _, rest = line.partition(b" ")
        instance, _, text = rest.partition(b" ")
        with contextlib.suppress(ValueError):
            yield StoredLine(float(at), instance.decode(errors="replace"), text.decode(errors="replace").rstrip("\r"))


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _same(fd: int, path: Path) -> bool:
    try:
        there, here = path.stat(), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev)
