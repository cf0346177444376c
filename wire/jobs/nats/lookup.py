"""Where a job is, by its id: in its queue, at the place that the id or a note tells, or waiting for its time."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from nats.js.api import Header, RawStreamMsg
from nats.js.errors import NotFoundError

from springtide.runtime.errors import Unavailable
from springtide.wire.jobs import names
from springtide.wire.jobs.job import Job, JobState, JobStatus, Lane
from springtide.wire.jobs.job_id import Place, place_of, queue_number
from springtide.wire.jobs.message import HEADER, decode_letter, job_in
from springtide.wire.jobs.nats.connection import REQUEST_S, Connection, translated
from springtide.wire.jobs.nats.one_message import last, removed
from springtide.wire.jobs.nats.outcomes import Outcomes
from springtide.wire.jobs.nats.requests import Requests
from springtide.wire.jobs.nats.streams import Streams, instant

QUEUES_KNOWN_S = 5.0
MAX_SCANNED = 10_000
CLOCKS_DIFFER_S = 5.0
"""Ours and the server's, at most: the ends of a scan are looked beyond by so much."""

_PLACE = f"$KV.{names.PLACES}."


class Found(NamedTuple):
    """A job that has not ended, and the message that holds it."""

    job: Job
    stream: str
    sequence: int
    delayed: bool = False


class Note(NamedTuple):
    """``sequence`` 0: it was about to be put there, ``at`` that instant."""

    queue: str
    sequence: int
    round: int
    at: float


class Lookup:
    def __init__(self, connection: Connection, streams: Streams, requests: Requests, outcomes: Outcomes) -> None:
        self._connection = connection
        self._streams = streams
        self._requests = requests
        self._outcomes = outcomes
        self._queues: tuple[str, ...] = ()
        self._queues_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Lookup over {self._connection!r}>"

    async def find(self, job_id: str) -> JobStatus | None:
        place = place_of(job_id)
        if place is None:
            return None
        if (ended := await self._ended(job_id, place)) is not None:
            return ended
        if (found := await self.place(place)) is None:
            # It may have ended between the two looks.
            return await self._ended(job_id, place) or await self._dead(job_id, place)
        progress = await self._outcomes.progress(place.token)
        state = progress.state if progress else JobState.DELAYED if found.delayed else JobState.QUEUED
        return JobStatus(id=job_id, job=found.job, state=state, progress=progress)

    async def place(self, place: Place) -> Found | None:
        """A job that has not ended."""
        if place.sequence:
            async for queue in self.numbered(place.queue):
                if (found := await self._at(names.stream(queue), place.sequence, place.token)) is not None:
                    return found
        if (found := await self.delayed(place)) is not None:
            return found
        note = await self.noted(place.token)
        return await self._at(names.stream(note.queue), note.sequence, place.token) if note and note.sequence else None

    async def delayed(self, place: Place) -> Found | None:
        """Before its time, or right after it, while no worker has moved it yet."""
        for subject in (names.delayed_subject, names.due_subject):
            message = await self._last(await self._streams.delayed(), subject(place.queue, place.token))
            if message is not None and isinstance(job := job_in(message.headers), Job) and message.seq is not None:
                return Found(job, names.DELAYED, message.seq, delayed=True)
        return None

    async def take_away(self, found: Found) -> bool:
        """Whether it was there still."""
        return await removed(self._connection, found.stream, found.sequence, doing="removing a job")

    async def note(self, token: str, queue: str, sequence: int, *, round_: int = 0) -> None:
        """A job is not where its id tells."""
        async with translated("noting where a job is"):
            noted = json.dumps([queue, sequence, round_]).encode()
            await self._requests.store(self._streams.places, _PLACE + token, noted)

    async def scan(self, lane: Lane, token: str, *, since: float, until: float) -> int:
        """The sequence of a job by its token, among what came into its lane between two instants; 0 if it is not.
        Raises Unavailable where too many came."""
        stream, sequence = await self._streams.queue(lane.queue), 0
        start = datetime.fromtimestamp(since - CLOCKS_DIFFER_S, UTC).isoformat().replace("+00:00", "Z")
        request: dict[str, object] = {"next_by_subj": names.job_subject(lane), "start_time": start}
        for _ in range(MAX_SCANNED):
            async with translated("looking for a job"):
                client = await self._connection.client()
                subject, body = f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode()
                message = await client.request(subject, body, timeout=REQUEST_S)
            headers = message.headers or {}
            if Header.STATUS in headers or instant(headers["Nats-Time-Stamp"]) > until + CLOCKS_DIFFER_S:
                return 0
            sequence = int(headers["Nats-Sequence"])
            job = job_in(headers)
            if isinstance(job, Job) and job.token == token:
                return sequence
            request = {"next_by_subj": names.job_subject(lane), "seq": sequence + 1}
        raise Unavailable(f"more than {MAX_SCANNED} jobs came since; whether this one is among them is not known")

    async def noted(self, token: str) -> Note | None:
        message = await self._last(await self._streams.places(), _PLACE + token)
        if message is None:
            return None
        queue, sequence, *more = json.loads(message.data or b"[]")
        return Note(queue, sequence, more[0] if more else 0, message.time.timestamp() if message.time else 0.0)

    async def numbered(self, number: int) -> AsyncIterator[str]:
        """The queues that have the number: of 4096, so one as a rule. Those that are not known, as they may be a moment
        old, come last: also where another one has the same number."""
        seen = set[str]()
        for known_s in (QUEUES_KNOWN_S, 0.0):
            for queue in await self.queues(known_s):
                if queue_number(queue) == number and queue not in seen:
                    seen.add(queue)
                    yield queue

    async def queues(self, known_s: float = QUEUES_KNOWN_S) -> tuple[str, ...]:
        """The names of all there are, at most so old."""
        if time.monotonic() - self._queues_at > known_s:
            self._queues = tuple(sorted(filter(None, map(names.queue_of_stream, await self._streams.names()))))
            self._queues_at = time.monotonic()
        return self._queues

    async def _ended(self, job_id: str, place: Place) -> JobStatus | None:
        known = await self._outcomes.of(place.token)
        if known is None:
            return None
        _, job, outcome = known
        status = JobStatus(id=job_id, job=job, state=outcome.state, outcome=outcome)
        return replace(status, delivery=await self._outcomes.delivery(place.token)) if status.tells else status

    async def _dead(self, job_id: str, place: Place) -> JobStatus | None:
        """One of which only the dead letter is left."""
        async for queue in self.numbered(place.queue):
            stream, subject = names.dead_stream(queue), names.dead_subject(queue, place.token)
            # Not direct: there may be no such stream.
            message = await last(self._connection, stream, subject, doing="looking for a job", direct=False)
            if message is not None:
                try:
                    letter = decode_letter((message.headers or {}).get(HEADER, ""))
                except ValueError:
                    return None
                return JobStatus(id=job_id, job=letter.job, state=JobState.FAILED, outcome=letter.outcome)
        return None

    async def _at(self, stream: str, sequence: int, token: str) -> Found | None:
        async with translated("looking for a job"):
            jetstream = await self._connection.jetstream()
            try:
                message = await jetstream.get_msg(stream, seq=sequence, direct=True)
            except NotFoundError:
                return None
        job = job_in(message.headers)
        return Found(job, stream, sequence) if isinstance(job, Job) and job.token == token else None

    async def _last(self, stream: str, subject: str) -> RawStreamMsg | None:
        return await last(self._connection, stream, subject, doing="looking for a job")
