"""What a queue worker asks of the broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

import structlog
from nats.aio.msg import Msg
from nats.js.api import Header
from nats.js.errors import APIError
from nats.js.errors import NotFoundError as NoSuchMessage

from springtide.runtime.errors import BodyTooLarge, NotFound, SpringtideError, TooMany, reason_of
from springtide.wire.jobs import names
from springtide.wire.jobs.job import Answer, CallbackJob, DeadLetter, Job, JobState, Lane, Outcome, Progress
from springtide.wire.jobs.job_id import dead_name, id_of
from springtide.wire.jobs.message import CALLBACK_HEADER, HEADER, encode_callback, encode_letter, job_in
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.connection import REQUEST_S, translated
from springtide.wire.jobs.nats.hearing import heard
from springtide.wire.jobs.nats.leases import NatsCallbackLease, NatsLease, read_callback
from springtide.wire.jobs.nats.pulling import pulled
from springtide.wire.jobs.nats.store import NatsJobStore
from springtide.wire.jobs.ports import CallbackLease, Lease

DUE_CONSUMER = "due"
CALLBACK_CONSUMER = "callbacks"
UNREADABLE_DELAY_S = 60.0
FULL_DELAY_S = 5.0
"""A due job whose queue is full is tried again after it."""

STRANDED_AFTER = 10
"""Times in a row that a lane had nothing to give out, before it is looked at whether it should have."""

STRANDED_PAUSE_S = 1.0

LOOK_EVERY = 100
"""Times that a lane is asked for jobs, before it is looked at whether acknowledged ones lie in it still."""

MAX_DROPPED = 1000
"""Of them at once."""

MAX_MADE = 8
"""Consumers at once: the server makes one after the other, each with some writes to its disk. What is asked of it
beyond that waits for longer than an answer may take, and was forgotten again before it is used."""

IDLE_S = 30.0

_log = structlog.get_logger(__name__)


class NatsJobSource:
    """Implements ``ports.JobSource`` for one queue. ``ack_wait_s``: how long a job is a worker's that says nothing;
    ``idle_s``: how long nobody asks for a lane's jobs, nor has any, before the server forgets its consumer."""

    def __init__(self, broker: Broker, queue: str, *, ack_wait_s: float, idle_s: float = IDLE_S) -> None:
        self._broker = broker
        self._store = NatsJobStore(broker)
        self._queue = queue
        self._ack_wait_s = ack_wait_s
        self._idle_s = idle_s
        self._consumers: set[tuple[str, str]] = set()
        self._making = asyncio.Semaphore(MAX_MADE)
        self._empty = Counter[Lane]()
        """How often in a row there was nothing to take."""
        self._asked = Counter[Lane]()

    def __repr__(self) -> str:
        return f"<NatsJobSource of {self._queue} over {self._broker!r}>"

    async def backlog(self) -> Mapping[Lane, int]:
        stream = await self._broker.streams.queue(self._queue)
        state = await self._broker.streams.state(stream, subjects=names.job_subjects(self._queue))
        return {lane: count for subject, count in state.subjects.items() if (lane := names.lane_of(subject))}

    async def rings(self) -> AsyncGenerator[Lane]:
        async for message in heard(self._broker.connection, names.ring_subject(self._queue)):
            if (lane := names.lane_of(message.data.decode(errors="replace"))) is not None:
                yield lane

    async def stops(self) -> AsyncGenerator[str]:
        async for message in heard(self._broker.connection, names.STOP_SUBJECT):
            yield message.data.decode(errors="replace")

    async def take(self, lane: Lane, limit: int, wait_s: float) -> Sequence[Lease]:
        stream, consumer = await self._broker.streams.queue(lane.queue), names.consumer(lane)
        self._asked[lane] += 1
        if self._asked[lane] % LOOK_EVERY == 0:
            await self._drop_acknowledged(lane, stream, consumer)
        leases: list[Lease] = []
        while not leases:
            messages = await self._pull(
                stream, consumer, names.job_subject(lane), limit=limit, wait_s=wait_s, idle_s=self._idle_s
            )
            for message in messages:
                job = job_in(message.headers)
                if isinstance(job, Job):
                    leases.append(NatsLease(self._broker, message, job))
                else:
                    await self._leave(message, job)
            if not messages:
                break
        self._empty[lane] = 0 if leases else self._empty[lane] + 1
        if self._empty[lane] and self._empty[lane] % STRANDED_AFTER == 0:
            await self._free_stranded(lane, stream, consumer)
        return leases

    def forget(self, lane: Lane) -> None:
        self._consumers.discard((names.stream(lane.queue), names.consumer(lane)))
        del self._empty[lane], self._asked[lane]

    async def take_callbacks(self, limit: int, wait_s: float) -> Sequence[CallbackLease]:
        stream = await self._broker.streams.callbacks()
        messages = await self._pull(stream, CALLBACK_CONSUMER, names.CALLBACK_SUBJECT, limit=limit, wait_s=wait_s)
        leases = []
        for message in messages:
            callback = read_callback(message)
            if isinstance(callback, CallbackJob):
                leases.append(NatsCallbackLease(self._broker, message, callback))
            else:
                await self._leave(message, callback)
        return leases

    async def move_due(self, limit: int, wait_s: float) -> int:
        stream = await self._broker.streams.delayed()
        messages = await self._pull(stream, DUE_CONSUMER, names.DUE_SUBJECTS, limit=limit, wait_s=wait_s)
        moved = await asyncio.gather(*map(self._move, messages))
        return sum(moved)

    async def begun(self, lease: Lease) -> int:
        assert isinstance(lease, NatsLease)
        progress = await self._broker.outcomes.progress(lease.job.token)
        if progress is not None and progress.state is JobState.RUNNING:
            return progress.attempts
        # How many failed is on the disk; whether one more was begun since is in the memory, unless that was lost.
        failed, since = (progress.attempts, progress.started_at) if progress else (0, lease.stored_at)
        known = await self._broker.outcomes.remembers(since=since)
        return failed if known else max(failed, lease.deliveries - 1)

    async def outcome(self, job: Job) -> Outcome | None:
        known = await self._broker.outcomes.of(job.token)
        return known[2] if known is not None and known[1].round == job.round else None

    async def tell(self, token: str, progress: Progress) -> None:
        await self._broker.outcomes.tell(token, progress)

    async def tell_delivery(self, token: str, progress: Progress) -> None:
        await self._broker.outcomes.tell_delivery(token, progress)

    def max_answer(self) -> int:
        return self._broker.connection.max_payload * 3 // 4  # the rest is for headers: a job's, and an answer's

    async def store_outcome(self, job: Job, job_id: str, outcome: Outcome) -> None:
        try:
            await self._broker.outcomes.store(job, job_id, outcome)
        except BodyTooLarge:  # by its headers
            await self._broker.outcomes.store(job, job_id, _without_body(outcome))
        with contextlib.suppress(SpringtideError):  # a view
            await self._broker.outcomes.forget_progress(job.token, tried=outcome.attempts > 1)

    async def store_callback(self, callback: CallbackJob, body: bytes) -> None:
        job, streams = callback.job, self._broker.streams
        headers = {HEADER: encode_callback(callback), Header.MSG_ID: f"{job.token}.{job.round}"}
        async with translated("storing a callback"):
            await self._broker.requests.store(streams.callbacks, names.CALLBACK_SUBJECT, body, headers)

    async def store_dead(self, letter: DeadLetter, lease: Lease | CallbackLease) -> None:
        assert isinstance(lease, NatsLease | NatsCallbackLease)
        known_as = lease.id if isinstance(lease, NatsLease) else lease.callback.id
        job = replace(letter.job, id=known_as)
        streams, queue = self._broker.streams, job.lane.queue
        name = dead_name(job.token, callback=letter.callback)
        letter = replace(letter, job=job)
        if len(lease.payload) + len(encode_letter(letter)) > self.max_answer():
            # The job itself was small enough; what was answered to it last has to make room.
            letter = replace(letter, outcome=_without_body(letter.outcome))
        headers = {HEADER: encode_letter(letter), Header.MSG_ID: f"{name}.{job.round}"}
        if isinstance(lease, NatsCallbackLease):
            headers[CALLBACK_HEADER] = encode_callback(lease.callback)
        async with translated("storing a dead letter"):
            subject = names.dead_subject(queue, name)
            await self._broker.requests.store(lambda: streams.dead(queue), subject, lease.payload, headers)
        lease.keep_body()

    async def _move(self, message: Msg) -> bool:
        """A job whose time has come, into its queue. Its id is noted before the message goes, for it tells no place."""
        job = job_in(message.headers)
        if not isinstance(job, Job):
            await self._leave(message, job)
            return False
        queue, doing = job.lane.queue, "moving a job whose time has come"
        try:
            sequence = await self._store.enqueue(replace(job, id=id_of(job)), message.data, doing=doing)
        except (TooMany, BodyTooLarge) as error:
            _log.warning("a delayed job waits for room", queue=queue, reason=reason_of(error))
            async with translated("handing back a job"):
                await message.nak(delay=FULL_DELAY_S)
            return False
        await self._broker.lookup.note(job.token, queue, sequence)
        async with translated(doing):
            await message.ack_sync(timeout=REQUEST_S)
        return True

    async def _leave(self, message: Msg, why: ValueError) -> None:
        """What cannot be read is not ours to throw away: a later program may know it."""
        _log.warning("a stored job cannot be read; it stays", subject=message.subject, reason=reason_of(why))
        async with translated("handing back a job"):
            await message.nak(delay=UNREADABLE_DELAY_S)

    async def _pull(
        self, stream: str, consumer: str, subject: str, *, limit: int, wait_s: float, idle_s: float = 0.0
    ) -> list[Msg]:
        """A pull of its own each time: the client's pull subscriptions can be dead after a restart of the server."""
        async with translated("taking jobs"):
            for _ in range(2):
                if (stream, consumer) not in self._consumers:
                    async with self._making:
                        await self._broker.streams.durable(
                            stream, consumer, filter_subject=subject, ack_wait_s=self._ack_wait_s, idle_s=idle_s
                        )
                    self._consumers.add((stream, consumer))
                client = await self._broker.connection.client()
                try:
                    return await pulled(client, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", limit, wait_s)
                except NotFound:  # the server has forgotten it, as nothing came for long: made anew, once
                    self._consumers.discard((stream, consumer))
            return []

    async def _free_stranded(self, lane: Lane, stream: str, consumer: str) -> None:
        """A server that was killed may have kept that a job is acknowledged, and lost that it is removed: then it lies
        in the stream and nobody is given it. A consumer made anew gives it out, and its outcome is found."""
        subject = names.job_subject(lane)
        async with translated("looking after jobs that nobody is given"):
            jetstream = await self._broker.connection.jetstream()
            seen: set[int | None] = set()
            for pause_s in (STRANDED_PAUSE_S, 0.0):  # an acknowledgement under way looks alike, for a moment
                try:
                    first = await jetstream.get_msg(stream, seq=1, subject=subject, next=True, direct=True)
                    info = await jetstream.consumer_info(stream, consumer)
                except NoSuchMessage:
                    return
                seen.add(first.seq)
                if info.num_pending or info.num_ack_pending:
                    return
                await asyncio.sleep(pause_s)
            if len(seen) > 1:
                return
            _log.warning("a job lies in the queue and nobody is given it; its lane begins anew", subject=subject)
            await jetstream.delete_consumer(stream, consumer)
        self.forget(lane)

    async def _drop_acknowledged(self, lane: Lane, stream: str, consumer: str) -> None:
        """The same of a lane that is never empty, whose consumer cannot begin anew: jobs are out. Up to its floor all
        are acknowledged, and what came of them is stored. Left there, one would be given out by a later consumer, and
        run again once its outcome is forgotten."""
        subject = names.job_subject(lane)
        async with translated("looking after jobs that are acknowledged"):
            jetstream = await self._broker.connection.jetstream()
            for _ in range(MAX_DROPPED):
                try:
                    info = await jetstream.consumer_info(stream, consumer)
                    first = await jetstream.get_msg(stream, seq=1, subject=subject, next=True, direct=True)
                except NoSuchMessage:
                    return
                if first.seq is None or info.ack_floor is None or first.seq > info.ack_floor.stream_seq:
                    return
                _log.warning("a job lies in the queue though it is acknowledged; it is removed", subject=subject)
                with contextlib.suppress(APIError):  # it was gone meanwhile
                    await jetstream.delete_msg(stream, first.seq)


def _without_body(outcome: Outcome) -> Outcome:
    answer = outcome.answer
    return outcome if answer is None else replace(outcome, answer=Answer(answer.status, (), truncated=True))
