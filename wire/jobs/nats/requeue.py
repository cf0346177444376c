"""Putting a job that has its id already into its queue: once, however often that is asked for and broken off.

It is noted first that it is to come, so that who comes after a crash knows from when on to look for it; an older
outcome is forgotten before the job is there, for a worker would take that for the outcome of its own try.
"""

from __future__ import annotations

import time

from springtide.wire.jobs.job import Job
from springtide.wire.jobs.job_id import place_of
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.store import CLAIM_SCAN_S, NatsJobStore


class Requeue:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._store = NatsJobStore(broker)

    def __repr__(self) -> str:
        return f"<Requeue over {self._broker!r}>"

    async def put(self, job: Job, body: bytes) -> bool:
        """``job`` has its ``id``. False: it was there, or has run, in this round already. Raises TooMany.

        One whose time is to come waits for it.
        """
        if not await self.announce(job):
            return False
        await self.follow(job, body)
        return True

    async def announce(self, job: Job) -> bool:
        """The first half of ``put``: whether ``follow`` is to come."""
        if await self.known(job):
            return False
        lookup, outcomes = self._broker.lookup, self._broker.outcomes
        if job.not_before <= time.time():
            await lookup.note(job.token, job.lane.queue, 0, round_=job.round)
        if job.round:
            place = place_of(job.id)
            earlier = await lookup.place(place) if place is not None else None
            if earlier is not None and earlier.job.round < job.round:
                await lookup.take_away(earlier)  # given up, and its worker was stopped before it settled that
            await outcomes.forget(job.token)
            await outcomes.forget_progress(job.token, tried=True)
            await outcomes.forget_delivery(job.token)
        return True

    async def follow(self, job: Job, body: bytes) -> None:
        """Those that are begun one after the other are queued in that order."""
        if job.not_before > time.time():
            await self._store.submit(job, body)
            return
        sequence = await self._store.enqueue(job, body)
        await self._broker.lookup.note(job.token, job.lane.queue, sequence, round_=job.round)

    async def known(self, job: Job) -> bool:
        """Whether it is there, or has run, in this round or a later one."""
        lookup = self._broker.lookup
        ended = await self._broker.outcomes.of(job.token)
        if ended is not None and ended[1].round >= job.round:
            return True
        place = place_of(job.id)
        found = await lookup.place(place) if place is not None else None
        if found is not None:
            return found.job.round >= job.round
        note = await lookup.noted(job.token)
        if note is None or note.sequence or note.round != job.round:
            return False
        # Somebody was about to put it there, and may have: less than a minute later, or not at all.
        sequence = await lookup.scan(job.lane, job.token, since=note.at, until=note.at + CLAIM_SCAN_S)
        if sequence:
            await lookup.note(job.token, job.lane.queue, sequence, round_=job.round)
        return sequence > 0
