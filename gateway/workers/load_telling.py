"""The master tells each worker that has readers of ``/system/load`` the load of all, once a second."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Protocol

from springtide.gateway.load_counts import MonotonicLoad
from springtide.gateway.workers.messages import Kind, Message
from springtide.gateway.workers.totals import Told, Totals
from springtide.runtime.errors import Unavailable
from springtide.scaler.core.ports import Clock
from springtide.wire.load_stream import INTERVAL_S, Load, LoadLine

ASK_DEADLINE_S = 0.5
"""A worker that does not tell its numbers by then holds up nobody: what it told last counts."""

STALE_AFTER_S = 3.0
"""Numbers of a worker older than this are named as such."""


class Worker(Protocol):
    """What is needed of a ``Member``."""

    told: Told
    told_at: float

    async def numbers(self, deadline_s: float | None) -> None: ...

    def send(self, message: Message) -> None: ...


class LoadTelling:
    """One for the master. Does nothing while no worker has a reader."""

    def __init__(self, totals: Totals, living: Callable[[], Sequence[Worker]], clock: Clock) -> None:
        self._totals, self._living, self._clock = totals, living, clock
        self._gateway = uuid.uuid4().hex
        self._counters = MonotonicLoad()
        self._wanted: dict[Worker, bool] = {}
        """Who is told, and whether it has been told everything."""
        self._change = asyncio.Event()

    def __repr__(self) -> str:
        return f"<LoadTelling to {len(self._wanted)} workers>"

    def watch(self, worker: Worker, *, on: bool) -> None:
        """The worker has its first reader, or its last one has left."""
        if on:
            self._wanted[worker] = False
            self._change.set()
        else:
            self._wanted.pop(worker, None)

    def end(self) -> None:
        """The gateway ends by intention."""
        for worker in self._wanted:
            worker.send(Message(Kind.LOAD, content={"end": True}))
        self._wanted.clear()

    async def run(self) -> None:
        while True:
            self._change.clear()
            while self._wanted:
                begun = self._clock.now()
                await self._tell()
                left_s = begun + INTERVAL_S - self._clock.now()
                await self._pause(max(0.0, left_s))
            await self._change.wait()

    async def _pause(self, pause_s: float) -> None:
        """Until the next line is due, or somebody new wants the first one."""
        self._change.clear()
        try:
            await asyncio.wait_for(self._change.wait(), pause_s)
        except TimeoutError:
            return

    async def _tell(self) -> None:
        living = self._living()
        await asyncio.gather(*(_ask(worker) for worker in living))
        living = self._living()
        found = self._totals.load([worker.told for worker in living], everything=not self._counters.told)
        changed = self._counters.changes((str(ref), load) for ref, load in found)
        at = self._clock.wall()
        partial = self._partial(living)
        for worker in [worker for worker in self._wanted if worker not in living]:
            del self._wanted[worker]
        for worker, knows in self._wanted.items():
            functions: dict[str, Load | None] = changed if knows else {**self._counters.told}
            self._wanted[worker] = True
            worker.send(message(LoadLine(at, functions, self._gateway, partial), first=not knows))

    def _partial(self, living: Sequence[Worker]) -> str:
        now = asyncio.get_running_loop().time()
        late = [worker for worker in living if now - worker.told_at > STALE_AFTER_S]
        return f"{len(late)} of {len(living)} workers do not tell their numbers" if late else ""


async def _ask(worker: Worker) -> None:
    try:
        await worker.numbers(ASK_DEADLINE_S)
    except Unavailable:
        return  # which is told by how old its numbers are


def message(line: LoadLine, *, first: bool) -> Message:
    content = {"at": line.at, "functions": line.functions, "gateway": line.gateway, "partial": line.partial}
    return Message(Kind.LOAD, content={**content, "first": first})
