"""Rows' changes, read from a replication slot without consuming them; the slot is advanced once they are delivered.

One connection at a time reads a slot: it holds an advisory lock, for which others wait. Whole transactions come in the
order of their commits. A large one is held by the server, of which a piece at a time is fetched.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
import structlog

from springtide.runtime.errors import SpringtideError, Unavailable
from springtide.triggers.consumed import Consumed
from springtide.triggers.pushed import PushedEvents
from springtide.triggers.source import Received
from springtide.triggers.sources.postgres import rows
from springtide.triggers.sources.postgres.connection import Address, Connection, translated
from springtide.triggers.sources.postgres.pgoutput import (
    HEAD_BYTES,
    Begin,
    Change,
    Commit,
    Damaged,
    Decoder,
    Lsn,
    lsn_of,
    lsn_text,
)
from springtide.wire.events.event import Event

MAX_ROWS = 1000
"""Asked for in one reading, and all of the transaction that passes it: what is read once more when a copy dies."""
MAX_FETCHED, MAX_WAITING = 32, 64
"""Fetched at once, and waiting here until there is room."""
MAX_CHANGE_BYTES = 16 * 1024 * 1024
"""A larger change is told without its row."""
MAX_AHEAD = 10_000
"""Changes that are given while an older one is not delivered yet. They come again when the connector dies."""
LOCK_POLL_S = 1.0
ANSWER_S, READ_S = 60.0, 900.0
"""How long the server may take for a word, and to read through its log."""
QUIET_ADVANCE_S = 10.0
"""Where nothing is told, the slot is advanced so often, for the server keeps its log from there on."""
LEAVE_S = 5.0
_LOCK = 0x5F54D1DE
"""The first half of the key of the advisory lock; the second is a hash of the slot's name."""

_PEEK = (
    "SELECT length(data), CASE WHEN length(data) > %s THEN substring(data, 1, %s) ELSE data END "
    "FROM pg_logical_slot_peek_binary_changes(%s, NULL, %s, 'proto_version', '1', 'publication_names', %s)"
)
_log = structlog.get_logger(__name__)
Position = tuple[Lsn, int]
NOWHERE = Lsn(0)
_END = -1
"""In place of a change's index: the end of its transaction."""


@dataclass(slots=True)
class Delivered:
    """Up to where a slot is delivered, for as long as the connector lives.

    A server that was killed may have forgotten how far its slot was advanced. ``server`` tells one history of a log
    from another: positions of one mean nothing in the other.
    """

    server: str = ""
    lsn: Lsn = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRead:
    """What is read; ``publication`` is a name as it is written in a list of them."""

    where: Address
    source: str
    slot: str
    publication: str
    topics: Sequence[rows.Topic]
    poll_s: float


class SlotFeed:
    """Implements ``Feed``, over one connection, which nobody else uses."""

    def __init__(self, connection: Connection, what: SlotRead, delivered: Delivered) -> None:
        self._connection, self._what, self._delivered = connection, what, delivered
        self._pushed = PushedEvents(MAX_WAITING)
        self._open: Consumed[Position] = Consumed()
        self._sizes: OrderedDict[Lsn, int] = OrderedDict()
        """Rows of each transaction that is read and not wholly delivered, by its end."""
        self._confirmed = self._target = self._known_to = NOWHERE
        """Where the slot stands; up to where all is delivered; up to where all was given."""
        self._room = asyncio.Event()
        self._quiet_at = 0.0
        self._more = 0
        """Asked for beyond what is counted, as long as nothing new comes."""
        self._left = False

    def __repr__(self) -> str:
        return f"<SlotFeed of {self._what.slot} at {lsn_text(self._confirmed)}, {len(self._open)} open>"

    async def take(self, limit: int) -> Sequence[Received]:
        return await self._pushed.take(limit)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run(), name=f"read {self._what.slot}")
        try:
            yield
        finally:
            self._left = True
            task.cancel()
            [fault] = await asyncio.gather(task, return_exceptions=True)
            if isinstance(fault, Exception):
                raise fault
            with contextlib.suppress(SpringtideError, psycopg.Error, OSError, TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await self._advance()

    def taken(self, position: Position) -> None:
        """Raises Unavailable when the connection, and with it the lock, is gone."""
        if self._left:
            raise Unavailable(f"{self._what.where}: the connection is left")
        self._pass(self._open.taken(position))

    def put_back(self, received: _Row) -> None:
        """After the connection is left, it was not advanced past and comes again."""
        if not self._left:
            self._pushed.add(received)

    def _pass(self, passed: Sequence[Position]) -> None:
        for lsn, index in passed:
            if index == _END:
                self._target = lsn
                self._sizes.pop(lsn, None)
        self._room.set()

    # Its task.

    async def _run(self) -> None:
        try:
            with translated(self._what.where):
                await self._lock()
                await self._begin()
                while True:
                    await self._once()
        except Damaged as error:
            self._pushed.fail(Unavailable(f"{self._what.where}: what its log tells cannot be read: {error}"))
        except SpringtideError as error:
            self._pushed.fail(error)
        finally:
            self._pushed.fail(Unavailable(f"{self._what.where}: it is not read any more"))

    async def _lock(self) -> None:
        """Asked for again and again: a question that waits at the server would hold up its vacuum."""
        waited = False
        while not (await self._ask("SELECT pg_try_advisory_lock(%s, hashtext(%s::text))", _LOCK, self._what.slot))[0]:
            if not waited:
                _log.info("another copy reads the slot; this one waits", slot=self._what.slot)
            waited = True
            await asyncio.sleep(LOCK_POLL_S)

    async def _begin(self) -> None:
        """Others may have read on while this copy waited."""
        delivered = self._delivered
        server, confirmed = await self._ask(
            "SELECT (SELECT system_identifier FROM pg_control_system()) || '.' || "
            "substring(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8), confirmed_flush_lsn::text "
            "FROM pg_replication_slots WHERE slot_name = %s",
            self._what.slot,
        )
        self._confirmed = lsn_of(confirmed)
        if delivered.server != server:
            delivered.server, delivered.lsn = server, self._confirmed
        self._known_to = self._target = Lsn(max(self._confirmed, delivered.lsn))

    async def _once(self) -> None:
        loop = asyncio.get_running_loop()
        await self._advance()
        while len(self._open) >= MAX_AHEAD or sum(self._sizes.values()) >= MAX_AHEAD:
            self._room.clear()
            await self._room.wait()
            await self._advance()
        [end] = await self._ask("SELECT pg_current_wal_flush_lsn()::text")
        began = loop.time()
        if lsn_of(end) <= self._known_to or await self._read(lsn_of(end)):
            # Reading goes through the log from where the server may throw it away: not all the time.
            await asyncio.sleep(max(self._what.poll_s, loop.time() - began))

    async def _advance(self) -> None:
        if self._target > self._confirmed:
            target = self._target
            await self._ask(
                "SELECT pg_replication_slot_advance(%s, %s::text::pg_lsn)", self._what.slot, lsn_text(target)
            )
            self._confirmed = self._delivered.lsn = target

    async def _read(self, end: Lsn) -> bool:
        """What is in the log up to ``end`` at least, or MAX_ROWS of it. Whether that was all."""
        limit = MAX_ROWS + self._more + sum(self._sizes.values())
        before, came = self._known_to, 0
        decoder, transaction = Decoder(), _Transaction(Begin(NOWHERE, 0))
        async for size, message in self._messages(limit):
            came += 1
            told = decoder.told(message, whole=size == len(message))
            if isinstance(told, Begin):
                transaction = _Transaction(told)
            transaction.messages += 1
            # Given before, and not delivered yet: so far the slot is not advanced.
            if transaction.begin.commit_lsn < before:
                continue
            if isinstance(told, Commit):
                self._end(told.end_lsn, transaction.messages)
            elif not isinstance(told, Begin):
                await self._give(transaction, told)
        if came >= limit:
            self._more = self._more + MAX_ROWS if self._known_to == before else 0
            return False
        self._more, self._known_to = 0, Lsn(max(self._known_to, end))
        self._quiet()
        return True

    async def _messages(self, limit: int) -> AsyncIterator[tuple[int, bytes]]:
        """And the size of each, of which one that is too large is only the beginning."""
        what = self._what
        async with self._connection.cursor("springtide_changes", withhold=True) as cursor:
            async with asyncio.timeout(READ_S):
                asked = [MAX_CHANGE_BYTES, HEAD_BYTES, what.slot, limit, what.publication]
                await cursor.execute(_PEEK, asked, binary=True)
            while True:
                async with asyncio.timeout(ANSWER_S):
                    messages = await cursor.fetchmany(MAX_FETCHED)
                for size, message in messages:
                    yield size, bytes(message)
                if len(messages) < MAX_FETCHED:
                    return

    async def _give(self, transaction: _Transaction, changes: Sequence[Change]) -> None:
        for change in changes:
            index = transaction.changes
            transaction.changes += 1
            topic = rows.wanted(change, self._what.topics)
            if topic is None and self._what.topics:
                continue
            event = rows.event(change, transaction.begin, index, source=self._what.source, topic=topic)
            position = (transaction.begin.commit_lsn, index)
            self._open.given(position)
            while len(self._open) >= MAX_AHEAD:
                self._room.clear()
                await self._room.wait()
            await self._pushed.put(_Row(self, position, event))

    def _end(self, end: Lsn, messages: int) -> None:
        """Of a transaction, all of which is given."""
        self._known_to, self._sizes[end] = end, messages
        self._open.given((end, _END))
        self._pass(self._open.taken((end, _END)))

    def _quiet(self) -> None:
        """All was read. Where nothing is on its way, the server may throw its log away up to there."""
        now = asyncio.get_running_loop().time()
        if not len(self._open) and now >= self._quiet_at:
            self._quiet_at = now + QUIET_ADVANCE_S
            self._target = self._known_to

    async def _ask(self, question: LiteralString, *values: object) -> tuple[Any, ...]:
        async with asyncio.timeout(ANSWER_S):
            row = await (await self._connection.execute(question, values)).fetchone()
        if row is None:
            raise Unavailable(f"{self._what.where}: the slot {self._what.slot} is gone")
        return row


@dataclass(slots=True)
class _Transaction:
    begin: Begin
    messages: int = 0
    changes: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    """Implements ``Received``."""

    feed: SlotFeed
    position: Position
    event: Event

    async def taken(self) -> None:
        self.feed.taken(self.position)

    async def give_back(self) -> None:
        self.feed.put_back(self)

    async def keep(self) -> None: ...
