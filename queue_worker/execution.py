"""One job, from a worker's having it to its being settled or handed back.

What comes of it is stored before it is settled: outcome, callback, dead letter. Whoever is stopped in between is
followed by somebody who finds the outcome and settles, without calling again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from springtide.queue_worker.callback_request import callback_headers
from springtide.queue_worker.retrying import RetryRules
from springtide.runtime.errors import NotFound, Unavailable, reason_of
from springtide.scaler.core.ports import Clock
from springtide.wire.jobs.job import Answer, CallbackJob, DeadLetter, JobState, Outcome, Progress
from springtide.wire.jobs.ports import JobSource, Lease

EXTENSIONS = 3
"""Of a lease, in the time that it lasts."""

INSIST_S = 0.25
MAX_DEAD_ANSWER = 64 * 1024
"""Bytes of the last answer that a dead letter keeps."""


_Result = TypeVar("_Result")


class Caller(Protocol):
    async def call(self, lease: Lease) -> Answer:
        """Call the function; status 0 where no answer came. Raises NotFound where the stored body is gone, and
        Unavailable where it cannot be read now."""
        ...


@dataclass(frozen=True, slots=True)
class ExecutionDeps:
    source: JobSource
    caller: Caller
    clock: Clock
    chance: Callable[[], float]
    """A random number from 0 to 1."""
    ack_wait_s: float
    version: str


class Execution:
    """``rules`` are the function's. ``cancel`` ends it for good; a cancelled task hands it back."""

    def __init__(self, deps: ExecutionDeps, lease: Lease, rules: RetryRules) -> None:
        self._deps = deps
        self._lease = lease
        self._rules = rules
        self._calling: asyncio.Task[Answer] | None = None
        self._cancelled = False
        self.ended: JobState | None = None
        """What became of it, once it is known; RETRYING where it was handed back."""
        self.retry_in_s = 0.0
        """After which it may be taken again, where it is to be."""

    def __repr__(self) -> str:
        return f"<Execution of {self._lease!r}>"

    def cancel(self) -> None:
        """Somebody wants it ended: its connection is closed."""
        self._cancelled = True
        if self._calling is not None:
            self._calling.cancel()

    async def run(self) -> None:
        """Raises Unavailable where the broker stays away: the job is somebody's again then."""
        lease, job = self._lease, self._lease.job
        keeping = asyncio.create_task(self._keep())
        try:
            known = await self._insisted(lambda: self._deps.source.outcome(job))
            if known is not None:
                await self._settle(known)
            else:
                await self._try()
        except asyncio.CancelledError:
            with contextlib.suppress(Unavailable):
                await lease.hand_back(0.0)
            raise
        finally:
            keeping.cancel()

    async def _try(self) -> None:
        deps, lease = self._deps, self._lease
        started = deps.clock.wall()
        with contextlib.suppress(Unavailable):  # a view
            running = Progress(state=JobState.RUNNING, attempts=lease.attempt, started_at=started)
            await deps.source.tell(lease.job.token, running)
        if self._cancelled:
            await self._end(JobState.CANCELLED, started, None, "it was cancelled")
            return
        self._calling = asyncio.create_task(deps.caller.call(lease))
        try:
            answer = await self._calling
        except asyncio.CancelledError:
            if not self._cancelled:
                self._calling.cancel()
                raise
            await self._end(JobState.CANCELLED, started, None, "it was cancelled while it ran")
        except NotFound as error:
            await self._end(JobState.FAILED, started, None, reason_of(error))
        else:
            await self._after(started, answer)

    async def _after(self, started: float, answer: Answer) -> None:
        deps, lease, job = self._deps, self._lease, self._lease.job
        if not self._rules.repeats(answer):
            await self._end(JobState.DONE, started, answer, "")
            return
        now = deps.clock.wall()
        age_s = now - max(job.accepted_at, job.not_before)
        why = self._rules.given_up(lease.attempt, age_s=age_s)
        if why:
            last = f"status {answer.status}" if answer.status else "no answer: the connection was lost"
            await self._end(JobState.FAILED, started, answer, f"{why}; the last try: {last}")
            return
        wait_s = self._rules.wait_s(lease.attempt, answer, now=now, chance=deps.chance())
        with contextlib.suppress(Unavailable):
            await deps.source.tell(
                job.token,
                Progress(
                    state=JobState.RETRYING,
                    attempts=lease.attempt,
                    started_at=started,
                    next_attempt_at=now + wait_s,
                    status=answer.status,
                ),
            )
        await self._insisted(lambda: lease.hand_back(wait_s))
        self.retry_in_s = wait_s
        self.ended = JobState.RETRYING

    async def _end(self, state: JobState, started: float, answer: Answer | None, reason: str) -> None:
        outcome = Outcome(
            state=state,
            attempts=self._lease.attempt,
            started_at=started,
            finished_at=self._deps.clock.wall(),
            answer=answer,
            reason=reason,
        )
        await self._settle(outcome)

    async def _settle(self, outcome: Outcome) -> None:
        """Each step may be repeated; the last one makes all of it final."""
        source, lease, job = self._deps.source, self._lease, self._lease.job
        await self._insisted(lambda: source.store_outcome(job, lease.id, outcome))
        if job.callback and outcome.state is not JobState.CANCELLED:
            headers = callback_headers(
                job, lease.id, outcome, max_attempts=self._rules.max_attempts, version=self._deps.version
            )
            callback = CallbackJob(job=job, id=lease.id, headers=headers, finished_at=outcome.finished_at)
            body = outcome.answer.body if outcome.answer else b""
            await self._insisted(lambda: source.store_callback(callback, body))
        if outcome.state is JobState.FAILED:
            letter = DeadLetter(job=job, outcome=shortened(outcome))
            await self._insisted(lambda: source.store_dead(letter, lease))
        await self._insisted(lease.settle)
        self.ended = outcome.state

    async def _insisted(self, step: Callable[[], Awaitable[_Result]]) -> _Result:
        """The broker may be gone for a moment, and what was done is not to be done again for that."""
        until = self._deps.clock.now() + self._deps.ack_wait_s
        while True:
            try:
                return await step()
            except Unavailable:
                if self._deps.clock.now() >= until:
                    raise
                await asyncio.sleep(INSIST_S)

    async def _keep(self) -> None:
        """The lease, for as long as it takes."""
        while True:
            await asyncio.sleep(self._deps.ack_wait_s / EXTENSIONS)
            with contextlib.suppress(Unavailable):
                await self._lease.extend()


def shortened(outcome: Outcome) -> Outcome:
    """With as much of the answer as a dead letter keeps."""
    answer = outcome.answer
    if answer is None or len(answer.body) <= MAX_DEAD_ANSWER:
        return outcome
    short = Answer(answer.status, answer.headers, answer.body[:MAX_DEAD_ANSWER], truncated=True)
    return replace(outcome, answer=short)
