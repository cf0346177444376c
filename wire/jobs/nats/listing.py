"""Which jobs there are: of the queues, of those whose time has not come, and the last that ended."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

from springtide.wire.jobs import names
from springtide.wire.jobs.job import FINAL, Job, JobState, JobStatus, Progress, newest
from springtide.wire.jobs.job_id import id_of
from springtide.wire.jobs.message import HEADER, decode_outcome, decode_progress, job_in
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.outcomes import DELIVERED, TRIED
from springtide.wire.jobs.nats.reading import MAX_LASTS, Stored, heads, lasts, sequences, stored
from springtide.wire.jobs.nats.streams import KEY_PREFIX
from springtide.wire.jobs.ports import Wanted

MAX_LOOKED_AT = 5000
"""Of each stream; a job behind so many that are not wanted is not seen, and that is said."""

MAX_READ_BYTES = 64 * 1024 * 1024
"""Bodies come along with jobs that have not ended."""

WINDOW = 500
MAX_PROGRESS = 50_000

_TOLD = frozenset((JobState.RUNNING, JobState.RETRYING))
"""By a worker, as the job's progress."""


class NatsJobList:
    """Implements ``ports.JobList``."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def __repr__(self) -> str:
        return f"<NatsJobList over {self._broker!r}>"

    async def jobs(self, wanted: Wanted, limit: int) -> tuple[list[JobStatus], bool]:
        found: dict[str, JobStatus] = {}
        whole = True
        for source in (self._open(wanted), self._ended(wanted)):
            async with contextlib.aclosing(source) as statuses:
                async for status in statuses:
                    if status is None:
                        whole = False
                    elif len(found) == limit:
                        return await self._with_deliveries(found), False
                    else:
                        found.setdefault(status.job.token, status)  # one may have ended meanwhile
        return await self._with_deliveries(found), whole

    async def _open(self, wanted: Wanted) -> AsyncGenerator[JobStatus | None]:
        """None where it was not looked further."""
        open_states = wanted.states - FINAL
        if not open_states:
            return
        progress = await self._progress()
        if open_states <= _TOLD:
            # Only those of which a worker tells, which are few: none is looked for behind the last of them.
            progress = {token: known for token, known in progress.items() if known.state in open_states}
        for queue in [wanted.queue] if wanted.queue else await self._broker.lookup.queues(known_s=0.0):
            if open_states == {JobState.DELAYED} or (open_states <= _TOLD and not progress):
                break
            ref = wanted.function
            subject = names.function_subjects(queue, ref) if ref else names.job_subjects(queue)
            async for status in self._of(names.stream(queue), subject, progress, wanted):
                yield status
        if JobState.DELAYED in wanted.states:
            for subject in (names.DUE_SUBJECTS, names.DELAYED_SUBJECTS):
                async for status in self._of(names.DELAYED, subject, {}, wanted):
                    yield status

    async def _of(
        self, stream: str, subject: str, progress: dict[str, Progress], wanted: Wanted
    ) -> AsyncGenerator[JobStatus | None]:
        looked_at, read = 0, 0
        left = set(progress) if wanted.states - FINAL <= _TOLD else None
        async with contextlib.aclosing(stored(self._broker.connection, stream, subject)) as messages:
            async for message in messages:
                job = job_in(message.headers)
                looked_at, read = looked_at + 1, read + message.size
                if isinstance(job, Job):
                    known = progress.get(job.token)
                    delayed = stream == names.DELAYED
                    state = known.state if known else JobState.DELAYED if delayed else JobState.QUEUED
                    if _is_wanted(job, state, wanted):
                        known_as = id_of(job, 0 if delayed else message.sequence)
                        yield JobStatus(id=known_as, job=job, state=state, progress=known)
                    if left is not None:
                        left.discard(job.token)
                if left is not None and not left:
                    return
                if looked_at >= MAX_LOOKED_AT or read >= MAX_READ_BYTES:
                    yield None
                    return

    async def _ended(self, wanted: Wanted) -> AsyncGenerator[JobStatus | None]:
        """Newest first."""
        if not wanted.states & FINAL:
            return
        stream, subject = KEY_PREFIX + names.RESULTS, f"$KV.{names.RESULTS}.*"
        (first, end), looked_at = await sequences(self._broker.connection, stream), 0
        while end >= first:
            if looked_at >= MAX_LOOKED_AT:
                yield None
                return
            start = max(1, end - WINDOW + 1)
            messages = await heads(self._broker.connection, stream, subject, start=start, limit=WINDOW)
            for message in reversed([message for message in messages if message.sequence <= end]):
                with contextlib.suppress(ValueError):
                    known_as, job, outcome = decode_outcome(message.headers.get(HEADER, ""), b"")
                    if _is_wanted(job, outcome.state, wanted):
                        yield JobStatus(id=known_as, job=job, state=outcome.state, outcome=outcome)
            looked_at, end = looked_at + WINDOW, start - 1

    async def _progress(self) -> dict[str, Progress]:
        """By token."""
        streams = self._broker.streams
        running = await self._told(await streams.progress(), f"$KV.{names.PROGRESS}.*")
        tried = await self._told(await streams.tries(), TRIED + "*")
        newer = {token: newest(known, running.get(token)) or known for token, known in tried.items()}
        return running | newer

    async def _told(self, stream: str, subject: str) -> dict[str, Progress]:
        found: dict[str, Progress] = {}
        async with contextlib.aclosing(stored(self._broker.connection, stream, subject)) as messages:
            async for message in messages:
                _read(message, found)
                if len(found) >= MAX_PROGRESS:
                    break
        return found

    async def _with_deliveries(self, found: Mapping[str, JobStatus]) -> list[JobStatus]:
        """With what is known of telling their callers, by token."""
        told: dict[str, Progress] = {}
        tokens = [token for token, status in found.items() if status.tells]
        for start in range(0, len(tokens), MAX_LASTS):
            subjects = [DELIVERED + token for token in tokens[start : start + MAX_LASTS]]
            for message in await lasts(self._broker.connection, await self._broker.streams.tries(), subjects):
                _read(message, told)
        return [replace(status, delivery=told.get(token)) for token, status in found.items()]


def _read(message: Stored, into: dict[str, Progress]) -> None:
    """By the token that its subject ends with."""
    with contextlib.suppress(ValueError):  # a later program's, or nobody's
        into[message.subject.rpartition(".")[2]] = decode_progress(message.body)


def _is_wanted(job: Job, state: JobState, wanted: Wanted) -> bool:
    return (
        state in wanted.states
        and (not wanted.queue or job.lane.queue == wanted.queue)
        and wanted.function in (None, job.lane.function)
    )
