"""Going through what a stream has, a piece at a time, without taking any of it away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header
from nats.js.errors import NotFoundError

from springtide.wire.jobs.nats.connection import REQUEST_S, Connection, translated
from springtide.wire.jobs.nats.streams import instant

PIECE = 256
PIECE_BYTES = 4 * 1024 * 1024
"""Of messages that are held at once, and one more."""

MAX_LASTS = 1000
"""Subjects that the server looks for at once; it takes 24 more."""

LEFT_S = 5.0
"""A consumer that its reader did not remove goes after it."""

SIZE = "Nats-Msg-Size"


class Stored(NamedTuple):
    """A message. ``at``: when it was stored, in seconds since 1970, where that is known. ``size`` is its body's."""

    sequence: int
    subject: str
    at: float
    headers: Mapping[str, str]
    body: bytes
    size: int


async def stored(connection: Connection, stream: str, subject: str, *, after: int = 0) -> AsyncGenerator[Stored]:
    """Those of a subject, which may have wildcards, behind a sequence number; none where there is no such stream."""
    while True:
        async with translated(f"reading stream {stream}"):
            messages, left = await _piece(await connection.client(), stream, subject, after + 1)
        for message in messages:
            after = message.sequence
            yield message
        if not left:
            return


async def lasts(connection: Connection, stream: str, subjects: Sequence[str]) -> list[Stored]:
    """The last message of each subject that has one, of at most ``MAX_LASTS``."""
    if not subjects:
        return []
    async with translated(f"reading stream {stream}"):
        client = await connection.client()
        request = {"multi_last": list(subjects), "batch": len(subjects)}
        messages, _ = await _answers(client, f"$JS.API.DIRECT.GET.{stream}", request, len(subjects) + 1)
    return [_whole(message) for message in messages]


async def heads(connection: Connection, stream: str, subject: str, *, start: int, limit: int) -> list[Stored]:
    """The first of them from a sequence number on, without their bodies. Not of a work queue, which knows no readers
    but workers."""
    async with translated(f"reading stream {stream}"):
        jetstream, client = await connection.jetstream(), await connection.client()
        config = ConsumerConfig(
            filter_subject=subject,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=max(1, start),
            ack_policy=AckPolicy.NONE,
            headers_only=True,
            inactive_threshold=LEFT_S,
            mem_storage=True,
            num_replicas=1,
        )
        try:
            consumer = await jetstream.add_consumer(stream, config)
        except NotFoundError:
            return []
        try:
            request = {"batch": limit, "no_wait": True}
            messages, _ = await _answers(client, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer.name}", request, limit)
        finally:
            with contextlib.suppress(NatsError, NotFoundError):
                await jetstream.delete_consumer(stream, consumer.name)
    return [_head(message) for message in messages]


async def sequences(connection: Connection, stream: str) -> tuple[int, int]:
    """The first and the last there is; the last is smaller where it is empty or not there."""
    async with translated(f"stream {stream}"):
        try:
            state = (await (await connection.jetstream()).stream_info(stream)).state
        except NotFoundError:
            return 1, 0
    return max(1, state.first_seq), state.last_seq


async def _piece(client: Client, stream: str, subject: str, start: int) -> tuple[list[Stored], bool]:
    """And whether there is more."""
    request = {"seq": start, "next_by_subj": subject, "batch": PIECE, "max_bytes": PIECE_BYTES}
    messages, end = await _answers(client, f"$JS.API.DIRECT.GET.{stream}", request, PIECE + 1)
    left = end is not None and (end.headers or {}).get("Nats-Num-Pending", "0") != "0"
    return [_whole(message) for message in messages], left


async def _answers(
    client: Client, subject: str, request: Mapping[str, object], limit: int
) -> tuple[list[Msg], Msg | None]:
    """What came in answer to one request, and the message that ended it, where one did."""
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    messages: list[Msg] = []
    try:
        await client.publish(subject, json.dumps(request).encode(), inbox)
        async with asyncio.timeout(REQUEST_S):
            while len(messages) < limit:
                message = await subscription.next_msg(timeout=None)
                if Header.STATUS in (message.headers or {}):
                    return messages, message
                messages.append(message)
        return messages, None
    finally:
        with contextlib.suppress(NatsError):
            await subscription.unsubscribe()


def _whole(message: Msg) -> Stored:
    headers, body = message.headers or {}, message.data
    at = instant(headers["Nats-Time-Stamp"])
    return Stored(int(headers["Nats-Sequence"]), headers["Nats-Subject"], at, headers, body, len(body))


def _head(message: Msg) -> Stored:
    headers, place = message.headers or {}, message.metadata
    size = int(headers.get(SIZE, "0"))
    return Stored(place.sequence.stream, message.subject, place.timestamp.timestamp(), headers, b"", size)
