"""One event to each function that wants it, for as long as it takes: nothing is consumed that could be delivered later.

``verdict`` is the rule, and pure. Through the queue an event is over for a function once its call is stored: a
repetition has the same Idempotency-Key, and is the same call. Called at once, it is over when the function has
answered, whatever it answers, as OpenFaaS's connectors have it; what the gateway answers itself because it is busy, or
because there is no replica, is no answer of the function's.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from springtide.runtime.backoff import Backoff
from springtide.runtime.counted_warning import CountedWarning
from springtide.runtime.outage import Outage
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.gateway_requests import NO_QUEUE, Queue, refuses, told
from springtide.wire.events.delivery_mode import DeliveryMode
from springtide.wire.events.event import Event, idempotency_key
from springtide.wire.events.headers import RawHeaders, call_headers

BACKOFF = Backoff(0.1, 15.0, jitter=0.5)
MAX_LOST = 5
"""Times that a replica may be lost over an event, or its time be over, before it is the event that does it."""
MAX_UNKNOWN = 20
"""Times that the gateway may say that there is no function which the provider tells of; it may hear of it later. Two to
four minutes."""
NO_QUEUE_WARNING = (
    "the gateway has no queue (501): functions are called at once, and an event is over when its function has "
    "answered; with nats_url the gateway has one"
)


class Outcome(enum.StrEnum):
    """What became of an event for one function."""

    STORED = "stored"
    ANSWERED = "answered"
    FAILED = "failed"
    """The function answered with an error, or again and again not at all."""
    REFUSED = "refused"
    """The gateway will never take it."""
    GONE = "gone"
    """The function was removed, or wants it no more."""


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """``status`` 0: none came. ``internal``: it is the gateway's own. ``text``: how it begins."""

    status: int
    internal: bool = False
    text: str = ""


class FunctionCaller(Protocol):
    """Calls functions by the gateway."""

    async def call(self, function: FunctionRef, mode: DeliveryMode, headers: RawHeaders, body: bytes) -> CallAnswer: ...


class Subscribers(Protocol):
    def wanting(self, names: tuple[str, ...]) -> Mapping[FunctionRef, DeliveryMode]: ...

    def wants(self, function: FunctionRef, names: tuple[str, ...]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Delivered:
    """To one function. ``status`` and ``text`` are the last answer's."""

    function: FunctionRef
    outcome: Outcome
    mode: DeliveryMode
    attempts: int
    status: int = 0
    text: str = ""


def verdict(answer: CallAnswer, mode: DeliveryMode, *, attempt: int) -> Outcome | None:
    """What it means for the event; None: it is tried again. ``attempt`` counts from 1."""
    return _stored(answer, attempt) if mode is DeliveryMode.ASYNC else _answered(answer, attempt)


def _stored(answer: CallAnswer, attempt: int) -> Outcome | None:
    if 200 <= answer.status < 300:
        return Outcome.STORED
    if answer.status == 404:
        return None if attempt < MAX_UNKNOWN else Outcome.REFUSED
    return Outcome.REFUSED if refuses(answer.status) else None


def _answered(answer: CallAnswer, attempt: int) -> Outcome | None:
    if 200 <= answer.status < 300:
        return Outcome.ANSWERED
    busy = answer.internal and answer.status in (429, 503)
    lost = answer.status == 0 or (answer.internal and answer.status in (502, 504))
    if busy or (lost and attempt < MAX_LOST):
        return None
    return Outcome.FAILED


class Delivery:
    """Of the events of one source. ``retried`` is called before each further try."""

    def __init__(
        self,
        caller: FunctionCaller,
        subscribers: Subscribers,
        queue: Queue,
        *,
        connector: str,
        retried: Callable[[], None] = lambda: None,
    ) -> None:
        self._caller = caller
        self._subscribers = subscribers
        self._queue = queue
        self._connector = connector
        self._outage = Outage("events wait, as the gateway does not take them", connector=connector)
        self._retried = retried
        self._refused = CountedWarning("an event is consumed that its function will never get")

    def __repr__(self) -> str:
        return f"<Delivery of {self._connector}>"

    async def deliver(self, event: Event, *, content_type: str) -> list[Delivered]:
        """What became of it, by function: none where nobody wants it. Cancelled, it is to be delivered anew."""
        wanting = self._subscribers.wanting(event.names)
        if not wanting:
            return []
        headers = call_headers(event, connector=self._connector, content_type=content_type)
        headers.append((b"Idempotency-Key", idempotency_key(event).encode()))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._to(function, mode, event, headers)) for function, mode in wanting.items()]
        return [task.result() for task in tasks]

    async def _to(self, function: FunctionRef, wished: DeliveryMode, event: Event, headers: RawHeaders) -> Delivered:
        attempt = 0
        while True:
            attempt += 1
            mode = wished if self._queue.there else DeliveryMode.SYNC
            answer = await self._caller.call(function, mode, headers, event.body)
            if mode is DeliveryMode.ASYNC and answer.status == NO_QUEUE:
                self._queue.missing()
                attempt -= 1
                continue
            outcome = verdict(answer, mode, attempt=attempt)
            if outcome is None and not self._subscribers.wants(function, event.names):
                outcome = Outcome.GONE
            if outcome is not None:
                self._outage.over()
                if outcome is Outcome.REFUSED:
                    self._refused.seen(
                        connector=self._connector, function=str(function), why=told(answer.status, answer.text)
                    )
                return Delivered(function, outcome, mode, attempt, answer.status, answer.text)
            self._retried()
            self._outage.failed(told(answer.status, answer.text), function=str(function))
            await asyncio.sleep(BACKOFF.delay_s(attempt))
