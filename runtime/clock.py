"""The two clocks a process has. Tests put virtual ones in their place (``runtime.virtual_time``)."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Monotonic seconds, for measuring and deadlines; the origin means nothing."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z, for anything that is compared with another process's time."""
        return time.time()
