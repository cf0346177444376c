"""Any order of jobs, crashes between any two steps, stops, outages and cancelling, against a model of what must hold.

Every accepted job ends in one outcome, none is lost, each is executed no more often than its tries and what broke them
off, each caller is told, and every dead letter is whole.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from springtide.runtime.virtual_time import VirtualTimeLoop
from springtide.wire.jobs.job import Answer, JobState
from springtide.wire.jobs.job_id import place_of
from springtide.wire.jobs.ports import Lease
from tests.queue_worker.values import QUEUE, a_job, answer
from tests.queue_worker.world import CALLBACK, Worker, World

T = TypeVar("T")

MAX_ATTEMPTS = 3
STEPS = ["store outcome", "store callback", "store dead", "settle", "hand back", "settle callback"]
TRIES = {"good": 1, "long": 1, "flaky": 2, "bad": MAX_ATTEMPTS}
"""What each kind of function takes where nothing breaks off."""


@dataclass(slots=True)
class Expected:
    kind: str
    callback: bool
    disturbed_from: int
    """How many disturbances there had been when it was accepted."""
    cancelled: bool = False


class AnyCrash(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.world = World(self.loop)
        self.expected: dict[str, Expected] = {}
        self.disturbances = 0
        self.stored: defaultdict[str, set[JobState]] = defaultdict(set)
        self.executions: Counter[str] = Counter()
        self.after_the_end: set[str] = set()
        """Jobs that were executed once more though their outcome had been stored."""
        for kind in TRIES:
            self.world.functions.deploy(kind, self.behaves(kind), replicas=1, limit=3)
        self.run(self.started())

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(main)

    def behaves(self, kind: str) -> Any:
        async def behave(lease: Lease) -> Answer:
            token = lease.job.token
            self.executions[token] += 1
            if token in self.world.broker.outcomes:
                self.after_the_end.add(token)
            await asyncio.sleep(20.0 if kind == "long" else 0.5)
            failed = kind == "bad" or (kind == "flaky" and self.executions[token] == 1)
            return answer(500) if failed else answer()

        return behave

    async def started(self) -> Worker:
        return self.world.worker(ack_wait_s=5.0, max_attempts=MAX_ATTEMPTS, min_wait_s=1.0, max_wait_s=2.0)

    def remember(self) -> None:
        for token, (_, _, outcome) in self.world.broker.outcomes.items():
            self.stored[token].add(outcome.state)

    async def pass_time(self, seconds: float) -> None:
        end = self.loop.time() + seconds
        while self.loop.time() < end:
            await asyncio.sleep(0.1)
            self.remember()

    @rule(kind=st.sampled_from(sorted(TRIES)), callback=st.booleans(), count=st.integers(1, 3))
    def accept(self, kind: str, callback: bool, count: int) -> None:
        self.world.broker.away = False
        for _ in range(count):
            (job_id,) = self.run(self.world.submit(a_job(kind, callback=CALLBACK if callback else "")))
            self.expected[job_id] = Expected(kind, callback, self.disturbances)

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.5, 4.0, 12.0]))
    def wait(self, seconds: float) -> None:
        self.run(self.pass_time(seconds))

    @rule(step=st.sampled_from(STEPS), after=st.booleans(), seconds=st.sampled_from([0.7, 3.0, 25.0]))
    @precondition(lambda self: self.expected)
    def crash_at(self, step: str, after: bool, seconds: float) -> None:
        """The next time that a worker comes to that step it dies, and another begins."""

        async def crash() -> None:
            worker, died = self.world.workers[-1], asyncio.Event()

            def die(taken: str) -> None:
                if taken == step:
                    worker.link.cut = True
                    died.set()

            setattr(worker.link, "after" if after else "before", die)
            end = self.loop.time() + seconds
            while not died.is_set() and self.loop.time() < end:
                await self.pass_time(0.1)
            worker.link.before = worker.link.after = lambda _: None
            if died.is_set():
                self.disturbances += 1
                await worker.kill()
                self.world.workers.remove(worker)
                await self.started()

        self.run(crash())

    @rule()
    def kill(self) -> None:
        async def killed() -> None:
            await self.world.workers.pop(0).kill()
            await self.started()

        self.disturbances += 1
        self.run(killed())

    @rule(grace_s=st.sampled_from([0.0, 1.0, 30.0]))
    def stop(self, grace_s: float) -> None:
        async def stopped() -> None:
            await self.world.workers.pop(0).stop(grace_s)
            await self.started()

        self.disturbances += 1
        self.run(stopped())

    @rule()
    @precondition(lambda self: len(self.world.workers) < 3)
    def another(self) -> None:
        self.run(self.started())

    @rule(seconds=st.sampled_from([0.3, 4.0, 30.0]))
    def outage(self, seconds: float) -> None:
        self.disturbances += 1
        self.world.broker.away = True
        self.run(self.pass_time(seconds))
        self.world.broker.away = False

    @rule(data=st.data())
    @precondition(lambda self: self.expected)
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.expected)))

        async def cancelled() -> None:
            found = await self.world.store.remove(job_id)
            assert found is not None
            if found.state is JobState.RUNNING:
                await self.world.store.stop_running(job_id)
            self.expected[job_id].cancelled |= found.state in (JobState.RUNNING, JobState.CANCELLED)

        self.world.broker.away = False
        self.run(cancelled())

    def teardown(self) -> None:
        try:
            self.run(self.ends())
        finally:
            self.run(self.world.close())
            self.loop.close()

    async def ends(self) -> None:
        self.world.broker.away = False
        for _ in range(600):
            await self.pass_time(1.0)
            if not self.world.broker.jobs(QUEUE) and not self.world.broker.callbacks:
                break
        assert self.world.broker.jobs(QUEUE) == {}
        assert self.world.broker.callbacks == {}
        told = Counter(lease.callback.id for _, lease in self.world.told.told)
        for job_id, expected in self.expected.items():
            await self.judge(job_id, expected, told[job_id])

    async def judge(self, job_id: str, expected: Expected, told: int) -> None:
        place = place_of(job_id)
        assert place is not None
        outcome, token = await self.world.outcome(job_id), place.token
        disturbed = self.disturbances - expected.disturbed_from
        executions = self.executions[token]
        assert executions <= TRIES[expected.kind] + disturbed
        if not expected.cancelled:
            assert token not in self.after_the_end
            usual = JobState.FAILED if expected.kind == "bad" else JobState.DONE
            assert outcome.state is usual or (disturbed and outcome.state is JobState.FAILED)
            assert self.stored[token] == {outcome.state}
            assert executions >= 1
            if not disturbed:
                assert executions == TRIES[expected.kind]
        letter = self.world.broker.dead.get(token)
        assert (letter is not None) == (outcome.state is JobState.FAILED) or expected.cancelled
        if letter is not None:
            kept, body = letter
            assert (kept.job.id, kept.job.token, body) == (job_id, token, b"body")
            assert kept.outcome.reason
        if expected.callback and not expected.cancelled:
            assert told >= 1
            assert told == 1 or disturbed
        if not expected.callback:
            assert told == 0


AnyCrash.TestCase.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyCrash = AnyCrash.TestCase
