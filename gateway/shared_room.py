"""How much room a replica has left, where several workers of a gateway give it calls: each sees what all of them do.

Memory that the workers share has a place for each replica with a limit, and in it a count for each worker: its own
calls in flight there. Nobody writes another one's count, so no call takes a lock. Two workers that look at one instant
may both take the last of the room; then the replica refuses one call, which is sent again.

While nobody else waits, a worker takes whatever room there is. While others do, it takes no more than its part of the
limit, so that who is quicker does not leave the others none; what a division leaves over is somebody else's turn every
``TURN_S``, so that a limit of one goes round, too.
"""

from __future__ import annotations

import fcntl
import itertools
import mmap
import os
from collections.abc import Callable
from functools import partial
from hashlib import blake2b

PLACES = 4096
"""Replicas with a limit. Of further ones each worker gives its part, without knowing of the others."""

TURN_S = 0.1

_KEY_BYTES, _COUNT_BYTES = 8, 2
_USED, _WANTED = 1, 2
MAX_COUNT = 2 ** (8 * _COUNT_BYTES) - 1


class RoomMemory:
    """``rows``: of workers that may be there at once. The descriptor is given to each of them."""

    def __init__(self, descriptor: int, rows: int) -> None:
        self.descriptor, self.rows = descriptor, rows
        self._memory = mmap.mmap(descriptor, _size(rows))
        view = memoryview(self._memory)
        counts, flags = PLACES * _KEY_BYTES, PLACES * (_KEY_BYTES + _COUNT_BYTES * rows)
        self.keys = view[:counts].cast("Q")
        self.counts = view[counts:flags].cast("H")
        """Calls in flight, a row's beside that of the next for the same replica."""
        self.flags = view[flags:]
        """Whether a row counts calls of that replica, and whether calls of it wait there."""

    def __repr__(self) -> str:
        return f"<RoomMemory of {self.rows} rows>"

    @classmethod
    def create(cls, rows: int) -> RoomMemory:
        """Raises OSError when there is no memory."""
        descriptor = os.memfd_create("springtide rooms")
        try:
            os.ftruncate(descriptor, _size(rows))
            return cls(descriptor, rows)
        except BaseException:
            os.close(descriptor)
            raise

    def clear(self, row: int) -> None:
        """Its worker has ended: its calls are over, and nobody waits there."""
        self.flags[row :: self.rows] = bytes(PLACES)
        for at in range(row, len(self.counts), self.rows):
            self.counts[at] = 0

    def close(self) -> None:
        """For who made it; what a worker has of it goes with the worker."""
        os.close(self.descriptor)


class SharedRooms:
    """What the worker of one row sees."""

    def __init__(self, memory: RoomMemory, row: int) -> None:
        self._memory, self._row = memory, row
        self._rooms: dict[int, SharedRoom] = {}
        self._following = 0

    def __repr__(self) -> str:
        return f"<SharedRooms of row {self._row}, {len(self._rooms)} replicas>"

    def open(self, address: str) -> SharedRoom | None:
        """That of a replica, which is ``close``d as often as it is opened; None where there is no place left."""
        key = int.from_bytes(blake2b(address.encode(), digest_size=_KEY_BYTES).digest())
        room = self._rooms.get(key)
        if room is None:
            # Held for some microseconds, and the kernel gives it up for a worker that dies.
            fcntl.lockf(self._memory.descriptor, fcntl.LOCK_EX)
            try:
                place = self._place(key)
                if place is None:
                    return None
                room = self._rooms[key] = SharedRoom(self._memory, place, self._row)
            finally:
                fcntl.lockf(self._memory.descriptor, fcntl.LOCK_UN)
            room.on_closed = partial(self._closed, key)
        room.opened += 1
        return room

    def _closed(self, key: int) -> None:
        del self._rooms[key]

    def _place(self, key: int) -> int | None:
        """Where others count the same replica, or nobody counts any."""
        keys: list[int] = self._memory.keys.tolist()
        if key in keys:
            return int(keys.index(key))
        for number in itertools.chain(range(self._following, PLACES), range(self._following)):
            if not any(self._memory.flags[number * self._memory.rows : (number + 1) * self._memory.rows]):
                self._memory.keys[number] = key
                self._following = number + 1
                return number
        return None


class SharedRoom:
    """Of one replica. ``take`` and ``leave`` count this worker's calls."""

    __slots__ = ("_counts", "_flags", "_row", "on_closed", "opened")

    def __init__(self, memory: RoomMemory, place: int, row: int) -> None:
        first = place * memory.rows
        self._row = row
        self._counts = memory.counts[first : first + memory.rows]
        self._flags = memory.flags[first : first + memory.rows]
        self._counts[row] = 0
        self._flags[row] = _USED
        self.opened = 0
        self.on_closed: Callable[[], None] = _nothing

    def __repr__(self) -> str:
        return f"<SharedRoom {[*self._counts]}, wanted {[flag & _WANTED > 0 for flag in self._flags]}>"

    def take(self, calls: int = 1) -> None:
        self._counts[self._row] = min(self._counts[self._row] + calls, MAX_COUNT)

    def leave(self) -> None:
        self._counts[self._row] = max(self._counts[self._row] - 1, 0)

    def want(self, *, on: bool) -> None:
        """Calls of this worker wait for room, or none do any more."""
        self._flags[self._row] = _USED | _WANTED if on else _USED

    def in_use(self) -> int:
        """Calls of all workers."""
        return sum(self._counts)

    def has_room(self, limit: int, now: float) -> bool:
        if sum(self._counts) >= limit:
            return False
        others = [row for row, flag in enumerate(self._flags) if flag & _WANTED and row != self._row]
        return not others or self._counts[self._row] < self._part(limit, others, now)

    def concerns_others(self) -> bool:
        """Whether there may be room here without a call of this worker having ended."""
        return sum(self._counts) > self._counts[self._row] or any(
            flag & _WANTED for row, flag in enumerate(self._flags) if row != self._row
        )

    def close(self) -> None:
        self.opened -= 1
        if not self.opened:
            self._counts[self._row] = self._flags[self._row] = 0
            self.on_closed()

    def _part(self, limit: int, others: list[int], now: float) -> int:
        each, more = divmod(limit, len(others) + 1)
        mine = sum(row < self._row for row in others)
        return each + ((mine + int(now / TURN_S)) % (len(others) + 1) < more)


def _size(rows: int) -> int:
    """In bytes: of each place its key, and a count and flags for each row."""
    return PLACES * (_KEY_BYTES + (_COUNT_BYTES + 1) * rows)


def _nothing() -> None: ...
