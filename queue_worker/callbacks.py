"""Telling callers what came of their jobs: from a queue of its own, with the same pauses between tries."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import structlog

from springtide.queue_worker.dispatch import repeated
from springtide.queue_worker.execution import MAX_TOLD, keep, shortened
from springtide.queue_worker.retrying import RetryRules
from springtide.runtime.errors import BadInput, SpringtideError, reason_of
from springtide.runtime.outage import Outage
from springtide.scaler.core.ports import Clock
from springtide.wire.jobs.job import Answer, DeadLetter, JobState, Outcome, Progress
from springtide.wire.jobs.ports import CallbackLease, JobSource

MAX_AT_ONCE = 50
WAIT_S = 5.0
"""How long the broker is asked for callbacks before it is asked anew."""

_log = structlog.get_logger(__name__)


class Teller(Protocol):
    async def tell(self, lease: CallbackLease) -> Answer:
        """Send it; status 0 where no answer came, with the reason as its body. Raises BadInput where it must not be
        sent there."""
        ...


class Callbacks:
    """``counted`` is told how each try went: done, retrying or failed."""

    def __init__(
        self,
        source: JobSource,
        teller: Teller,
        rules: RetryRules,
        *,
        clock: Clock,
        chance: Callable[[], float],
        ack_wait_s: float,
        counted: Callable[[JobState], None],
    ) -> None:
        self._source = source
        self._teller = teller
        self._rules = rules
        self._clock = clock
        self._chance = chance
        self._ack_wait_s = ack_wait_s
        self._counted = counted
        self._room = asyncio.Semaphore(MAX_AT_ONCE)

    def __repr__(self) -> str:
        return "<Callbacks>"

    async def run(self) -> None:
        """Until it is cancelled; what is under way is then somebody else's after a while."""
        async with asyncio.TaskGroup() as group:

            async def more() -> None:
                await self._room.acquire()
                self._room.release()
                for lease in await self._source.take_callbacks(MAX_AT_ONCE // 5, WAIT_S):
                    group.create_task(self._told(lease))

            await repeated(more, Outage("callbacks are not sent"))

    async def _told(self, lease: CallbackLease) -> None:
        async with self._room:
            keeping = asyncio.create_task(keep(lease.extend, self._ack_wait_s))
            try:
                await self._tell(lease)
            except SpringtideError as error:
                _log.warning("a callback is not settled; it comes again", job=lease.callback.id, reason=str(error))
            finally:
                keeping.cancel()

    async def _tell(self, lease: CallbackLease) -> None:
        callback, now = lease.callback, self._clock.wall()
        try:
            answer, why = await self._teller.tell(lease), ""
        except BadInput as error:
            answer, why = Answer(0), reason_of(error)
        no_answer = "" if answer.status else answer.body[:MAX_TOLD].decode(errors="replace")
        tried = Progress(
            state=JobState.DONE, attempts=lease.attempt, started_at=now, status=answer.status, reason=no_answer
        )
        if not why and answer.status and answer.status < 400:
            await self._show(lease, tried)
            await lease.settle()
            self._counted(JobState.DONE)
            return
        repeats = not why and (answer.status >= 500 or self._rules.repeats(answer))
        if not why and (given_up := self._rules.given_up(lease.attempt, age_s=now - callback.finished_at)):
            last = f"status {answer.status}" if answer.status else f"no answer: {no_answer}"
            why = f"{given_up}; the last try at {callback.job.callback}: {last}"
        if repeats and not why:
            self._counted(JobState.RETRYING)
            wait_s = self._rules.wait_s(lease.attempt, answer, now=now, chance=self._chance())
            again_at = self._clock.wall() + wait_s
            await self._show(lease, replace(tried, state=JobState.RETRYING, next_attempt_at=again_at))
            await lease.hand_back(wait_s)
            return
        reason = why or f"{callback.job.callback} answered {answer.status}, which is not tried again"
        outcome = Outcome(
            state=JobState.FAILED,
            attempts=lease.attempt,
            started_at=now,
            finished_at=self._clock.wall(),
            answer=answer,
            reason=f"the callback was given up: {reason}",
        )
        _log.warning("a callback was given up", job=callback.id, url=callback.job.callback, reason=reason)
        await self._source.store_dead(DeadLetter(job=callback.job, outcome=shortened(outcome), callback=True), lease)
        await self._show(lease, replace(tried, state=JobState.FAILED, reason=reason))
        await lease.settle()
        self._counted(JobState.FAILED)

    async def _show(self, lease: CallbackLease, tried: Progress) -> None:
        """To whoever asks for the call's story."""
        with contextlib.suppress(SpringtideError):  # a view
            await self._source.tell_delivery(lease.callback.job.token, tried)
