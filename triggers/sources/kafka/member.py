"""One member of a group of Kafka's consumers: the C client, asked by a thread of its own, and what it has brought.

All that blocks is in that thread, and so is each change of which partitions are ours. It asks all the time: a member
that does not is taken for dead, and holds up the others. While nobody wants more events, partitions are paused.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_INVALID, TIMESTAMP_NOT_AVAILABLE, Consumer, Message, TopicPartition
from confluent_kafka import KafkaError as Error
from confluent_kafka import KafkaException as Failure

from springtide.runtime.counted_warning import CountedWarning
from springtide.runtime.errors import BadInput, SpringtideError, Unavailable
from springtide.triggers.consumed import Consumed
from springtide.triggers.source import Received
from springtide.triggers.sources.kafka.record import Record, event_of
from springtide.wire.events.event import Event

CONNECT_S, LOOK_S = 15.0, 1.0
"""A group's first member of all may wait for the servers to make what they keep of groups."""
POLL_S = 0.25
BATCH = 32
MAX_WAITING_BYTES = 16 * 1024 * 1024
PAUSE_AFTER_S = 1.0
"""Pausing throws away what was fetched ahead; it pays only when nobody wants more for longer."""
FINISH_S = 10.0
"""For deliveries of a partition that becomes another copy's. What is not over by then comes to that copy, too."""
DOWN_S, DOWN_LOOK_S = 5.0, 2.0
"""How long all servers may be away before it counts."""
CLOSE_S = 15.0

LOGIN = "see user, password_path, sasl and tls"
RIGHTS = "see user, and its rights to topics and group"
REFUSED = {
    Error._AUTHENTICATION: ("it refuses the credentials", LOGIN),
    Error.SASL_AUTHENTICATION_FAILED: ("it refuses the credentials", LOGIN),
    Error._SSL: ("there is no TLS with it", "see tls, ca_path, cert_path and key_path"),
    Error.TOPIC_AUTHORIZATION_FAILED: ("the user may not read a topic", RIGHTS),
    Error.GROUP_AUTHORIZATION_FAILED: ("the user may not be in the group", RIGHTS),
    Error.INVALID_SESSION_TIMEOUT: ("it refuses the session's length", "write session: 15s, or what its servers take"),
    Error.INCONSISTENT_GROUP_PROTOCOL: (
        "others in the group divide its partitions by another rule",
        "stop them, or take another group",
    ),
}
"""What trying again does not mend, and the remedy."""


Position = tuple[int, int]
"""An offset, and the epoch of the server that leads, by which Kafka knows of logs that were cut; -1: none is known."""


@dataclass(slots=True, eq=False)
class _Log:
    """A partition, from the moment that it becomes ours until it is not. ``lent``: in flight."""

    topic: str
    partition: int
    open: Consumed[Position] = field(default_factory=Consumed[Position])
    lent: int = 0
    ours: bool = True
    consumed: Position | None = None
    """Up to where all is taken, as long as the client was not told of it."""


class KafkaMember:
    """Implements ``source.Feed``. ``begin`` raises what stands against it; ``leave`` is called in any case.

    ``config`` is the C client's own. ``newest``: where the group has read nothing of a partition it begins at its end.
    """

    def __init__(self, name: str, config: Mapping[str, Any], topics: Sequence[str], *, newest: bool) -> None:
        self._name, self._config, self._topics, self._newest = name, config, topics, newest
        self._where = config["bootstrap.servers"]
        self._loop = asyncio.get_running_loop()
        self._guard = threading.Condition()
        """Of what both threads change: what waits, and the logs' counts."""
        self._waiting: deque[_Lent] = deque()
        self._logs: dict[tuple[str, int], _Log] = {}
        self._begun: asyncio.Future[None] = self._loop.create_future()
        self._arrived, self._ended = asyncio.Event(), asyncio.Event()
        self._error: Exception | None = None
        self._paused = self._leaving = False
        self._complaint: Error | None = None
        self._down_at: float | None = None
        self._unread = CountedWarning("a topic of Kafka cannot be read; it is tried again")
        self._consumer: Consumer

    def __repr__(self) -> str:
        state = ", paused" if self._paused else ""
        return f"<KafkaMember {self._name}: {len(self._logs)} partitions, {len(self._waiting)} waiting{state}>"

    async def begin(self) -> None:
        threading.Thread(target=self._run, name=f"kafka {self._name}", daemon=True).start()
        await self._begun

    async def leave(self) -> None:
        """What is taken is committed, and what is not goes to others. Where no server answers, that is left."""
        with self._guard:
            self._leaving = True
            self._guard.notify_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._ended.wait()

    async def take(self, limit: int) -> Sequence[Received]:
        while True:
            with self._guard:
                taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
                for each in taken:
                    each.log.lent += 1
                self._guard.notify_all()
            if taken:
                return taken
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()

    def done(self, lent: _Lent) -> None:
        """It is committed once all before it is taken. Raises Unavailable where its partition is not ours any more."""
        log = lent.log
        with self._guard:
            log.lent -= 1
            self._guard.notify_all()
            if not log.ours:
                raise Unavailable(f"{self._where}: partition {log.partition} of {log.topic} is another copy's now")
            if passed := log.open.taken(lent.position):
                log.consumed = passed[-1]

    def put_back(self, lent: _Lent) -> None:
        """It is given out here once more; where its partition is another copy's, there."""
        with self._guard:
            lent.log.lent -= 1
            self._guard.notify_all()
            if lent.log.ours:
                self._waiting.append(lent)
        self._arrived.set()

    # In the thread.

    def _run(self) -> None:
        try:
            with _translated(self._where):
                self._begin()
                self._tell(self._has_begun)
                while not self._leaving:
                    self._ask()
                self._store(self._logs.values())
        except Exception as error:  # noqa: BLE001 - raised to whoever waits for events
            self._tell(self._failed, error)
        finally:
            with contextlib.suppress(AttributeError, Failure, RuntimeError):
                self._consumer.close()
            self._let_go(list(self._logs))
            self._tell(self._ended.set)

    def _tell(self, what: Callable[..., object], *about: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(what, *about)

    def _has_begun(self) -> None:
        if not self._begun.done():
            self._begun.set_result(None)

    def _failed(self, error: Exception) -> None:
        if not self._begun.done():
            self._begun.set_exception(error)
        self._error = error
        self._arrived.set()

    def _begin(self) -> None:
        self._consumer = Consumer({**self._config, "error_cb": self._complains})
        for topic in self._topics:
            problem = self._answered(topic)
            if problem is not None and problem.code() in REFUSED:
                raise _refused(self._where, problem)
        self._consumer.committed([TopicPartition(self._topics[0], 0)], timeout=CONNECT_S)
        self._consumer.subscribe(
            list(self._topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def _answered(self, topic: str) -> Error | None:
        """What a server says against the topic."""
        end = time.monotonic() + CONNECT_S
        while True:
            try:
                found: Error | None = self._consumer.list_topics(topic, timeout=LOOK_S).topics[topic].error
            except Failure as failure:
                self._consumer.poll(0)  # what it has to complain of
                error = self._complaint or failure.args[0]
                if error.code() in REFUSED:
                    raise _refused(self._where, error) from None
                if self._leaving or self._down_at is not None or time.monotonic() > end:
                    raise Unavailable(f"{self._where}: {self._why(failure)}") from failure
            else:
                return found

    def _why(self, failure: Failure) -> str:
        """A server that closes the connection without a word is none that the client complains of."""
        if self._complaint is not None:
            return self._complaint.str()
        return f"no answer ({failure.args[0].str()}); if that lasts, see whether it wants TLS or a user, or has none"

    def _complains(self, error: Error) -> None:
        """The client connects again by itself; it only tells."""
        refused = self._complaint is not None and self._complaint.code() in REFUSED
        if error.code() == Error._ALL_BROKERS_DOWN:
            self._down_at = self._down_at or time.monotonic()
        elif not refused:
            self._complaint = error

    def _ask(self) -> None:
        room = self._room()
        self._store(self._logs.values())
        if room == self._paused:
            self._pause(room=room)
        message = self._consumer.poll(POLL_S)
        if message is not None:
            self._take_in([message, *(self._consumer.consume(BATCH - 1, timeout=0) if room else [])])
        if self._down_at is not None and time.monotonic() > self._down_at + DOWN_S:
            self._still_down()

    def _store(self, logs: Iterable[_Log]) -> None:
        """What is taken is committed by the client, at its next turn. It is told here, for while it calls us about
        partitions it blocks other threads."""
        if consumed := self._consumed(logs):
            self._consumer.store_offsets(offsets=consumed)

    def _consumed(self, logs: Iterable[_Log]) -> list[TopicPartition]:
        """What the client was not told of as yet."""
        with self._guard:
            found = [_partition(log, log.consumed[0] + 1, log.consumed[1]) for log in logs if log.consumed is not None]
            for log in logs:
                log.consumed = None
        return found

    def _room(self) -> bool:
        """Whether more may wait; it may take a moment until it may."""

        def there() -> bool:
            waiting = sum(len(each.event.body) for each in self._waiting)
            return self._leaving or (len(self._waiting) < BATCH and waiting < MAX_WAITING_BYTES)

        with self._guard:
            return self._guard.wait_for(there, 0.0 if self._paused else PAUSE_AFTER_S)

    def _pause(self, *, room: bool) -> None:
        partitions = [_partition(log) for log in self._logs.values()]
        (self._consumer.resume if room else self._consumer.pause)(partitions)
        self._paused = not room

    def _take_in(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if (problem := message.error()) is not None:
                self._judge(problem)
            elif (log := self._logs.get((message.topic() or "", message.partition() or 0))) is not None:
                self._lend(log, message)
        self._tell(self._arrived.set)

    def _lend(self, log: _Log, message: Message) -> None:
        record = _record(message)
        event = event_of(record, source=f"/{self._name}/{record.topic}")
        lent = _Lent(self, log, (record.offset, _epoch(message)), event)
        with self._guard:
            log.open.given(lent.position)
            self._waiting.append(lent)

    def _judge(self, problem: Error) -> None:
        if problem.code() in REFUSED:
            raise _refused(self._where, problem)
        if problem.fatal():
            raise Unavailable(f"{self._where}: {problem.str()}")
        self._tell(lambda: self._unread.seen(source=self._name, why=problem.str()))

    def _still_down(self) -> None:
        try:
            self._consumer.list_topics(self._topics[0], timeout=DOWN_LOOK_S)
        except Failure as error:
            raise Unavailable(f"{self._where}: {self._why(error)}") from error
        self._down_at = self._complaint = None

    # In the thread, called by the client while it is asked.

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        begun = self._at_their_ends(consumer, partitions) if self._newest else []
        consumer.incremental_assign(partitions)
        for each in partitions:
            self._logs[each.topic, each.partition] = _Log(each.topic, each.partition)
        if begun:
            consumer.store_offsets(offsets=begun)  # else one that dies before its first event begins at another end
        if self._paused:
            consumer.pause(partitions)

    def _at_their_ends(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Those of which the group has read nothing; they are to begin there."""
        begun = []
        known = {
            (each.topic, each.partition): each.offset for each in consumer.committed(partitions, timeout=CONNECT_S)
        }
        for each in partitions:
            if known[each.topic, each.partition] == OFFSET_INVALID:
                _, each.offset = consumer.get_watermark_offsets(each, timeout=CONNECT_S)
                begun.append(TopicPartition(each.topic, each.partition, each.offset))
        return begun

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Deliveries may finish, so that the other copy does not repeat them. What is taken is committed before the
        partitions are another's: the client's own commit may be later."""
        logs = self._let_go([(each.topic, each.partition) for each in partitions], wait_s=FINISH_S)
        if consumed := self._consumed(logs):
            with contextlib.suppress(Failure):  # they are repeated
                consumer.commit(offsets=consumed, asynchronous=False)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Another copy may have them already."""
        self._let_go([(each.topic, each.partition) for each in partitions])

    def _let_go(self, which: Sequence[tuple[str, int]], *, wait_s: float = 0.0) -> Sequence[_Log]:
        logs = [self._logs.pop(each) for each in which if each in self._logs]
        with self._guard:
            self._drop(logs)
            self._guard.wait_for(lambda: self._leaving or not any(log.lent for log in logs), wait_s)
            for log in logs:
                log.ours = False
            self._drop(logs)  # what was given back meanwhile
        return logs

    def _drop(self, logs: Sequence[_Log]) -> None:
        kept = [each for each in self._waiting if each.log not in logs]
        self._waiting.clear()
        self._waiting.extend(kept)


@dataclass(frozen=True, slots=True, eq=False)
class _Lent:
    """Implements ``Received``."""

    member: KafkaMember
    log: _Log
    position: Position
    event: Event

    async def taken(self) -> None:
        self.member.done(self)

    async def give_back(self) -> None:
        self.member.put_back(self)

    async def keep(self) -> None:
        """A partition is ours until it is told otherwise."""


def _epoch(message: Message) -> int:
    epoch = message.leader_epoch()
    return -1 if epoch is None else epoch


def _partition(log: _Log, offset: int = OFFSET_INVALID, epoch: int = -1) -> TopicPartition:
    return TopicPartition(log.topic, log.partition, offset, leader_epoch=epoch)


def _record(message: Message) -> Record:
    kind, timestamp = message.timestamp()
    headers: Any = message.headers() or ()
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        value=message.value() or b"",
        timestamp_ms=None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        key=message.key(),
        headers=headers,
    )


def _refused(where: str, error: Error) -> BadInput:
    what, remedy = REFUSED[error.code()]
    return BadInput(f"{where}: {what} ({error.str()}); {remedy}")


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    """The library's errors as ours."""
    try:
        yield
    except SpringtideError:
        raise
    except Failure as failure:
        error = failure.args[0]
        if error.code() in REFUSED:
            raise _refused(where, error) from None
        if error.code() == Error._INVALID_ARG:
            raise BadInput(f"{where}: {error.str()}") from None
        raise Unavailable(f"{where}: {error.str()}") from failure
    except RuntimeError as error:  # it is closed
        raise Unavailable(f"{where}: {error}") from error
