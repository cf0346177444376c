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
from springtide.queue_worker.retrying import INTERNAL, RetryRules
from springtide.runtime.errors import NotFound, Unavailable, reason_of
from springtide.scaler.core.ports import Clock
from springtide.wire.jobs.job import Answer, CallbackJob, DeadLetter, JobState, Outcome, Progress
from springtide.wire.jobs.ports import JobSource, Lease

EXTENSIONS = 3
"""Of a lease, in the time that it lasts."""

CLOSE_S = 5.0
"""How long the closing of a connection may take."""

INSIST_S = 0.25
MAX_OUTAGE_S = 900.0
"""Of the broker, that what came of a call outlives in its worker. The lease may be over by then: this worker goes on
under the next one, and another finds the outcome."""

MAX_TOLD = 200
"""Bytes of what the gateway itself answered, or of why nobody did, that is repeated where it is told."""

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
        self._cancelled = self._over = False
        self._attempt = 1
        self._running: Progress | None = None
        """As it was told, while its function is called."""
        self.ended: JobState | None = None
        """What became of it, once it is known; RETRYING where it was handed back."""
        self.answered: Callable[[], None] = lambda: None
        """Called once its function has no call of it any more, while what came of it is yet to be stored."""
        self.retry_in_s = 0.0
        """After which it may be taken again, where it is to be."""

    def __repr__(self) -> str:
        return f"<Execution of {self._lease!r}>"

    def cancel(self) -> None:
        """Somebody wants it ended: its connection is closed."""
        self._cancelled = True
        if self._calling is not None:
            self._calling.cancel()

    def renew(self, lease: Lease) -> bool:
        """The broker has given it to us once more, as it does when it heard nothing for too long: it goes on under this
        lease. False: it is not ours any more."""
        if not self._over:
            self._lease = lease
        return not self._over

    async def run(self) -> None:
        """Raises Unavailable where the broker stays away: the job is somebody's again then."""
        job = self._lease.job
        keeping = asyncio.create_task(keep(self._extend, self._deps.ack_wait_s))
        try:
            known = await self._insisted(lambda: self._deps.source.outcome(job), patience_s=self._deps.ack_wait_s)
            if known is not None:
                await self._settle(known)
            else:
                await self._count()
                await self._try()
        except asyncio.CancelledError:
            self._over = True
            with contextlib.suppress(Unavailable):
                await self._lease.hand_back(0.0)
            raise
        finally:
            self._over = True
            keeping.cancel()

    async def _count(self) -> None:
        """Which try it is: who had it before may not have come as far as calling."""
        if self._lease.deliveries > 1:
            begun = await self._insisted(lambda: self._deps.source.begun(self._lease), patience_s=self._deps.ack_wait_s)
            self._attempt = begun + 1

    async def _extend(self) -> None:
        """And tell again that it runs: a broker that began anew has forgotten."""
        await self._lease.extend()
        if self._running is not None:
            await self._deps.source.tell(self._lease.job.token, self._running)

    async def _try(self) -> None:
        deps, lease = self._deps, self._lease
        started = deps.clock.wall()
        if why := self._rules.begun_too_often(self._attempt - 1, deliveries=lease.deliveries):
            await self._end(JobState.FAILED, started, None, why)
            return
        with contextlib.suppress(Unavailable):  # a view
            self._running = Progress(state=JobState.RUNNING, attempts=self._attempt, started_at=started)
            await deps.source.tell(lease.job.token, self._running)
        if self._cancelled:
            await self._end(JobState.CANCELLED, started, None, "it was cancelled")
            return
        self._calling = asyncio.create_task(deps.caller.call(lease))
        try:
            answer = await self._called(self._calling)
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
            await self._end(JobState.CANCELLED, started, None, "it was cancelled while it ran")
        except NotFound as error:
            await self._end(JobState.FAILED, started, None, reason_of(error))
        else:
            await self._after(started, answer)

    async def _called(self, calling: asyncio.Task[Answer]) -> Answer:
        """Cancelled it returns when the connection is closed, so that nobody calls again before that."""
        try:
            await asyncio.wait([calling])
        finally:
            if not calling.done():
                calling.cancel()
                await asyncio.wait([calling], timeout=CLOSE_S)
            self.answered()
        return calling.result()

    async def _after(self, started: float, answer: Answer) -> None:
        deps, job = self._deps, self._lease.job
        self._running = None
        if not self._rules.repeats(answer):
            await self._end(JobState.DONE, started, answer, "")
            return
        if self._cancelled:
            await self._end(JobState.CANCELLED, started, answer, "it was cancelled while it ran")
            return
        now = deps.clock.wall()
        age_s = now - max(job.accepted_at, job.not_before)
        why = self._rules.given_up(self._attempt, age_s=age_s)
        if why:
            await self._end(JobState.FAILED, started, answer, f"{why}; the last try: {_told(answer)}")
            return
        wait_s = self._rules.wait_s(self._attempt, answer, now=now, chance=deps.chance())
        retrying = Progress(
            state=JobState.RETRYING,
            attempts=self._attempt,
            started_at=started,
            next_attempt_at=now + wait_s,
            status=answer.status,
        )
        await self._insisted(lambda: deps.source.tell(job.token, retrying))  # the next one goes by it
        await self._insisted(lambda: self._lease.hand_back(wait_s))
        self.retry_in_s = wait_s
        self.ended = JobState.RETRYING

    async def _end(self, state: JobState, started: float, answer: Answer | None, reason: str) -> None:
        if answer is not None:
            answer = cut(answer, self._deps.source.max_answer())
        outcome = Outcome(
            state=state,
            attempts=self._attempt,
            started_at=started,
            finished_at=self._deps.clock.wall(),
            answer=answer,
            reason=reason,
        )
        await self._settle(outcome)

    async def _settle(self, outcome: Outcome) -> None:
        """Each step may be repeated; the last one makes all of it final."""
        source, job, known_as = self._deps.source, self._lease.job, self._lease.id
        self._running = None
        await self._insisted(lambda: source.store_outcome(job, known_as, outcome))
        if job.callback and outcome.state is not JobState.CANCELLED:
            headers = callback_headers(
                job, known_as, outcome, max_attempts=self._rules.max_attempts, version=self._deps.version
            )
            callback = CallbackJob(job=job, id=known_as, headers=headers, finished_at=outcome.finished_at)
            body = outcome.answer.body if outcome.answer else b""
            await self._insisted(lambda: source.store_callback(callback, body))
        if outcome.state is JobState.FAILED:
            letter = DeadLetter(job=job, outcome=shortened(outcome))
            await self._insisted(lambda: source.store_dead(letter, self._lease))
        await self._insisted(lambda: self._lease.settle())  # noqa: PLW0108 - it may be renewed meanwhile
        self.ended = outcome.state

    async def _insisted(self, step: Callable[[], Awaitable[_Result]], *, patience_s: float = MAX_OUTAGE_S) -> _Result:
        """The broker may be gone for a while, and what was done is not to be done again for that."""
        until = self._deps.clock.now() + patience_s
        while True:
            try:
                return await step()
            except Unavailable:
                if self._deps.clock.now() >= until:
                    raise
                await asyncio.sleep(INSIST_S)


async def keep(extend: Callable[[], Awaitable[None]], ack_wait_s: float) -> None:
    """A lease, for as long as it takes."""
    while True:
        await asyncio.sleep(ack_wait_s / EXTENSIONS)
        with contextlib.suppress(Unavailable):
            await extend()


def _told(answer: Answer) -> str:
    if not answer.status:
        return "no answer: the connection was lost"
    internal = any(name.lower() == INTERNAL for name, _ in answer.headers)
    said = answer.body[:MAX_TOLD].decode(errors="replace").strip() if internal else ""
    return f"status {answer.status}" + (f", {said}" if said else "")


def shortened(outcome: Outcome) -> Outcome:
    """With as much of the answer as a dead letter keeps."""
    answer = outcome.answer
    return outcome if answer is None else replace(outcome, answer=cut(answer, MAX_DEAD_ANSWER))


def cut(answer: Answer, size: int) -> Answer:
    """Its body no longer than that many bytes."""
    return answer if len(answer.body) <= size else replace(answer, body=answer.body[:size], truncated=True)
