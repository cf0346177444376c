"""Dead letters: looked through, put back, thrown away."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import structlog
from nats.js.api import Header, RawStreamMsg

from springtide.runtime.errors import NotFound, reason_of
from springtide.wire.jobs import names
from springtide.wire.jobs.job import DeadLetter, Job, JobState, Progress, StoredLetter
from springtide.wire.jobs.job_id import OF_CALLBACK, dead_name, id_of, place_of
from springtide.wire.jobs.message import CALLBACK_HEADER, HEADER, decode_callback, decode_letter, encode_callback
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.connection import translated
from springtide.wire.jobs.nats.one_message import last, removed
from springtide.wire.jobs.nats.reading import heads
from springtide.wire.jobs.nats.requeue import Requeue

PAGE = 200

_log = structlog.get_logger(__name__)


class _Found(NamedTuple):
    letter: StoredLetter
    stream: str
    body: bytes
    headers: Mapping[str, str]


class NatsDeadLetters:
    """Implements ``ports.DeadLetters``."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._requeue = Requeue(broker)

    def __repr__(self) -> str:
        return f"<NatsDeadLetters over {self._broker!r}>"

    async def queues(self) -> Sequence[str]:
        return await self._broker.lookup.queues(known_s=0.0)

    async def letters(self, queue: str, *, after: int = 0) -> AsyncGenerator[StoredLetter]:
        stream, subject = names.dead_stream(queue), names.dead_subject(queue, "*")
        while found := await heads(self._broker.connection, stream, subject, start=after + 1, limit=PAGE):
            for message in found:
                after = message.sequence
                try:
                    letter = decode_letter(message.headers.get(HEADER, ""))
                except ValueError as error:
                    _log.warning("a dead letter cannot be read", sequence=after, reason=reason_of(error))
                else:
                    yield _stored(letter, sequence=after, at=message.at, size=message.size)

    async def letter(self, letter_id: str) -> tuple[StoredLetter, bytes]:
        found = await self._found(letter_id)
        return found.letter, found.body

    async def put_back(self, letter_id: str) -> None:
        found = await self._found(letter_id)
        if found.letter.letter.callback:
            await self._send_again(found)
        else:
            job = found.letter.letter.job
            again = replace(job, round=job.round + 1, not_before=time.time(), id=found.letter.id)
            await self._requeue.put(again, found.body)
        await self._remove(found)

    async def purge(self, letter_id: str) -> None:
        found = await self._found(letter_id)
        if not await self._remove(found):
            raise _none(letter_id)  # somebody put it back, or it was purged
        if found.letter.letter.callback:
            await self._broker.outcomes.tell_delivery(found.letter.letter.job.token, _thrown_away(found.letter.letter))
        body = found.letter.letter.job.stored_body
        if body is not None and not found.letter.letter.callback and not await self._queued(found.letter.letter.job):
            await self._broker.bodies.discard(body.name)

    async def _queued(self, job: Job) -> bool:
        """Somebody put it back while it was purged: then its body is wanted. One that was about to counts, too."""
        note = await self._broker.lookup.noted(job.token)
        return note is not None and note.round > job.round

    async def _found(self, letter_id: str) -> _Found:
        """Raises NotFound."""
        of_callback = letter_id.endswith(OF_CALLBACK)
        place = place_of(letter_id.removesuffix(OF_CALLBACK))
        if place is None:
            raise _none(letter_id)
        async for queue in self._broker.lookup.numbered(place.queue):
            stream = names.dead_stream(queue)
            subject = names.dead_subject(queue, dead_name(place.token, callback=of_callback))
            message = await self._last(stream, subject)
            if message is None:
                continue
            headers = message.headers or {}
            try:
                letter = decode_letter(headers.get(HEADER, ""))
            except ValueError as error:
                raise NotFound(f"the dead letter {letter_id} cannot be read: {error}") from error
            assert message.seq is not None
            body, at = message.data or b"", message.time.timestamp() if message.time else 0.0
            return _Found(_stored(letter, sequence=message.seq, at=at, size=len(body)), stream, body, headers)
        raise _none(letter_id)

    async def _last(self, stream: str, subject: str) -> RawStreamMsg | None:
        # Not direct: there may be no such stream.
        return await last(self._broker.connection, stream, subject, doing="looking for a dead letter", direct=False)

    async def _send_again(self, found: _Found) -> None:
        try:
            callback = decode_callback(found.headers.get(CALLBACK_HEADER, ""))
        except ValueError as error:
            raise NotFound(f"the callback of {found.letter.id} cannot be read: {error}") from error
        known = f"{callback.job.token}.{callback.job.round}.{found.letter.sequence}"
        headers = {HEADER: encode_callback(callback), Header.MSG_ID: known}
        async with translated("storing a callback"):
            callbacks = self._broker.streams.callbacks
            await self._broker.requests.store(callbacks, names.CALLBACK_SUBJECT, found.body, headers)
        await self._broker.outcomes.forget_delivery(callback.job.token)

    async def _remove(self, found: _Found) -> bool:
        """Whether it was there still."""
        connection, sequence = self._broker.connection, found.letter.sequence
        return await removed(connection, found.stream, sequence, doing="removing a dead letter")


def _stored(letter: DeadLetter, *, sequence: int, at: float, size: int) -> StoredLetter:
    job = letter.job
    known_as = id_of(job)
    size = size if job.stored_body is None or letter.callback else job.stored_body.size
    return StoredLetter(
        id=known_as + OF_CALLBACK if letter.callback else known_as,
        letter=letter,
        sequence=sequence,
        stored_at=at,
        size=size,
    )


def _thrown_away(letter: DeadLetter) -> Progress:
    outcome = letter.outcome
    return Progress(
        state=JobState.CANCELLED,
        attempts=outcome.attempts,
        started_at=outcome.started_at,
        status=outcome.answer.status if outcome.answer else 0,
        reason=outcome.reason,
    )


def _none(letter_id: str) -> NotFound:
    return NotFound(f"there is no dead letter {letter_id[:80]!r}")
