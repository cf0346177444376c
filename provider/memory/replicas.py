"""The replicas of one function in memory: started, replaced and retired until there are as many as wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass

from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import SpringtideError
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint

StartReplica = Callable[[FunctionRef, str], Awaitable[Endpoint]]
"""Start the replica named and return once it answers, with where. Raising one of our errors means: try again later."""

StopReplica = Callable[[FunctionRef, str], Awaitable[None]]
"""Called once for every replica that was asked to start, also for one whose start was cancelled."""

RETRY = Backoff(min_s=0.5, max_s=30.0)
"""Pause after a failed start; doubled each time up to the last."""


def unserved(instance: str) -> Endpoint:
    """An address that refuses connections: TCP port 1 of the loopback."""
    return Endpoint(instance, "127.0.0.1", 1)


def ready_after(delay_s: float) -> StartReplica:
    """Replicas that nobody serves, ready after a time on the event loop's clock."""

    async def start(_ref: FunctionRef, instance: str) -> Endpoint:
        await asyncio.sleep(delay_s)
        return unserved(instance)

    return start


@dataclass(slots=True, eq=False)
class _Replica:
    instance: str
    asked: bool = False
    endpoint: Endpoint | None = None
    starting: asyncio.Task[None] | None = None


class ReplicaSet:
    """Works towards a wanted number of replicas of the latest generation; ``changed`` is called after each step."""

    def __init__(
        self,
        ref: FunctionRef,
        *,
        start: StartReplica | None,
        stop: StopReplica | None,
        changed: Callable[[], None],
        serial: Iterator[int],
    ) -> None:
        """``serial`` numbers the replicas, so that no two of one provider ever share a name."""
        self._ref, self._serial = ref, serial
        self._start, self._stop, self._changed = start, stop, changed
        self._new: list[_Replica] = []
        self._old: list[_Replica] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.wanted = 0
        self.problem: str | None = None

    def __repr__(self) -> str:
        return f"<ReplicaSet {self._ref} wanted {self.wanted}, ready {len(self.endpoints)}, old {len(self._old)}>"

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those that answer, of both generations while an update is under way."""
        return tuple(replica.endpoint for replica in (*self._old, *self._new) if replica.endpoint is not None)

    def scale(self, wanted: int) -> None:
        self.wanted = wanted
        self._reconcile()

    def roll(self, wanted: int) -> None:
        """Replace every replica; an old one that answers stays until a new one answers in its place."""
        for replica in [replica for replica in self._new if replica.endpoint is None]:
            self._new.remove(replica)
            self._retire(replica)
        self._old += self._new
        self._new = []
        self.problem = None
        self.scale(wanted)

    def lose(self, instance: str) -> None:
        """The replica ended by itself; another takes its place."""
        for group in (self._new, self._old):
            for replica in [replica for replica in group if replica.instance == instance]:
                group.remove(replica)
                self._retire(replica)
        self._reconcile()

    async def close(self) -> None:
        """Retire everything and wait until that is done."""
        self.scale(0)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _reconcile(self) -> None:
        while len(self._new) > self.wanted:
            self._retire(_least_settled(self._new))
        while len(self._new) < self.wanted:
            self._new.append(self._begin())
        missing = self.wanted - sum(replica.endpoint is not None for replica in self._new)
        while len(self._old) > missing:
            self._retire(self._old.pop())
        if missing <= 0:
            self.problem = None
        self._changed()

    def _begin(self) -> _Replica:
        replica = _Replica(f"{self._ref.name}-{next(self._serial)}")
        if self._start is None:
            replica.endpoint = unserved(replica.instance)
        else:
            replica.starting = self._spawn(self._bring_up(replica, self._start))
        return replica

    async def _bring_up(self, replica: _Replica, start: StartReplica) -> None:
        failures = 0
        while replica.endpoint is None:
            replica.asked = True
            try:
                replica.endpoint = await start(self._ref, replica.instance)
            except SpringtideError as error:
                self.problem = str(error)
                self._changed()
                failures += 1
                await asyncio.sleep(RETRY.delay_s(failures))
        self._reconcile()

    def _retire(self, replica: _Replica) -> None:
        replica.endpoint = None
        if replica.starting is not None:
            replica.starting.cancel()
        if self._stop is not None:
            self._spawn(self._take_down(replica, self._stop))

    async def _take_down(self, replica: _Replica, stop: StopReplica) -> None:
        if replica.starting is not None:
            await asyncio.wait([replica.starting])
        if replica.asked or replica.starting is None:
            await stop(self._ref, replica.instance)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"replica of {self._ref}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _least_settled(replicas: list[_Replica]) -> _Replica:
    """Take out one that does not answer yet, or else the newest."""
    starting = [replica for replica in replicas if replica.endpoint is None]
    chosen = (starting or replicas)[-1]
    replicas.remove(chosen)
    return chosen
