"""The streams and buckets: how each is made, and that it is there before it is used."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, BadRequestError

from springtide.runtime.errors import TooMany
from springtide.wire.jobs import names
from springtide.wire.jobs.bounds import Bounds
from springtide.wire.jobs.nats.connection import REQUEST_S, Connection, translated

KEY_PREFIX = "KV_"
OBJECT_PREFIX = "OBJ_"

DUPLICATES_S = 120.0
"""How long a repeated write is known as one."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """``first_at``: when its oldest message was stored, in seconds since 1970; 0 if there is none. ``created_at`` is
    infinite of one that is not there."""

    messages: int
    first_at: float
    subjects: Mapping[str, int]
    stored_bytes: int = 0
    created_at: float = float("inf")


class Streams:
    """``replicas``: servers of a cluster that keep each message."""

    def __init__(self, connection: Connection, bounds: Bounds, *, replicas: int = 1) -> None:
        self._connection = connection
        self._bounds = bounds
        self._replicas = replicas
        self._there: set[str] = set()
        self._lock = asyncio.Lock()
        # A server that ended has lost what it had in memory, and perhaps what it could not read of its disk.
        connection.listen(found=self._there.clear)

    def __repr__(self) -> str:
        return f"<Streams {sorted(self._there)}>"

    @property
    def bounds(self) -> Bounds:
        return self._bounds

    async def queue(self, queue: str) -> str:
        """The name of its stream, which is there. Raises Unavailable, and TooMany where there may be no more queues."""
        if (known := names.stream(queue)) in self._there:
            return known
        bounds = self._bounds

        async def bounded() -> None:
            there = [name for name in await self.names() if names.queue_of_stream(name)]
            if known not in there and len(there) >= bounds.max_queues:
                raise TooMany(f"queue {queue} is not there yet, and there are {len(there)} already, as many as may be")

        return await self._ensure(
            StreamConfig(
                name=names.stream(queue),
                subjects=[names.job_subjects(queue)],
                retention=RetentionPolicy.WORK_QUEUE,
                discard=DiscardPolicy.NEW,
                discard_new_per_subject=True,
                max_msgs=bounds.max_jobs,
                max_msgs_per_subject=bounds.max_lane_jobs,
                max_consumers=bounds.max_lanes,
                duplicate_window=DUPLICATES_S,
            ),
            first=bounded,
        )

    async def dead(self, queue: str) -> str:
        return await self._ensure(
            StreamConfig(
                name=names.dead_stream(queue),
                subjects=[names.dead_subject(queue, "*")],
                discard=DiscardPolicy.NEW,
                max_msgs=self._bounds.max_dead,
                max_msgs_per_subject=1,
                duplicate_window=DUPLICATES_S,
            )
        )

    async def delayed(self) -> str:
        """It cannot refuse what is too much, for that excludes schedules; whoever stores counts."""
        return await self._ensure(
            StreamConfig(
                name=names.DELAYED,
                subjects=[names.DELAYED_SUBJECTS, names.DUE_SUBJECTS],
                retention=RetentionPolicy.WORK_QUEUE,
                duplicate_window=DUPLICATES_S,
                allow_msg_schedules=True,
                allow_msg_ttl=True,
            )
        )

    async def callbacks(self) -> str:
        return await self._ensure(
            StreamConfig(
                name=names.CALLBACKS,
                subjects=[names.CALLBACK_SUBJECT],
                retention=RetentionPolicy.WORK_QUEUE,
                discard=DiscardPolicy.NEW,
                max_msgs=self._bounds.max_callbacks,
                duplicate_window=DUPLICATES_S,
            )
        )

    async def results(self) -> str:
        return await self._bucket(names.RESULTS, age_s=self._bounds.result_age_s, size=self._bounds.max_result_bytes)

    async def places(self) -> str:
        return await self._bucket(names.PLACES, age_s=self._bounds.body_age_s, size=self._bounds.max_key_bytes)

    async def keys(self) -> str:
        return await self._bucket(names.KEYS, age_s=self._bounds.key_age_s, size=self._bounds.max_key_bytes)

    async def cron(self) -> str:
        """What is kept of schedules, which nothing may push out."""
        return await self._kept(names.CRON)

    async def sleep(self) -> str:
        """What functions' pauses have taught, which nothing may push out either."""
        return await self._kept(names.SLEEP)

    async def _kept(self, name: str) -> str:
        return await self._ensure(
            StreamConfig(
                name=KEY_PREFIX + name,
                subjects=[f"$KV.{name}.>"],
                max_msgs_per_subject=1,
                discard=DiscardPolicy.NEW,
                allow_rollup_hdrs=True,
                duplicate_window=DUPLICATES_S,
            )
        )

    async def progress(self) -> str:
        return await self._bucket(
            names.PROGRESS,
            age_s=self._bounds.result_age_s,
            size=self._bounds.max_progress_bytes,
            storage=StorageType.MEMORY,
        )

    async def tries(self) -> str:
        """On the disk: what a job waits for between two tries is not told again by anybody."""
        bounds = self._bounds
        return await self._bucket(names.TRIES, age_s=bounds.tries_age_s, size=bounds.max_tries_bytes)

    async def bodies(self) -> str:
        """As the client's own object store makes it, so that its tools read it."""
        bucket, bounds = names.BODIES, self._bounds
        return await self._ensure(
            StreamConfig(
                name=OBJECT_PREFIX + bucket,
                subjects=[f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"],
                discard=DiscardPolicy.NEW,
                max_age=bounds.body_age_s,
                allow_rollup_hdrs=True,
            )
        )

    async def durable(
        self, stream: str, name: str, *, filter_subject: str, ack_wait_s: float, idle_s: float = 0.0
    ) -> None:
        """A consumer of which each message is acknowledged by itself; as many may be out as are asked for, since one
        handed back with a delay counts as out until its time has come. The server forgets it after ``idle_s`` in which
        nobody asked for anything and nothing was out."""
        config = ConsumerConfig(
            durable_name=name,
            filter_subject=filter_subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait_s,
            max_ack_pending=-1,
            max_deliver=-1,
            inactive_threshold=idle_s or None,
        )
        async with translated(f"consumer {name}"):
            await (await self._connection.jetstream()).add_consumer(stream, config)

    async def names(self) -> list[str]:
        """Of all streams that there are, buckets included."""
        listed: list[str] = []
        async with translated("the streams"):
            client = await self._connection.client()
            while True:
                request = json.dumps({"offset": len(listed)}).encode()
                answer = json.loads((await client.request("$JS.API.STREAM.NAMES", request, timeout=REQUEST_S)).data)
                found = answer.get("streams") or []
                listed += found
                if not found or len(listed) >= answer.get("total", 0):
                    return listed

    async def state(self, stream: str, *, subjects: str = "") -> StreamState:
        """What is in it; of the ``subjects`` that match each one's messages are counted. All zero where it is not."""
        counts: dict[str, int] = {}
        async with translated(f"stream {stream}"):
            client = await self._connection.client()
            while True:
                request = {"subjects_filter": subjects, "offset": len(counts)} if subjects else {}
                subject = f"$JS.API.STREAM.INFO.{stream}"
                answer = json.loads(
                    (await client.request(subject, json.dumps(request).encode(), timeout=REQUEST_S)).data
                )
                if "error" in answer:
                    if answer["error"].get("code") == _NOT_FOUND:
                        return StreamState(0, 0.0, {})
                    APIError.from_error(answer["error"])  # raises it
                state = answer["state"]
                found = state.get("subjects") or {}
                counts.update(found)
                if not found or len(counts) >= answer.get("total", 0):
                    first = state["first_ts"] if state["messages"] else ""
                    created = instant(answer["created"])
                    return StreamState(state["messages"], instant(first), counts, state["bytes"], created)

    def forget(self, stream: str) -> None:
        """It was not there after all: somebody removed it, or its server began anew."""
        self._there.discard(stream)

    async def _bucket(self, bucket: str, *, age_s: float, size: int, storage: StorageType = StorageType.FILE) -> str:
        """A key-value bucket that forgets the oldest when it is full; the client's own refuses the newest."""
        if (known := KEY_PREFIX + bucket) in self._there:
            return known
        return await self._ensure(
            StreamConfig(
                name=KEY_PREFIX + bucket,
                subjects=[f"$KV.{bucket}.>"],
                max_msgs_per_subject=1,
                max_bytes=size,
                max_age=age_s,
                discard=DiscardPolicy.OLD,
                storage=storage,
                allow_rollup_hdrs=True,
                duplicate_window=min(age_s, DUPLICATES_S),
            )
        )

    async def _ensure(self, config: StreamConfig, *, first: Callable[[], Awaitable[None]] | None = None) -> str:
        """``first`` is asked before it is made, and nothing else is made meanwhile."""
        name = config.name
        assert name is not None
        if name in self._there:
            return name
        async with self._lock, translated(f"stream {name}"):
            if name not in self._there:
                if first is not None:
                    await first()
                jetstream = await self._connection.jetstream()
                whole = replace(config, num_replicas=self._replicas, allow_direct=True)
                try:
                    await jetstream.add_stream(whole)
                except BadRequestError as error:
                    if error.err_code != _NAME_IN_USE:
                        raise
                    await self._update(whole)
                except APIError as error:
                    # The server asks whether there is room for one more before it sees that it has it.
                    if error.err_code != _NO_ROOM or name not in await self.names():
                        raise
                self._there.add(name)
        return name

    async def _update(self, config: StreamConfig) -> None:
        """It was made with other bounds. What cannot be changed, such as the retention of one that somebody made by
        hand, is an error that names the stream."""
        await (await self._connection.jetstream()).update_stream(config)


def instant(text: str) -> float:
    """Of the server's nanoseconds the first six digits, which is what Python reads."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp() if text else 0.0


_NOT_FOUND = 404
_NAME_IN_USE = 10058
"""With a configuration that differs."""
_NO_ROOM = 10047
"""For the bytes that it sets aside."""
