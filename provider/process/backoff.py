"""How long to wait before a function's replicas are started again. Pure: ``now`` is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Doubles with each failed try. Replicas that were started together and die together are one failure."""

    first_s: float
    most_s: float
    stable_s: float
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
            self.retry_at = now + min(self.most_s, self.first_s * 2 ** (self.failures - 1))
        return max(0.0, self.retry_at - now)

    def reset(self) -> None:
        """Something else runs from now on."""
        self.failures, self.failed_at, self.retry_at = 0, None, 0.0
