"""A queue out of one broker and into another: its jobs, those whose time has not come, and its dead letters."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from springtide.runtime.errors import BadInput, NotFound
from springtide.wire.jobs import names
from springtide.wire.jobs.job import Job, StoredBody
from springtide.wire.jobs.job_id import dead_name, id_of, place_of, queue_number
from springtide.wire.jobs.message import (
    CALLBACK_HEADER,
    HEADER,
    decode_callback,
    decode_letter,
    encode_callback,
    encode_letter,
    job_in,
)
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.connection import translated
from springtide.wire.jobs.nats.one_message import last
from springtide.wire.jobs.nats.reading import Stored, stored
from springtide.wire.jobs.nats.requeue import Requeue
from springtide.wire.jobs.ports import TakenIn
from springtide.wire.jobs.transfer_lines import MAX_PIECE, Broken, End, JobLine, LetterLine, Line, Piece

AT_ONCE = 64
"""Jobs that wait for the disk together."""

MAX_INLINE = 8 * 1024 * 1024
"""Bytes of a body that is in its message: what our own server takes."""

_Result = TypeVar("_Result")


@dataclass(slots=True)
class _Taken:
    jobs: int = 0
    dead: int = 0
    there: int = 0

    def count(self, *, jobs: bool | None = None, dead: bool | None = None) -> None:
        """One of them, and whether it was added."""
        self.jobs += jobs is True
        self.dead += dead is True
        self.there += not (jobs or dead)


class NatsTransfer:
    """Implements ``ports.Transfer``."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._requeue = Requeue(broker)

    def __repr__(self) -> str:
        return f"<NatsTransfer over {self._broker!r}>"

    async def export(self, queue: str) -> AsyncGenerator[Line]:
        # A job goes from delayed to queued to dead: who reads in this order misses none that goes on meanwhile.
        jobs = dead = unreadable = 0
        async with contextlib.aclosing(self._messages(queue)) as messages:
            async for message, of_dead in messages:
                try:
                    line = _letter_line(message) if of_dead else _job_line(message)
                except ValueError:
                    unreadable += 1
                    continue
                if line.job.lane.queue != queue:
                    continue  # delayed, of another one with the same number
                whole = True
                async with contextlib.aclosing(self._with_body(line)) as parts:
                    async for part in parts:
                        whole = part is not None
                        if part is not None:
                            yield part
                jobs += whole and not of_dead
                dead += whole and of_dead
                unreadable += not whole
        yield End(jobs, dead, unreadable)

    async def take_in(self, lines: AsyncIterator[Line]) -> TakenIn:
        taken = _Taken()
        small: list[JobLine] = []
        async for line in lines:
            match line:
                case JobLine(pieces=0):
                    _checked(line)
                    small.append(line)
                    if len(small) == AT_ONCE:
                        await self._take_small(small, taken)
                case JobLine():
                    await self._take_small(small, taken)  # in their order
                    taken.count(jobs=await self._take_job(line, lines))
                case LetterLine():
                    taken.count(dead=await self._take_letter(line, lines))
                case Piece():
                    raise BadInput("a piece of a body stands behind no job that has one")
                case End() | Broken():
                    break
        await self._take_small(small, taken)
        return TakenIn(taken.jobs, taken.dead, taken.there)

    async def _take_small(self, small: list[JobLine], taken: _Taken) -> None:
        """At once, as each waits for the disk. One after the other would cost a minute for some thousands."""
        batch, small[:] = list(small), []
        added = await _all(self._requeue.announce(line.job) for line in batch)
        wanted = [line for line, is_wanted in zip(batch, added, strict=True) if is_wanted]
        await _all(self._requeue.follow(line.job, line.body) for line in wanted)
        for is_added in added:
            taken.count(jobs=is_added)

    async def _messages(self, queue: str) -> AsyncGenerator[tuple[Stored, bool]]:
        """And whether it is a dead letter."""
        number, connection = queue_number(queue), self._broker.connection
        for stream, subject, of_dead in (
            (names.DELAYED, names.delayed_subject(number, "*"), False),
            (names.DELAYED, names.due_subject(number, "*"), False),
            (names.stream(queue), names.job_subjects(queue), False),
            (names.dead_stream(queue), names.dead_subject(queue, "*"), True),
        ):
            async with contextlib.aclosing(stored(connection, stream, subject)) as messages:
                async for message in messages:
                    yield message, of_dead

    async def _with_body(self, line: JobLine | LetterLine) -> AsyncGenerator[Line | None]:
        """The line, and its body in pieces where that is large; None alone where a stored one is gone, as nothing could
        be run then."""
        body = _stored_body(line)
        if body is None and len(line.body) <= MAX_PIECE:
            yield line
            return
        pieces = self._broker.bodies.read(body) if body is not None else _cut(line.body)
        line, began = replace(line, body=b"", pieces=body.size if body is not None else len(line.body)), False
        async with contextlib.aclosing(pieces):
            try:
                async for piece in pieces:
                    if not began:
                        began = True
                        yield line
                    yield Piece(piece)
            except NotFound:
                if began:
                    raise
                yield None

    async def _take_job(self, line: JobLine, lines: AsyncIterator[Line]) -> bool:
        _checked(line)
        job = _own_body(line)
        if await self._requeue.known(job):
            await _passed_over(line, lines)
            return False
        return await self._requeue.put(job, await self._body(line, lines))

    async def _take_letter(self, line: LetterLine, lines: AsyncIterator[Line]) -> bool:
        _checked(line)
        letter = replace(line.letter, job=_own_body(line))
        job = letter.job
        streams, queue = self._broker.streams, job.lane.queue
        stream = await streams.dead(queue)
        subject = names.dead_subject(queue, dead_name(job.token, callback=letter.callback))
        put_back = not letter.callback and await self._requeue.known(replace(job, round=job.round + 1))
        if put_back or await self._is_there(stream, subject):
            await _passed_over(line, lines)
            return False
        body = await self._body(line, lines)
        headers = {HEADER: encode_letter(letter)}
        if line.callback is not None:
            headers[CALLBACK_HEADER] = encode_callback(line.callback)
        async with translated("storing a dead letter"):
            return await self._broker.requests.store_first(lambda: streams.dead(queue), subject, body, headers)

    async def _body(self, line: JobLine | LetterLine, lines: AsyncIterator[Line]) -> bytes:
        """What goes into the message; one that is stored apart is stored."""
        if _stored_body(line) is not None:
            await self._broker.bodies.discard(line.job.token)  # what was left when an import broke off
            await self._broker.bodies.store(line.job.token, _pieces(line.pieces, lines))
            return b""
        if line.pieces > MAX_INLINE:
            raise BadInput(f"a body of {line.pieces} bytes is too large for a message; at most {MAX_INLINE}")
        return line.body + b"".join([piece async for piece in _pieces(line.pieces, lines)])

    async def _is_there(self, stream: str, subject: str) -> bool:
        return await last(self._broker.connection, stream, subject, doing="looking for a dead letter") is not None


def _job_line(message: Stored) -> JobLine:
    """Raises ValueError."""
    job = job_in(message.headers)
    if not isinstance(job, Job):
        raise job
    sequence = message.sequence if message.subject.startswith("of.job.") else 0
    return JobLine(replace(job, id=id_of(job, sequence)), message.body)


def _letter_line(message: Stored) -> LetterLine:
    """Raises ValueError."""
    letter = decode_letter(message.headers.get(HEADER, ""))
    callback = decode_callback(message.headers.get(CALLBACK_HEADER, "")) if letter.callback else None
    job = letter.job
    return LetterLine(replace(letter, job=replace(job, id=id_of(job))), message.body, callback)


def _stored_body(line: JobLine | LetterLine) -> StoredBody | None:
    """A callback's letter has the answer as its body, and nothing of the call's."""
    of_callback = isinstance(line, LetterLine) and line.letter.callback
    return None if of_callback else line.job.stored_body


def _own_body(line: JobLine | LetterLine) -> Job:
    """Nobody else's, whatever a file names."""
    job = line.job
    return replace(job, stored_body=StoredBody(job.token, line.pieces)) if _stored_body(line) is not None else job


def _checked(line: JobLine | LetterLine) -> None:
    """Raises BadInput."""
    job = line.job
    if _stored_body(line) is not None and not line.pieces:
        raise BadInput("a body that is stored apart is not behind its job")
    names.checked_queue(job.lane.queue, "a job's queue")
    place = place_of(job.id)
    if place is None or place.token != job.token or place.queue != queue_number(job.lane.queue):
        raise BadInput(f"a job's id {job.id[:80]!r} is not that of its token and its queue")


async def _all(work: Iterable[Awaitable[_Result]]) -> list[_Result]:
    """Together, each to its end; raises what the first of them raised."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[_Result]", results)


async def _pieces(size: int, lines: AsyncIterator[Line]) -> AsyncGenerator[bytes]:
    """Raises BadInput where they are not as long as was said."""
    left = size
    while left > 0:
        line = await anext(lines, None)
        if not isinstance(line, Piece) or not 0 < len(line.data) <= left:
            raise BadInput(f"a body of {size} bytes is cut off, or too long")
        left -= len(line.data)
        yield line.data


async def _passed_over(line: JobLine | LetterLine, lines: AsyncIterator[Line]) -> None:
    async for _ in _pieces(line.pieces, lines):
        pass


async def _cut(body: bytes) -> AsyncGenerator[bytes]:
    for at in range(0, len(body), MAX_PIECE):
        yield body[at : at + MAX_PIECE]
