"""What a replica writes while its host is stopped: nobody reads its pipe, and a full one stops the replica."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from springtide.provider.machine.log_files import LineSplitter

READ_BYTES = 65_536
_STANDARD_OUTPUT = 1


class OrphanedOutput:
    """Reads in the host's place, by a second end of the pipe, which Linux gives whoever may look at the process."""

    def __init__(self, pid: int, write: Callable[[list[bytes]], None]) -> None:
        """``write`` takes lines into the function's log. Raises OSError where there is no way to the pipe."""
        self._write = write
        self._lines = LineSplitter()
        self._fd = os.open(f"/proc/{pid}/fd/{_STANDARD_OUTPUT}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def close(self) -> None:
        """With what is left in the pipe. Idempotent."""
        if self._fd >= 0:
            self._read()
        if self._fd >= 0:
            self._end()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._fd, READ_BYTES)
            self._write(self._lines.feed(data))
            if not data:
                self._end()

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._write(self._lines.end())
