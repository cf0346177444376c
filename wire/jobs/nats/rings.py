"""Telling workers that a job has come: at once where a lane was quiet, else once for all that came in a moment."""

from __future__ import annotations

import asyncio

from springtide.runtime.errors import SpringtideError
from springtide.wire.jobs import names
from springtide.wire.jobs.job import Lane
from springtide.wire.jobs.nats.connection import Connection, translated

PAUSE_S = 0.05
"""Between two rings of one lane. What a worker was told of it takes in whatever came meanwhile."""


class Rings:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rung: dict[Lane, bool] = {}
        """Lanes rung a moment ago, and whether more has come since."""
        self._ringing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Rings, {len(self._rung)} a moment ago>"

    def ring(self, lane: Lane) -> None:
        """Returns at once. A ring may be lost: workers look, too."""
        if lane in self._rung:
            self._rung[lane] = True
            return
        self._rung[lane] = False
        asyncio.get_running_loop().call_later(PAUSE_S, self._again, lane)
        task = asyncio.create_task(self._tell(lane))
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)

    def _again(self, lane: Lane) -> None:
        if self._rung.pop(lane):
            self.ring(lane)

    async def _tell(self, lane: Lane) -> None:
        try:
            async with translated("ringing"):
                client = await self._connection.client()
                await client.publish(names.ring_subject(lane.queue), names.job_subject(lane).encode())
        except SpringtideError:
            return  # it is found by a look
