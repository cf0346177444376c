"""A large body that is made piece by piece, the same each time; and how fast its reader reads."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Iterator

BLOCK_BYTES = 1 << 18
READ_BYTES = 1 << 18

STOP_S = 0.5
SLOW_PART = 1 / 16
SLOW_PAUSE_S, SLOW_BYTES = 0.005, 1 << 18
"""About 50 MiB/s, a tenth of what the machine can do or less."""


def blocks(size: int) -> Iterator[bytes]:
    """No two blocks are alike, so none can be lost, doubled or swapped unseen."""
    filler = random.Random(1).randbytes(BLOCK_BYTES - 8)
    for number in range(-(-size // BLOCK_BYTES)):
        yield (number.to_bytes(8, "big") + filler)[: size - number * BLOCK_BYTES]


def checksum(size: int) -> int:
    found = 0
    for block in blocks(size):
        found = zlib.crc32(block, found)
    return found


class Pace:
    """Slows a reader down: at a quarter of the body it stops for a while, then reads a part of it slowly."""

    def __init__(self, size: int) -> None:
        self._slow_from = size // 4
        self._slow_until = self._slow_from + int(size * SLOW_PART)
        self._next = self._slow_from

    def read(self, length: int) -> None:
        """So much was read so far."""
        if length < self._next or length > self._slow_until:
            return
        time.sleep(STOP_S if self._next == self._slow_from else SLOW_PAUSE_S)
        self._next = length + SLOW_BYTES
