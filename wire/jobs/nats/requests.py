"""Requests to the broker, many at once over one connection; a message that is stored is answered once it is on disk.

The client's own requests cost more than all else that a gateway does with a call: a name, a timer and an answer of
several objects for each. Here answers come to one inbox, by number; one timer serves all, for they wait equally long;
and when the connection is lost whoever waits is told at once, not after the time that an answer may take.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import Header
from nats.js.errors import APIError, NoStreamResponseError

from springtide.runtime.errors import Unavailable
from springtide.wire.jobs.nats.connection import REQUEST_S, Connection
from springtide.wire.jobs.nats.publication import publish
from springtide.wire.jobs.nats.streams import Streams
from springtide.wire.jobs.nats.unstored import Unstored

Stream = Callable[[], Awaitable[str]]
"""Makes a stream, unless it is known to be there; its name."""

_ACKNOWLEDGED = re.compile(rb'\A\{"stream":"[^"]*", ?"seq":(\d+)[,}]')
_NO_RESPONDERS = "503"
_WRONG_LAST_SEQUENCE = 10071


class Requests:
    def __init__(self, connection: Connection, streams: Streams) -> None:
        self._connection = connection
        self._streams = streams
        self._client: Client | None = None
        self._subscription: Subscription | None = None
        self._inbox = ""
        self._number = 0
        self._waiting: dict[str, tuple[float, asyncio.Future[Msg]]] = {}
        """By the inbox's last word, oldest first: until when it waits."""
        self._timer: asyncio.TimerHandle | None = None
        self.unstored = Unstored()
        connection.listen(lost=self._lost, found=self.unstored.forget)

    def __repr__(self) -> str:
        return f"<Requests, {len(self._waiting)} not answered>"

    async def store(self, stream: Stream, subject: str, body: bytes, headers: Mapping[str, str] | None = None) -> int:
        """The sequence it has in its stream, which is made anew where it is gone: somebody removed it, or its server
        began anew. Raises what the client raises, and Unavailable."""
        name = await stream()
        try:
            return await self._stored(name, subject, body, headers)
        except NoStreamResponseError:
            self._streams.forget(name)
            return await self._stored(await stream(), subject, body, headers)

    async def store_first(
        self, stream: Stream, subject: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> bool:
        """As ``store``, unless the subject has a message already; whether it had none."""
        first = {**(headers or {}), Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"}
        try:
            await self.store(stream, subject, body, first)
        except APIError as error:
            if error.err_code != _WRONG_LAST_SEQUENCE:
                raise
            return False
        return True

    async def ask(self, subject: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Msg:
        """The answer. Raises what the client raises, NoStreamResponseError where nobody listens, and Unavailable."""
        client = await self._listening()
        loop = asyncio.get_running_loop()
        self._number += 1
        word = str(self._number)
        answer: asyncio.Future[Msg] = loop.create_future()
        self._waiting[word] = loop.time() + REQUEST_S, answer
        if self._timer is None:
            self._timer = loop.call_later(REQUEST_S, self._expire)
        try:
            if headers:
                await publish(client, subject, body, f"{self._inbox}{word}", headers)
            else:
                await client.publish(subject, body, f"{self._inbox}{word}")
            message = await answer
        finally:
            self._waiting.pop(word, None)
        if message.headers and message.headers.get(Header.STATUS) == _NO_RESPONDERS:
            raise NoStreamResponseError
        return message

    async def _stored(self, stream: str, subject: str, body: bytes, headers: Mapping[str, str] | None) -> int:
        whole = {**(headers or {}), Header.EXPECTED_STREAM.value: stream}
        answer = await self.unstored.answered(stream, lambda: self.ask(subject, body, whole))
        return _sequence(answer.data)

    async def _listening(self) -> Client:
        client = await self._connection.client()
        if self._client is not client:
            inbox = f"{client.new_inbox()}."
            self._subscription = await client.subscribe(f"{inbox}*", cb=self._heard)
            self._client, self._inbox = client, inbox
        return client

    async def _heard(self, message: Msg) -> None:
        waiting = self._waiting.pop(message.subject.rpartition(".")[2], None)
        if waiting is not None and not waiting[1].done():
            waiting[1].set_result(message)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        now, self._timer = loop.time(), None
        while self._waiting:
            word = next(iter(self._waiting))
            until, answer = self._waiting[word]
            if until > now:
                self._timer = loop.call_at(until, self._expire)
                return
            del self._waiting[word]
            if not answer.done():
                answer.set_exception(TimeoutError(f"nothing came within {REQUEST_S:g} s"))

    def _lost(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for _, answer in waiting.values():
            if not answer.done():
                answer.set_exception(Unavailable("the queue's server went away before it answered"))


def _sequence(data: bytes) -> int:
    found = _ACKNOWLEDGED.match(data)
    if found is not None:
        return int(found[1])
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        APIError.from_error(answer["error"])  # raises it
    return int(answer["seq"])
