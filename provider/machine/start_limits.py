"""When a replica may be started: how many at the same time, and how soon after one that failed.

More at the same time than the processors can use only makes the first one late.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from springtide.runtime.backoff import Backoff

HELD_S = 1.0
"""A slot is given back after this time even if its replica is not ready: it may be waiting for something else."""


@dataclass(slots=True, eq=False)
class Slot:
    owner: Callable[[], None]
    give_back: Callable[[Slot], None]
    timer: asyncio.TimerHandle | None = None

    def release(self) -> None:
        """Idempotent."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            self.give_back(self)


class StartSlots:
    """Half of the slots at most for one owner, so that one function's trouble does not hold up the others."""

    def __init__(self, most: int = max(8, 4 * (os.cpu_count() or 1))) -> None:
        self._most = most
        self._held: set[Slot] = set()
        self._waiting: dict[Callable[[], None], None] = {}

    def __repr__(self) -> str:
        return f"<StartSlots {len(self._held)}/{self._most} taken, {len(self._waiting)} waiting>"

    def take(self, owner: Callable[[], None]) -> Slot | None:
        """A slot; or None, and then ``owner`` is called when it may try again."""
        own = sum(slot.owner == owner for slot in self._held)
        if len(self._held) >= self._most or own >= max(1, self._most // 2):
            self._waiting[owner] = None
            return None
        slot = Slot(owner, self._release)
        slot.timer = asyncio.get_running_loop().call_later(HELD_S, slot.release)
        self._held.add(slot)
        return slot

    def _release(self, slot: Slot) -> None:
        self._held.discard(slot)
        waiting, self._waiting = self._waiting, {}
        for owner in waiting:
            owner()


@dataclass(slots=True)
class RestartPause:
    """How long until a function's replicas are started again. Pure: ``now`` is an argument.

    It grows with each failed try. Replicas that were started together and die together are one failure.
    """

    backoff: Backoff
    stable_s: float
    """A replica that was ready for so long makes the next failure a first one."""
    failures: int = 0
    failed_at: float | None = None
    retry_at: float = 0.0

    def failed(self, *, started_at: float, ready_at: float | None, now: float) -> float:
        """A replica died; returns the pause before the next start, in seconds."""
        if ready_at is not None and now - ready_at >= self.stable_s:
            self.failures = 0
        if self.failed_at is None or self.failures == 0 or started_at >= self.failed_at:
            self.failures += 1
            self.failed_at = now
            self.retry_at = now + self.backoff.delay_s(self.failures)
        return max(0.0, self.retry_at - now)

    def reset(self) -> None:
        """Something else runs from now on."""
        self.failures, self.failed_at, self.retry_at = 0, None, 0.0
