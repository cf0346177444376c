"""What one leader does in its term: a heap of the next ticks, one lane for each schedule that has some to send.

Everything here begins with what is kept, and ends with the term. A tick is out of doubt once ``Store.save`` has its
instant; whoever leads next sends again what is not.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import Conflict, SpringtideError
from springtide.runtime.outage import Outage
from springtide.scaler.core.ports import Clock, Leadership
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.cron.entry import BEFORE_S, BY_HAND, Entry, Outcome, Run
from springtide.triggers.cron.gateway import TickGateway
from springtide.triggers.cron.kept import MAX_BEHIND, Kept, Position, Record, Sent, Store
from springtide.triggers.cron.outcomes import Outcomes
from springtide.triggers.cron.owed import owed
from springtide.triggers.cron.scheduled_functions import ScheduledFunction, ScheduledFunctions
from springtide.triggers.cron.sending import Sending, SendingDeps
from springtide.triggers.gateway_requests import Queue
from springtide.wire.events.headers import timestamp
from springtide.wire.leadership import Standby
from springtide.wire.schedules.annotations import FunctionSchedule

SAVE_AFTER_S = 2.0
"""What was sent meanwhile is in doubt when the leader ends."""
SAVE_AT_REST_S = 30.0
"""A schedule that nobody has written down began after what was last."""
MAX_SLEEP_S = 60.0
"""A clock that is put right is noticed then."""
AT_ONCE = 50
"""Schedules that are computed before others in this process get their turn."""
NEW_S = 60.0
"""A schedule that somebody else's provider tells of so soon after its function was made came with it."""
CLOCKS_DIFFER_S = 60.0
"""Ours and the provider's, at most."""
MAX_SILENT_S = 86_400.0
"""How long a clock that was set back silences schedules: a call is known by its key for as long. One that was further
ahead was wrong, and what it had due was no tick of the days to come."""
SAVE_AGAIN = Backoff(0.5, 10.0)

log = structlog.get_logger(__name__)


class Observer(Protocol):
    def told(self, run: Run) -> None: ...

    def missed(self, count: int) -> None: ...

    def retried(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TermDeps:
    functions: ScheduledFunctions
    store: Store
    gateway: TickGateway
    queue: Queue
    clock: Clock
    leadership: Leadership
    observer: Observer
    concurrency: int
    takeover_s: float


class Term:
    """``run`` until it is cancelled, or raises Standby or Conflict: then another copy leads."""

    def __init__(self, deps: TermDeps, kept: Kept) -> None:
        self._deps = deps
        self._kept = kept
        self._entries: dict[FunctionRef, dict[str, Entry]] = {}
        self._records: dict[FunctionRef, Record] = dict(kept.records)
        self._unsaved: dict[FunctionRef, Record | None] = {}
        self._heap: list[tuple[float, int, Entry]] = []
        self._turns = itertools.count(1)
        self._scanned = kept.position.at if kept.position is not None else deps.clock.wall()
        self._built = False
        self._wake, self._dirty = asyncio.Event(), asyncio.Event()
        self._saving = asyncio.Lock()
        self._changes = self._saved = 0
        self._lanes: asyncio.TaskGroup | None = None
        self._behind = Outage(
            "the clock is behind ticks that were sent already: none is due until it comes to new ones"
        )
        self._outage = Outage("what was sent of schedules is not written down; after a restart more is in doubt")
        sending = SendingDeps(
            gateway=deps.gateway,
            clock=deps.clock,
            leadership=deps.leadership,
            known=lambda entry: entry.ref in deps.functions.all,
            told=self._told,
            missed=self._missed,
            written=self._written,
            retried=deps.observer.retried,
        )
        self.outcomes = Outcomes(deps.gateway, deps.clock)
        self._sending = Sending(sending, deps.queue, concurrency=deps.concurrency, takeover_s=deps.takeover_s)

    def __repr__(self) -> str:
        return f"<Term {sum(map(len, self._entries.values()))} schedules, {len(self._heap)} in the heap>"

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._lanes = group
                await self._build()
                group.create_task(self._keep_saved())
                group.create_task(self.outcomes.recall(list(self._all())))
                while True:
                    await self._send_due()
                    await self._sleep()
        finally:
            await self._sending.aclose()

    # What is asked of it by others in this process.

    def follow(self, ref: FunctionRef) -> None:
        """Its schedules are not what they were."""
        if not self._built and ref not in self._entries:
            return  # it is built with what is known then
        function = self._deps.functions.all.get(ref)
        schedules = function.schedules if function is not None else {}
        entries = self._entries.setdefault(ref, {})
        for text in [text for text in entries if text not in schedules]:
            self._end(entries.pop(text), gone=function is None)
        for text, timed in schedules.items():
            entry = entries.get(text)
            if entry is None:
                assert function is not None
                entries[text] = self._begin(ref, timed, function)
            elif entry.timed != timed:
                entry.retime(timed)
                self._schedule(entry)
                self._changed()
        if not entries:
            del self._entries[ref]
        self._record(ref)

    def paused(self, ref: FunctionRef) -> bool:
        record = self._records.get(ref)
        return record is not None and record.paused_at is not None

    async def pause(self, ref: FunctionRef) -> None:
        """None of its ticks from now on, until it is resumed. Raises SpringtideError, and then it is as before."""
        waiting = [(entry, tuple(entry.pending)) for entry in self._entries.get(ref, {}).values()]
        for entry, _ in waiting:
            entry.pending.clear()  # first: none begins to be sent while this is written down
        try:
            await self._steer(ref, replace(self._record_of(ref), paused_at=self._deps.clock.wall()))
        except BaseException:
            for entry, due in waiting:
                entry.pending.extendleft(reversed(due))
                self._send_pending(entry)
            raise
        for entry, _ in waiting:
            entry.turn = next(self._turns)

    async def resume(self, ref: FunctionRef) -> None:
        """Its ticks from now on; what was due meanwhile is over. Raises SpringtideError, and then it is as before."""
        now, entries = self._deps.clock.wall(), self._entries.get(ref, {})
        await self._steer(ref, replace(self._record_of(ref), since=dict.fromkeys(entries, now), paused_at=None))
        for entry in entries.values():
            entry.since = entry.after = now
            self._schedule(entry)

    async def _steer(self, ref: FunctionRef, record: Record) -> None:
        """Who was told that it cannot be written down does not expect it to count when it can."""
        before = self._records.get(ref)
        self._write(ref, record)
        try:
            await self.save()
        except BaseException:
            self._write(ref, before)
            raise

    def ran(self, entry: Entry, run: Run) -> None:
        """A person has called it."""
        entry.note(run)
        if run.job:
            record, text = self._record_of(entry.ref), entry.timed.schedule.text
            self._write(entry.ref, replace(record, ran={**record.ran, text: Sent(run.due, run.job)}))

    def entries_of(self, ref: FunctionRef) -> Mapping[str, Entry]:
        return self._entries.get(ref, {})

    @property
    def overdue_s(self) -> float:
        """By how much the oldest tick that is not sent is late."""
        now = self._deps.clock.wall()
        return max((now - entry.pending[0] for entry in self._all() if entry.pending), default=0.0)

    async def save(self) -> None:
        """Write down what is sent, unless that is done. Raises SpringtideError."""
        changes = self._changes
        async with self._saving:
            if self._saved >= changes and not self._unsaved:
                return
            if self._deps.leadership.hold() is None:
                raise Standby("this copy leads no more")
            changes, unsaved = self._changes, self._unsaved
            self._unsaved = {}
            try:
                await self._deps.store.save(self._position(), unsaved)
            except BaseException:
                self._unsaved = {**unsaved, **self._unsaved}
                raise
            self._saved = changes

    # Inside.

    async def _build(self) -> None:
        for number, ref in enumerate(list(self._deps.functions.all)):
            self._forget_namesake(ref)
            if ref not in self._entries and (function := self._deps.functions.all.get(ref)) is not None:
                self._entries[ref] = {
                    text: self._begin(ref, timed, function) for text, timed in function.schedules.items()
                }
                self._record(ref)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        self._built = True
        for ref in set(self._deps.functions.all) ^ set(self._entries) | set(self._records):
            self.follow(ref)

    def _forget_namesake(self, ref: FunctionRef) -> None:
        """What is kept of a function that was removed while nobody led is none of the one that has its name now."""
        record, created_at = self._records.get(ref), self._deps.functions.all[ref].created_at
        if record is None or created_at is None:
            return
        if created_at > max([*record.since.values(), record.paused_at or 0.0]) + CLOCKS_DIFFER_S:
            self._write(ref, None)

    def _begin(self, ref: FunctionRef, timed: FunctionSchedule, function: ScheduledFunction) -> Entry:
        now, text = self._deps.clock.wall(), timed.schedule.text
        record, position = self._records.get(ref), self._kept.position
        since = record.since.get(text) if record is not None else None
        known = since is not None
        if since is None:
            since = min(now, self._first_instant(function, now))
        made_at = function.created_at
        anchor = made_at if made_at is not None and made_at <= now + MAX_SILENT_S else since
        entry = Entry(ref, timed, anchor, since, after=since + timed.delay_s)
        if known and position is not None:
            behind = position.behind.get(entry.key)
            entry.after = max(entry.after, position.at if behind is None else behind + timed.delay_s)
            entry.sent = position.sent.get(entry.key)
        entry.begun_after = entry.after
        if record is not None and (ran := record.ran.get(text)) is not None:
            entry.note(Run(ran.due, ran.due, Outcome.QUEUED, ran.job, BY_HAND))
        self._schedule(entry)
        return entry

    def _first_instant(self, function: ScheduledFunction, now: float) -> float:
        """Of a schedule that nobody has written down: it came after what was last saved, and not before its
        function was deployed."""
        deployed = function.changed_at if function.changed_at is not None else function.created_at
        if self._built:  # it came now, or while the provider could not tell us
            told = function.changed_at is not None and self._kept.position is not None
            return deployed if deployed is not None and (told or now - deployed < NEW_S) else now
        position = self._kept.position
        if position is not None:
            return max(position.at, deployed if deployed is not None else position.at)
        return deployed if deployed is not None and now - deployed < NEW_S else now

    def _schedule(self, entry: Entry) -> None:
        entry.next_due = entry.timed.due_after(entry.after, entry.anchor)
        entry.turn = next(self._turns)
        if not self.paused(entry.ref):
            heapq.heappush(self._heap, (entry.next_due, entry.turn, entry))
            self._wake.set()

    def _end(self, entry: Entry, *, gone: bool) -> None:
        """What was due before is sent still, unless the function is gone."""
        entry.live, entry.turn = False, 0
        if gone:
            entry.pending.clear()

    async def _send_due(self) -> None:
        now, number = self._deps.clock.wall(), 0
        self._see_clock(now)
        while self._heap and self._heap[0][0] <= now:
            _, turn, entry = heapq.heappop(self._heap)
            if turn != entry.turn:
                continue
            self._take_out(entry, now)
            number += 1
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        self._scanned = max(self._scanned, now)

    def _see_clock(self, now: float) -> None:
        ahead_s = self._scanned - now
        if ahead_s > MAX_SILENT_S:
            log.warning("ticks were sent by a clock that was more than a day ahead; they begin anew", ahead_s=ahead_s)
            self._scanned = now
            for entry in self._all():
                entry.since, entry.anchor = min(entry.since, now), min(entry.anchor, now)
                entry.after = entry.begun_after = now
                self._schedule(entry)
            for ref in list(self._entries):
                self._record(ref)
            self._changed()
        elif ahead_s > CLOCKS_DIFFER_S:
            self._behind.failed(f"they were sent up to {timestamp(self._scanned)}", behind_s=round(ahead_s))
        else:
            self._behind.over()

    def _take_out(self, entry: Entry, now: float) -> None:
        found = owed(
            entry.timed,
            after_s=entry.after,
            now_s=now,
            anchor_s=entry.anchor,
            takeover_s=self._deps.takeover_s,
        )
        entry.after, entry.next_due, entry.turn = now, found.next_due, next(self._turns)
        heapq.heappush(self._heap, (entry.next_due, entry.turn, entry))
        if found.missed:
            self._deps.observer.missed(found.missed)
            entry.note(Run(found.due[0] if found.due else now, now, Outcome.MISSED, note=f"{found.missed} in all"))
        entry.pending.extend(found.due)
        self._changed()
        self._send_pending(entry)

    def _send_pending(self, entry: Entry) -> None:
        if entry.pending and entry.lane is None:
            assert self._lanes is not None
            entry.lane = self._lanes.create_task(self._lane(entry))

    async def _lane(self, entry: Entry) -> None:
        try:
            await self._sending.drain(entry)
        finally:
            entry.lane = None
            self._changed()

    def _told(self, entry: Entry, run: Run) -> None:
        entry.note(run)
        self._deps.observer.told(run)
        self._changed()

    def _missed(self, entry: Entry, dropped: list[float]) -> None:
        now = self._deps.clock.wall()
        entry.note(Run(dropped[-1], now, Outcome.MISSED, note=f"{len(dropped)} in all"))
        self._deps.observer.missed(len(dropped))

    async def _sleep(self) -> None:
        next_due = self._heap[0][0] if self._heap else float("inf")
        self._wake.clear()
        try:
            async with asyncio.timeout(min(MAX_SLEEP_S, max(0.0, next_due - self._deps.clock.wall()))):
                await self._wake.wait()
        except TimeoutError:
            return

    # What is written down.

    def _all(self) -> Iterator[Entry]:
        for entries in self._entries.values():
            yield from entries.values()

    def _position(self) -> Position:
        at = self._scanned
        behind = {
            entry.key: entry.oldest - entry.timed.delay_s - BEFORE_S for entry in self._all() if self._is_behind(entry)
        }
        if len(behind) > MAX_BEHIND:
            at, behind = min(behind.values()), {}
        sent = {entry.key: entry.sent for entry in self._all() if entry.sent is not None}
        return Position(at=at, behind=behind, sent=sent)

    def _is_behind(self, entry: Entry) -> bool:
        return entry.oldest <= self._scanned and not self.paused(entry.ref)

    def _changed(self) -> None:
        self._changes += 1
        self._dirty.set()

    def _record_of(self, ref: FunctionRef) -> Record:
        entries, known = self._entries.get(ref, {}), self._records.get(ref, Record({}))
        ran = {text: sent for text, sent in known.ran.items() if text in entries}
        return Record({text: entry.since for text, entry in entries.items()}, known.paused_at, ran)

    def _record(self, ref: FunctionRef) -> None:
        record = self._record_of(ref)
        self._write(ref, record if record.since else None)

    def _write(self, ref: FunctionRef, record: Record | None) -> None:
        if record == self._records.get(ref):
            return
        if record is None:
            del self._records[ref]
        else:
            self._records[ref] = record
        self._unsaved[ref] = record
        self._changed()

    async def _keep_saved(self) -> None:
        failures = 0
        if self._kept.position is None:
            # Until something is written down, whoever leads next knows no more than that we were never there.
            self._changed()
            await self._is_saved()
        while True:
            try:
                async with asyncio.timeout(SAVE_AT_REST_S):
                    await self._dirty.wait()
                await asyncio.sleep(SAVE_AFTER_S)
            except TimeoutError:
                self._changed()
            self._dirty.clear()
            failures = 0 if await self._is_saved() else failures + 1
            if failures:
                self._dirty.set()
                await asyncio.sleep(SAVE_AGAIN.delay_s(failures))

    async def _written(self) -> None:
        await self._is_saved()

    async def _is_saved(self) -> bool:
        """Raises Standby and Conflict."""
        try:
            await self.save()
        except (Standby, Conflict):
            raise
        except SpringtideError as error:
            self._outage.failed(str(error))
            return False
        self._outage.over()
        return True
