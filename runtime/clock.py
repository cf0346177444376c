"""The two clocks a process has. Tests put virtual ones in their place (``runtime.virtual_time``)."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clocks. Not methods of ours but the system's own: each call of a function asks five times."""

    now = staticmethod(time.monotonic)
    """Monotonic seconds, for measuring and deadlines; the origin means nothing."""

    wall = staticmethod(time.time)
    """Seconds since 1970-01-01T00:00:00Z, for anything that is compared with another process's time."""
