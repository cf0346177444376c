"""One replica as the provider knows it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from springtide.provider.process.plan import State, View
from springtide.provider.process.start_slots import Slot
from springtide.wire.endpoint_stream import Endpoint


@dataclass(slots=True, eq=False)
class Replica:
    """``requested_at`` and ``ready_at`` are on the monotonic clock."""

    instance: str
    generation: int
    requested_at: float
    number: int
    """Counts up with each replica of the function."""
    max_inflight: int = 0
    state: State = State.STARTING
    pid: int = 0
    port: int = 0
    ready_at: float | None = None
    failed_checks: int = 0
    in_flight: int = 0
    slot: Slot | None = None
    give_up: asyncio.TimerHandle | None = None
    """Ends a replica that does not become ready."""

    def view(self, generation: int) -> View:
        return View(self.instance, self.state, self.generation == generation, self.number, self.in_flight)

    def endpoint(self, host: str) -> Endpoint:
        return Endpoint(self.instance, host, self.port, self.max_inflight)

    def settle(self) -> None:
        """It is not starting any more, one way or the other."""
        if self.slot is not None:
            self.slot.release()
        if self.give_up is not None:
            self.give_up.cancel()
        self.slot = self.give_up = None
