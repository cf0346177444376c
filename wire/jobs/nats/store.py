"""What a gateway asks of the broker: store jobs, find them again, take them away."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

from nats.js.api import Header

from springtide.runtime.errors import BodyTooLarge, TooMany
from springtide.wire.jobs import names
from springtide.wire.jobs.job import (
    Depths,
    Job,
    JobState,
    JobStatus,
    Lane,
    QueueDepth,
    StoredBody,
    cancelled,
    cancelled_waiting,
)
from springtide.wire.jobs.job_id import id_of, job_id, place_of, queue_number
from springtide.wire.jobs.message import HEADER, encode_job
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.connection import RAISE, translated
from springtide.wire.jobs.nats.one_message import last
from springtide.wire.jobs.nats.publication import encoded
from springtide.wire.jobs.ports import Claim

LETTER_PART = 8
"""One part in so many of what the server takes in a message is left by a job, for what its dead letter has besides."""

CLAIM_SCAN_S = 60.0
"""How long after a claim its job may have been stored: longer than any write may take."""


class NatsJobStore:
    """Implements ``ports.JobStore``."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def __repr__(self) -> str:
        return f"<NatsJobStore over {self._broker!r}>"

    async def submit(self, job: Job, body: bytes) -> str:
        if job.not_before > time.time():
            return await self._delay(job, body)
        sequence = await self.enqueue(job, body)
        return id_of(job, sequence)

    async def store_body(self, token: str, chunks: AsyncIterator[bytes]) -> StoredBody:
        return await self._broker.bodies.store(token, chunks)

    async def discard_body(self, body: StoredBody) -> None:
        await self._broker.bodies.discard(body.name)

    async def claim(self, key: str, claim: Claim) -> Claim:
        streams, subject = self._broker.streams, _key_subject(key)
        async with translated("noting an idempotency key"):
            if await self._broker.requests.store_first(streams.keys, subject, json.dumps(claim).encode()):
                return claim
            jetstream = await self._broker.connection.jetstream()
            noted = await jetstream.get_msg(await streams.keys(), subject=subject, direct=True)
        return Claim(*json.loads(noted.data or b"[]"))

    async def confirm(self, key: str, claim: Claim) -> None:
        async with translated("noting an idempotency key"):
            await self._broker.requests.store(self._broker.streams.keys, _key_subject(key), json.dumps(claim).encode())

    async def claimed(self, key: str) -> Claim | None:
        stream = await self._broker.streams.keys()
        noted = await last(self._broker.connection, stream, _key_subject(key), doing="asking for an idempotency key")
        return Claim(*json.loads(noted.data or b"[]")) if noted is not None else None

    async def stored_under(self, lane: Lane, token: str, since: float) -> str:
        id_of_none = job_id(lane.queue, 0, token)
        place = place_of(id_of_none)
        assert place is not None
        if await self._broker.lookup.delayed(place) is not None:
            return id_of_none
        sequence = await self._broker.lookup.scan(lane, token, since=since, until=since + CLAIM_SCAN_S)
        return job_id(lane.queue, sequence, token) if sequence else ""

    async def find(self, job_id: str) -> JobStatus | None:
        return await self._broker.lookup.find(job_id)

    async def ended(self, job_id: str, wait_s: float) -> JobStatus | None:
        place = place_of(job_id)
        if place is None:
            return None
        async with self._broker.outcomes.announced(place.token) as told:
            status = await self._broker.lookup.find(job_id)
            if status is None or status.state.final or wait_s <= 0:
                return status
            try:
                async with asyncio.timeout(wait_s):
                    await told.wait()
            except TimeoutError:
                pass
        return await self._broker.lookup.find(job_id)

    async def remove(self, job_id: str) -> JobStatus | None:
        status, place = await self.find(job_id), place_of(job_id)
        if status is None or place is None or status.state.final or status.state is JobState.RUNNING:
            return status
        found = await self._broker.lookup.place(place)
        if found is None:
            return await self.find(job_id)  # it ended, or was moved, meanwhile
        outcome = cancelled_waiting(status.progress, at=time.time())
        # First, so that it is never gone without one; whoever is given it all the same finds that it is cancelled.
        await self._broker.outcomes.store(found.job, job_id, outcome, first=True)
        if not await self._broker.lookup.take_away(found):
            return await self.find(job_id)
        if outcome.attempts:
            await self._broker.outcomes.forget_progress(place.token, tried=True)
        if found.job.stored_body is not None:
            await self.discard_body(found.job.stored_body)
        return JobStatus(id=job_id, job=found.job, state=JobState.CANCELLED, outcome=outcome)

    async def stop_running(self, job_id: str) -> None:
        place = place_of(job_id)
        if place is not None:
            async with translated("cancelling a job"):
                client = await self._broker.connection.client()
                await client.publish(names.STOP_SUBJECT, place.token.encode())

    async def forbid(self, job_id: str) -> None:
        place = place_of(job_id)
        found = await self._broker.lookup.place(place) if place is not None else None
        if place is None or found is None:
            return  # it has ended
        progress = await self._broker.outcomes.progress(place.token)
        reason = "it was cancelled, and no worker has said yet that it ended it"
        outcome = cancelled(progress, at=time.time(), reason=reason)
        await self._broker.outcomes.store(found.job, job_id, outcome, first=True)

    async def depths(self) -> Depths:
        return Depths(
            queues=tuple([await self._depth(queue) for queue in await self._broker.lookup.queues(known_s=0.0)]),
            delayed=(await self._broker.streams.state(names.DELAYED)).messages,
            callbacks=(await self._broker.streams.state(names.CALLBACKS)).messages,
        )

    async def enqueue(self, job: Job, body: bytes, *, doing: str = "storing a job") -> int:
        """Its sequence number in its queue's stream; ``doing`` begins the sentence of an error. Raises TooMany."""
        lane, streams = job.lane, self._broker.streams
        headers = {HEADER: encode_job(job), Header.MSG_ID.value: f"{job.token}.{job.round}"}
        async with translated(doing):
            await self._check_size(headers, body, doing=doing)
            sequence = await self._broker.requests.store(
                lambda: streams.queue(lane.queue), names.job_subject(lane), body, headers
            )
        self._broker.rings.ring(lane)
        return sequence

    async def _delay(self, job: Job, body: bytes) -> str:
        stream, number = await self._broker.streams.delayed(), queue_number(job.lane.queue)
        async with translated("storing a delayed job"):
            waiting = (await self._broker.streams.state(stream)).messages
            if waiting >= self._broker.streams.bounds.max_delayed:
                raise TooMany(f"storing a delayed job: {waiting} wait for their time already")
            at = datetime.fromtimestamp(job.not_before, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            headers = {
                HEADER: encode_job(job),
                Header.MSG_ID: f"{job.token}.{job.round}",
                Header.SCHEDULE: f"@at {at}",
                Header.SCHEDULE_TARGET: names.due_subject(number, job.token),
            }
            await self._check_size(headers, body, doing="storing a delayed job")
            await self._broker.requests.store(
                self._broker.streams.delayed, names.delayed_subject(number, job.token), body, headers
            )
        return id_of(job)

    async def _check_size(self, headers: Mapping[str, str], body: bytes, *, doing: str) -> None:
        """Raises BodyTooLarge: sent all the same, it would cost everybody the connection."""
        largest = (await self._broker.connection.client()).max_payload
        most, size = largest - largest // LETTER_PART, len(encoded(headers)) + len(body)
        if size > most:
            raise BodyTooLarge(
                f"{doing}: with its headers it has {size} bytes, and may have {most} where the queue's server takes "
                f"messages of {largest}: {RAISE}; or set max_async_inline of the gateway to less, so that such bodies "
                "are kept in pieces"
            )

    async def _depth(self, queue: str) -> QueueDepth:
        state = await self._broker.streams.state(names.stream(queue), subjects=names.job_subjects(queue))
        dead = await self._broker.streams.state(names.dead_stream(queue))
        lanes = {lane: count for subject, count in state.subjects.items() if (lane := names.lane_of(subject))}
        return QueueDepth(queue, lanes, oldest_at=state.first_at, dead=dead.messages)


def _key_subject(key: str) -> str:
    """Keys are people's: of any length and any characters."""
    return f"$KV.{names.KEYS}.{hashlib.sha256(key.encode()).hexdigest()}"
