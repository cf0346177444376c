"""One replica as the provider knows it, and a container that sleeps until it is one again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from springtide.provider.containers.probes import PORT
from springtide.provider.machine.plan import ReplicaState, ReplicaView
from springtide.provider.machine.start_limits import Slot
from springtide.wire.endpoint_stream import Endpoint


@dataclass(slots=True, eq=False)
class ContainerReplica:
    """``requested_at``, ``ready_at`` and ``next_check`` are on the monotonic clock."""

    instance: str
    generation: int
    requested_at: float
    number: int
    """Counts up with each replica of the function."""
    max_inflight: int = 0
    state: ReplicaState = ReplicaState.STARTING
    container: str = ""
    """Its id; empty until it is made."""
    pid: int = 0
    address: str = ""
    started: bool = False
    """The engine has said so, for this replica: before, its container may have slept."""
    ready_at: float | None = None
    next_check: float = 0.0
    failed_checks: int = 0
    in_flight: int = 0
    refusal: str = ""
    """What it said last, when that was that it takes no calls."""
    slot: Slot | None = None
    starting: asyncio.Task[None] | None = None

    def view(self, generation: int) -> ReplicaView:
        return ReplicaView(self.instance, self.state, self.generation == generation, self.number, self.in_flight)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.instance, self.address, PORT, self.max_inflight)

    def settle(self) -> None:
        """It is not starting any more, one way or the other."""
        if self.slot is not None:
            self.slot.release()
        self.slot = None


@dataclass(frozen=True, slots=True)
class Sleeper:
    """A container that does not run now. ``instance`` is the name of the replica that it becomes."""

    container: str
    instance: str
    generation: int
    paused: bool = False
