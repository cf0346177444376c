"""Output that never stands in the way: what a full disk, a closed pipe or a reader asleep does not take is lost.

A process that runs for long has better things to do than to die, or to wait, for the sake of a line.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from pathlib import Path
from typing import NoReturn, TextIO

MAX_LINE_CHARS = 64 * 1024
"""Of a line without an end that is kept back."""


class LossyStream(io.TextIOBase):
    """Writes whole lines to a file, or a descriptor, which stays its owner's. Raises nothing, and never blocks."""

    def __init__(self, target: int | io.FileIO) -> None:
        self._target = target
        self._rest = ""
        self._cut = False
        self.lost = 0
        """Writes that were lost since the last one that was not."""

    def __repr__(self) -> str:
        return f"<LossyStream on {self._target} {self.lost} lost>"

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the base class has a plain attribute
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Raises ValueError when the file is closed."""
        return self._target if isinstance(self._target, int) else self._target.fileno()

    def isatty(self) -> bool:
        return os.isatty(self.fileno())

    def write(self, text: str, /) -> int:
        self._rest += text
        if text.endswith("\n") or len(self._rest) > MAX_LINE_CHARS:
            self.flush()
        return len(text)

    def flush(self) -> None:
        text, self._rest = self._rest, ""
        if text:
            self._write(text.encode(errors="backslashreplace"))

    def _write(self, data: bytes) -> None:
        if self._cut:
            data = b"\n" + data  # so that half a line spoils none but itself
        left = memoryview(data)
        # A pipe that is ready has room for so much at least; more at once might block.
        with contextlib.suppress(OSError, ValueError):
            descriptor = self.fileno()
            while left and _ready(descriptor):
                left = left[os.write(descriptor, left[: select.PIPE_BUF]) :]
        if len(left) < len(data):
            self._cut = bool(left)
        self.lost = self.lost + 1 if left else 0


def _ready(descriptor: int) -> bool:
    asked = select.poll()
    asked.register(descriptor, select.POLLOUT)
    return bool(asked.poll(0))


def adopt_standard_streams() -> None:
    """Make this process's standard output and error lossy, once, at its start; in a test that captures them: not."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream: TextIO | None = getattr(sys, name)
        if isinstance(stream, LossyStream) or (stream is not None and not _is_on(stream, descriptor)):
            continue
        if stream is not None:
            _flush(stream)
        setattr(sys, name, LossyStream(descriptor))


def hold_standard_descriptors() -> None:
    """Open what the caller closed of 0, 1 and 2, lest the next file or socket take its number and our output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def leave(status: int) -> NoReturn:
    """End a fork, and never return into the code of whoever forked it; what cannot be written any more is lost."""
    try:
        flush_standard_streams()
    finally:
        os._exit(status)


def flush_standard_streams() -> None:
    """Before a fork, which would else write what waits a second time."""
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)


def append_to(log: Path) -> io.FileIO:
    """Open a log; where that cannot be, what is written to it is lost, and whoever writes goes on."""
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return log.open("ab", buffering=0)
    except OSError:
        return Path(os.devnull).open("ab", buffering=0)


def _flush(stream: TextIO | None) -> None:
    with contextlib.suppress(OSError, ValueError):  # full, or closed
        if stream is not None:
            stream.flush()


def _is_on(stream: TextIO, descriptor: int) -> bool:
    try:
        return stream.fileno() == descriptor
    except (OSError, ValueError):
        return False
