"""How jobs ended, and how those that have not are getting on."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator

from nats.aio.msg import Msg
from nats.js.api import Header

from springtide.wire.jobs import names
from springtide.wire.jobs.job import Job, JobState, Outcome, Progress, newest
from springtide.wire.jobs.message import (
    HEADER,
    decode_outcome,
    decode_progress,
    encode_outcome,
    encode_progress,
)
from springtide.wire.jobs.nats.connection import Connection, translated
from springtide.wire.jobs.nats.one_message import last
from springtide.wire.jobs.nats.requests import Requests, Stream
from springtide.wire.jobs.nats.streams import KEY_PREFIX, Streams

NEARLY_ALL = 0.9

_RESULT, _PROGRESS = f"$KV.{names.RESULTS}.", f"$KV.{names.PROGRESS}."
TRIED, DELIVERED = f"$KV.{names.TRIES}.call.", f"$KV.{names.TRIES}.callback."
"""Before a job's token: how often the call was tried, and how telling its caller goes."""


class Outcomes:
    def __init__(self, connection: Connection, streams: Streams, requests: Requests) -> None:
        self._connection = connection
        self._streams = streams
        self._requests = requests

    def __repr__(self) -> str:
        return f"<Outcomes over {self._connection!r}>"

    async def store(self, job: Job, job_id: str, outcome: Outcome, *, first: bool = False) -> None:
        """And tell whoever waits for it. ``first``: not over another one."""
        body = outcome.answer.body if outcome.answer else b""
        headers = {HEADER: encode_outcome(job, job_id, outcome)}
        async with translated("storing how a job ended"):
            store = self._requests.store_first if first else self._requests.store
            await store(self._streams.results, _RESULT + job.token, body, headers)
            client = await self._connection.client()
            await client.publish(names.ended_subject(job.token))

    async def of(self, token: str) -> tuple[str, Job, Outcome] | None:
        """With the id that its caller has."""
        bucket = await self._streams.results()
        async with translated("how a job ended"):
            found = await self._requests.ask(f"$JS.API.DIRECT.GET.{bucket}.{_RESULT}{token}")
        if Header.STATUS in (found.headers or {}):
            return None
        try:
            return decode_outcome((found.headers or {}).get(HEADER, ""), found.data)
        except ValueError:
            return None  # a later program's, or nobody's

    async def forget(self, token: str) -> None:
        bucket = await self._streams.results()
        async with translated("forgetting how a job ended"):
            await (await self._connection.jetstream()).purge_stream(bucket, subject=_RESULT + token)

    @contextlib.asynccontextmanager
    async def announced(self, token: str) -> AsyncGenerator[asyncio.Event]:
        """An event that is set when the job's end has been stored since."""
        told = asyncio.Event()

        async def hear(_: Msg) -> None:
            told.set()

        async with translated("waiting for the end of a job"):
            client = await self._connection.client()
            subscription = await client.subscribe(names.ended_subject(token), cb=hear)
        try:
            yield told
        finally:
            async with translated("waiting for the end of a job"):
                await subscription.unsubscribe()

    async def tell(self, token: str, progress: Progress) -> None:
        """Not waited for: a view. That a job runs is in the broker's memory, for its worker tells it again; that it
        waits for another try, and how often it was tried, on its disk."""
        if progress.state is JobState.RUNNING:
            await self._publish(self._streams.progress, _PROGRESS + token, progress)
        else:
            await self._publish(self._streams.tries, TRIED + token, progress)

    async def tell_delivery(self, token: str, progress: Progress) -> None:
        """Not waited for either."""
        await self._publish(self._streams.tries, DELIVERED + token, progress)

    async def progress(self, token: str) -> Progress | None:
        """The newest of what was told of a job that has not ended."""
        running = self._told(self._streams.progress, _PROGRESS + token)
        tried = self._told(self._streams.tries, TRIED + token)
        return newest(*await asyncio.gather(running, tried))

    async def remembers(self, *, since: float) -> bool:
        """Whether all that was told of jobs that run from then on is there: the server's memory may have been lost
        since, and when it is full the oldest is forgotten."""
        bucket = await self._streams.progress()
        state = await self._streams.state(bucket)
        return state.created_at <= since and state.stored_bytes < self._streams.bounds.max_progress_bytes * NEARLY_ALL

    async def delivery(self, token: str) -> Progress | None:
        return await self._told(self._streams.tries, DELIVERED + token)

    async def forget_progress(self, token: str, *, tried: bool) -> None:
        """Not waited for. ``tried``: it may have waited for another try. A server that was started anew has no other
        progress, and nothing to forget."""
        await self._purge(names.PROGRESS, _PROGRESS + token)
        if tried:
            await self._purge(names.TRIES, TRIED + token)

    async def forget_delivery(self, token: str) -> None:
        """Nor this: its caller is to be told anew."""
        await self._purge(names.TRIES, DELIVERED + token)

    async def _purge(self, bucket: str, subject: str) -> None:
        async with translated("forgetting a job"):
            client = await self._connection.client()
            request = json.dumps({"filter": subject}).encode()
            await client.publish(f"$JS.API.STREAM.PURGE.{KEY_PREFIX}{bucket}", request)

    async def _publish(self, stream: Stream, subject: str, progress: Progress) -> None:
        await stream()
        async with translated("telling of a job"):
            client = await self._connection.client()
            await client.publish(subject, encode_progress(progress))

    async def _told(self, stream: Stream, subject: str) -> Progress | None:
        found = await last(self._connection, await stream(), subject, doing="how a job is getting on")
        if found is None:
            return None
        try:
            return decode_progress(found.data or b"")
        except ValueError:
            return None
