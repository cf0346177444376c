"""What the queue worker counts."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from springtide.scaler.core.ports import Clock
from springtide.wire.jobs.job import JobState, Lane
from springtide.wire.jobs.ports import Lease


class QueueMetrics:
    """Implements ``dispatch.Observer``."""

    def __init__(self, registry: CollectorRegistry, *, queue: str, clock: Clock) -> None:
        self._registry = registry
        self._queue = queue
        self._clock = clock

    def began(self, lease: Lease) -> None: ...

    def ended(self, lease: Lease, state: JobState | None, seconds: float) -> None: ...

    def saw(self, backlog: Mapping[Lane, int]) -> None: ...

    def told(self, state: JobState) -> None: ...
