"""How long to wait before something that failed is tried again. Only the arithmetic: callers count and sleep."""

from __future__ import annotations

import random
from dataclasses import dataclass

_MAX_DOUBLINGS = 60
"""Doubled so often, any pause has reached its bound; more would overflow."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off: doubles with each failure in a row from ``min_s`` up to ``max_s``, in seconds.

    ``jitter`` is the share of each pause that is left to chance, 0 to 1: with 0.5 a pause of 2 s is one between 1 s and
    2 s, so that clients who were refused together do not come back together. 0 makes it exact.
    """

    min_s: float
    max_s: float
    jitter: float = 0.0

    def delay_s(self, failures: int) -> float:
        """The pause after so many failures in a row; none after none."""
        if failures <= 0:
            return 0.0
        pause_s = min(self.min_s * 2.0 ** min(failures - 1, _MAX_DOUBLINGS), self.max_s)
        return pause_s * random.uniform(1.0 - self.jitter, 1.0) if self.jitter else pause_s


RESTART = Backoff(0.1, 15.0)
"""Of whatever died: a process, a part of one, a worker."""

STEADY_AFTER_S = 30.0
"""What ran this long starts again at the first delay."""
