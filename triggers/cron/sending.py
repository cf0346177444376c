"""One tick's way to the gateway, for as long as it takes; and whether it goes at all while the call before it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice

from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import SpringtideError
from springtide.runtime.outage import Outage
from springtide.scaler.core.ports import Clock, Leadership
from springtide.triggers.cron.entry import Entry, Outcome, Run
from springtide.triggers.cron.gateway import TickAnswer, TickGateway
from springtide.triggers.cron.kept import Sent
from springtide.triggers.gateway_requests import NO_QUEUE, Queue, refuses, told
from springtide.wire.leadership import Standby
from springtide.wire.schedules.annotations import Overlap

BACKOFF = Backoff(0.1, 10.0, jitter=0.5)
MAX_UNKNOWN = 8
"""Times that the gateway may say that there is no function, of which it may hear later than we do; some ten seconds."""
MAX_AT_ONCE = 8
"""Ticks of one schedule."""
NO_QUEUE_WARNING = (
    "the gateway has no queue (501): functions are called at once at each tick; a tick whose call is under way when "
    "this process ends is not repeated. With nats_url the gateway has a queue"
)
ALREADY_KEPT = 422
NOT_ENDED = "the call before it has not ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingDeps:
    """``known``: whether the provider tells of the entry's function still. ``written``: make sure that what was sent is
    written down. ``told``: what became of a tick."""

    gateway: TickGateway
    clock: Clock
    leadership: Leadership
    known: Callable[[Entry], bool]
    told: Callable[[Entry, Run], None]
    missed: Callable[[Entry, list[float]], None]
    written: Callable[[], Awaitable[None]]
    retried: Callable[[], None]


class Sending:
    """``concurrency`` ticks at once, and as many calls that are made at once; who waits for a next try has no place."""

    def __init__(self, deps: SendingDeps, queue: Queue, *, concurrency: int, takeover_s: float) -> None:
        self._deps = deps
        self._queue = queue
        self._takeover_s = takeover_s
        self._places, self._callers = asyncio.Semaphore(concurrency), asyncio.Semaphore(concurrency)
        self._outage = Outage("ticks wait, as the gateway does not take them")
        self._calls: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """End the calls that are made at once."""
        calls = list(self._calls)
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def drain(self, entry: Entry) -> None:
        """Send what is pending, the oldest first, and some at once where a takeover left many.

        Raises Standby, alone or in a group, from a copy that leads no more.
        """
        while entry.pending:
            alone = entry.timed.options.overlap is not Overlap.ALLOW or not self._is_queued(entry)
            batch = list(islice(entry.pending, 1 if alone else MAX_AT_ONCE))
            if len(batch) == 1:
                await self._send(entry, batch[0])
                continue
            async with asyncio.TaskGroup() as group:
                for due in batch:
                    group.create_task(self._send(entry, due))

    async def _send(self, entry: Entry, due: float) -> None:
        run = await (self._kept(entry, due) if self._is_queued(entry) else self._called(entry, due))
        if due in entry.pending:
            entry.pending.remove(due)
        if run is not None:
            self._deps.told(entry, run)

    def _is_queued(self, entry: Entry) -> bool:
        return self._queue.there and not entry.at_once

    async def _kept(self, entry: Entry, due: float) -> Run | None:
        """None: there is nothing to tell of it, or it is to be called at once."""
        failures = 0
        while due in entry.pending:
            async with self._places:
                run, why = await self._tried(entry, due, failures)
            if run is not None:
                self._outage.over()
                return run
            if not self._queue.there:
                return await self._called(entry, due)
            failures += 1
            self._deps.retried()
            self._outage.failed(why, function=str(entry.ref))
            await asyncio.sleep(BACKOFF.delay_s(failures))
            if dropped := entry.thin(self._deps.clock.wall() - self._takeover_s):
                self._deps.missed(entry, dropped)
        return None

    async def _tried(self, entry: Entry, due: float, failures: int) -> tuple[Run | None, str]:
        """What became of it; or None, and why it is to be tried again."""
        if entry.sent is not None and entry.sent.due == due:
            return self._queued(due, entry.sent.job), ""
        self._check_leads()
        try:
            if skipped := await self._skipped(entry, due):
                return skipped, ""
        except SpringtideError as error:
            return None, str(error)
        self._check_leads()
        answer = await self._deps.gateway.keep(entry.call_of(due))
        return self._verdict(entry, due, answer, failures=failures), told(answer.status, answer.text)

    def _verdict(self, entry: Entry, due: float, answer: TickAnswer, *, failures: int) -> Run | None:
        if answer.status == 202:
            if entry.timed.options.overlap is not Overlap.ALLOW:
                entry.sent = Sent(due, answer.job)
            return self._queued(due, answer.job)
        if answer.status == ALREADY_KEPT:
            return self._queued(due, "", "it was sent before its function was changed")
        if answer.status == NO_QUEUE:
            self._queue.missing()
        elif self._refused(entry, answer, failures):
            return Run(due, self._deps.clock.wall(), Outcome.REFUSED, note=told(answer.status, answer.text))
        return None

    def _queued(self, due: float, job: str, note: str = "") -> Run:
        return Run(due, self._deps.clock.wall(), Outcome.QUEUED, job, note)

    async def _skipped(self, entry: Entry, due: float) -> Run | None:
        """None: it goes; a call that it replaces is cancelled then. Raises SpringtideError."""
        overlap, sent = entry.timed.options.overlap, entry.sent
        if overlap is Overlap.ALLOW or sent is None:
            return None
        state = await self._deps.gateway.state(sent.job)
        if state is None or state.final:
            return None
        if overlap is Overlap.FORBID:
            return Run(due, self._deps.clock.wall(), Outcome.SKIPPED, sent.job, NOT_ENDED)
        await self._deps.gateway.cancel(sent.job)
        return None

    def _check_leads(self) -> None:
        if self._deps.leadership.hold() is None:
            raise Standby("this copy leads no more")

    def _refused(self, entry: Entry, answer: TickAnswer, failures: int) -> bool:
        if answer.status == 404:
            return failures >= MAX_UNKNOWN or not self._deps.known(entry)
        return refuses(answer.status)

    # Without a queue, or where the function wants none.

    async def _called(self, entry: Entry, due: float) -> Run | None:
        """Begun, in a task of its own. Nothing would make one call of two, so it is written down as sent before."""
        deps, overlap = self._deps, entry.timed.options.overlap
        if entry.calls and overlap is Overlap.FORBID:
            return Run(due, deps.clock.wall(), Outcome.SKIPPED, note=NOT_ENDED)
        if overlap is Overlap.REPLACE:
            for task in entry.calls:
                task.cancel()
        await self._callers.acquire()
        begun = False
        try:
            self._check_leads()
            if due not in entry.pending:
                return None
            entry.pending.remove(due)
            await deps.written()
            task = asyncio.create_task(self._made(entry, due), name=f"tick of {entry.ref}")
            for kept in (entry.calls, self._calls):
                kept.add(task)
                task.add_done_callback(kept.discard)
            begun = True
        finally:
            if not begun:
                self._callers.release()
        return None

    async def _made(self, entry: Entry, due: float) -> None:
        deps, failures, begun_at = self._deps, 0, self._deps.clock.wall()
        try:
            while True:
                answer = await deps.gateway.make(entry.call_of(due))
                failures += 1
                if not answer.unmade or deps.clock.wall() - due > self._takeover_s:
                    break
                deps.retried()
                await asyncio.sleep(BACKOFF.delay_s(failures))
        except asyncio.CancelledError:
            deps.told(entry, Run(due, begun_at, Outcome.FAILED, note="its call was ended"))
            raise
        finally:
            self._callers.release()
        good = 200 <= answer.status < 300
        note = "" if good else told(answer.status, answer.text)
        deps.told(entry, Run(due, begun_at, Outcome.CALLED if good else Outcome.FAILED, answer.job, note))
