"""Who waits for a replica, in which order and until when. Synchronous: it returns whom to call, and calls nobody."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class QueueBounds:
    """How many may wait for one function and altogether, and how many bytes of theirs may be kept meanwhile."""

    per_function: int
    total: int
    total_bytes: int


class WaitingQueue(Generic[K, T]):
    """Tickets in line for a key, first come first served; each has a deadline. All operations are O(log n) or less."""

    def __init__(self, bounds: QueueBounds) -> None:
        self._bounds = bounds
        self._lines: dict[K, OrderedDict[T, int]] = {}
        self._keys: dict[T, K] = {}
        self._due: list[tuple[float, int, T]] = []
        self._entered = 0
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<WaitingQueue {len(self._keys)} waiting for {len(self._lines)}, {self._bytes} bytes kept>"

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, ticket: T) -> bool:
        return ticket in self._keys

    @property
    def kept_bytes(self) -> int:
        return self._bytes

    def waiting(self, key: K) -> int:
        return len(self._lines.get(key, ()))

    def enter(self, key: K, ticket: T, *, deadline: float, size: int) -> bool:
        """Put ``ticket`` last in the line for ``key``; False, and nothing is done, when the queue is full."""
        bounds, line = self._bounds, self._lines.get(key)
        if len(self._keys) >= bounds.total or self._bytes + size > bounds.total_bytes:
            return False
        if line is not None and len(line) >= bounds.per_function:
            return False
        if line is None:
            line = self._lines[key] = OrderedDict()
        line[ticket] = size
        self._keys[ticket] = key
        self._bytes += size
        self._entered += 1
        heapq.heappush(self._due, (deadline, self._entered, ticket))
        return True

    def grow(self, ticket: T, size: int) -> bool:
        """Account for more bytes kept for a waiting ticket; False when the queue now keeps more than it should."""
        self._lines[self._keys[ticket]][ticket] += size
        self._bytes += size
        return self._bytes <= self._bounds.total_bytes

    def release(self, key: K) -> T | None:
        """Take the first in the line for ``key``."""
        line = self._lines.get(key)
        if not line:
            return None
        ticket = next(iter(line))
        self.leave(ticket)
        return ticket

    def leave(self, ticket: T) -> bool:
        """Forget a ticket; False when it was not waiting."""
        key = self._keys.pop(ticket, None)
        if key is None:
            return False
        line = self._lines[key]
        self._bytes -= line.pop(ticket)
        if not line:
            del self._lines[key]
        self._compact()
        return True

    def awaited(self) -> list[K]:
        """What is waited for."""
        return list(self._lines)

    def evict(self, key: K) -> list[T]:
        """Take everybody who waits for ``key``, in order."""
        tickets = list(self._lines.get(key, ()))
        for ticket in tickets:
            self.leave(ticket)
        return tickets

    def expire(self, now: float) -> list[T]:
        """Take everybody whose deadline has come."""
        due = []
        while self._due and self._due[0][0] <= now:
            ticket = heapq.heappop(self._due)[2]
            if self.leave(ticket):
                due.append(ticket)
        return due

    def next_deadline(self) -> float | None:
        while self._due and self._due[0][2] not in self._keys:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def _compact(self) -> None:
        """Forget deadlines of those who left, once they are most of the heap: it must not remember what is gone."""
        if len(self._due) > 64 + 2 * len(self._keys):
            self._due = [entry for entry in self._due if entry[2] in self._keys]
            heapq.heapify(self._due)
