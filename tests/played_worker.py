"""A queue worker whose every step a test decides."""

from __future__ import annotations

import uuid

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import Answer, DeadLetter, Job, JobState, Lane, Outcome, Progress
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.source import NatsJobSource
from springtide.wire.jobs.ports import Lease

ECHO = FunctionRef("openfaas-fn", "echo")


class PlayedWorker:
    """Of one queue, which is nobody else's, and of one function."""

    def __init__(self, broker: Broker, function: FunctionRef = ECHO) -> None:
        self.queue = f"q{uuid.uuid4().hex[:12]}"
        self.jobs = NatsJobSource(broker, self.queue, ack_wait_s=5.0)
        self._function = function

    async def taken(self) -> Lease:
        """The next job; waits for it."""
        lane, leases = Lane(self.queue, self._function), list[Lease]()
        while not leases:
            leases = list(await self.jobs.take(lane, 1, 2.0))
        return leases[0]

    async def runs(self, answer: Answer | None, state: JobState = JobState.DONE, reason: str = "") -> Job:
        """The next job, which ends so."""
        lease = await self.taken()
        outcome = Outcome(
            state=state, attempts=lease.deliveries, started_at=1.5, finished_at=2.25, answer=answer, reason=reason
        )
        await self.jobs.store_outcome(lease.job, lease.id, outcome)
        if state is JobState.FAILED:
            await self.jobs.store_dead(DeadLetter(job=lease.job, outcome=outcome), lease)
        await lease.settle()
        return lease.job

    async def tells(self, lease: Lease, progress: Progress) -> None:
        await self.jobs.tell(lease.job.token, progress)
