"""One replica as the provider knows it, and what it says of itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from springtide.provider.machine.plan import ReplicaState, ReplicaView
from springtide.provider.machine.start_limits import Slot
from springtide.provider.process.stopped_host import StoppedHost
from springtide.provider.watchdog_endpoints import READY_PATH, in_flight
from springtide.runtime import http_probe
from springtide.wire.endpoint_stream import Endpoint


@dataclass(slots=True, eq=False)
class ReplicaProcess:
    """``requested_at`` and ``ready_at`` are on the monotonic clock."""

    instance: str
    generation: int
    requested_at: float
    number: int
    """Counts up with each replica of the function."""
    max_inflight: int = 0
    state: ReplicaState = ReplicaState.STARTING
    pid: int = 0
    port: int = 0
    waited_s: float = 0.0
    """For the fork server of its environment."""
    ready_at: float | None = None
    failed_checks: int = 0
    in_flight: int = 0
    slot: Slot | None = None
    give_up: asyncio.TimerHandle | None = None
    """Ends a replica that does not become ready."""
    stopped_host: StoppedHost | None = None
    """The host it belongs to, when that does not answer any more."""

    def view(self, generation: int) -> ReplicaView:
        return ReplicaView(
            self.instance,
            self.state,
            self.generation == generation and self.stopped_host is None,
            self.number,
            self.in_flight,
        )

    def endpoint(self, host: str) -> Endpoint:
        return Endpoint(self.instance, host, self.port, self.max_inflight, environment_s=self.waited_s)

    def settle(self) -> None:
        """It is not starting any more, one way or the other."""
        if self.slot is not None:
            self.slot.release()
        if self.give_up is not None:
            self.give_up.cancel()
        self.slot = self.give_up = None


@dataclass(frozen=True, slots=True)
class ReplicaHealth:
    """``ready`` None: it did not answer in time."""

    ready: bool | None
    in_flight: int = 0


async def probe_health(host: str, port: int, *, deadline_s: float) -> ReplicaHealth:
    """What a replica says of itself. Never raises for what it does or does not do."""
    try:
        async with asyncio.timeout(deadline_s):
            answer = await http_probe.fetch(host, port, READY_PATH)
    except (OSError, TimeoutError):
        return ReplicaHealth(None)
    if answer is None:
        return ReplicaHealth(ready=False)
    # 429 is as ready as it gets: all its places are taken.
    return ReplicaHealth(answer.status in (200, 429), in_flight(answer) or 0)
