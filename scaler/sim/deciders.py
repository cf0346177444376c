"""Deciders to compare with: nobody. Knative's rule is in ``knative``."""

from __future__ import annotations

from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.sim.engine import Stretch


class Unchanged:
    """Nobody: as many as were woken."""

    lead_s = 2.0

    def __init__(self, policy: ScalePolicy) -> None:
        self._policy = policy

    def wanted(self, sample: LoadSample, *, wanted: int, ready: int, now: float) -> int:  # noqa: ARG002
        return wanted

    def woken(self) -> int:
        return wake_replicas(self._policy)

    def at_rest(self, *, wanted: int, now: float) -> bool:  # noqa: ARG002
        return True

    def steady(self, stretch: Stretch, *, wanted: int) -> tuple[float, int] | None:
        return stretch.end, wanted
