"""How much a server keeps, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

DAY_S = 86_400.0
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What may be kept; seconds are since it was stored.

    The server sets the bytes that a stream may have aside, so only what forgets by itself is bounded by them; the rest
    is by number, and by the server's own limit.
    """

    max_queues: int = 100
    """A caller who may name any queue makes it by that."""
    max_jobs: int = 1_000_000
    """Of a queue."""
    max_lane_jobs: int = 100_000
    """Of one function, or one tenant of it."""
    max_lanes: int = 100_000
    """That have jobs at the same time, of a queue; left to itself the server has room for a thousand."""
    max_delayed: int = 1_000_000
    max_dead: int = 1_000_000
    """Of a queue's dead letters."""
    max_callbacks: int = 1_000_000
    body_age_s: float = 30 * DAY_S
    """A stored body whose job never came, or was lost sight of, goes after it."""
    result_age_s: float = DAY_S
    max_result_bytes: int = 512 * MIB
    key_age_s: float = DAY_S
    max_key_bytes: int = 64 * MIB
    max_progress_bytes: int = 32 * MIB
    """In memory."""
    tries_age_s: float = 2 * DAY_S
    """What is told between two tries is told again after the longest pause, a day; what came of a callback is kept for
    as long as what came of its call."""
    max_tries_bytes: int = 64 * MIB

    @property
    def set_aside_bytes(self) -> int:
        """On the server's disk, or it does not make the buckets without which no job runs."""
        return self.max_result_bytes + 2 * self.max_key_bytes + self.max_tries_bytes
