"""A job that ends its replica takes those beside it along once or twice, and is given up alone; in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from springtide.queue_worker.suspects import MAX_SUSPECTS, Suspects
from springtide.wire.jobs.job import Answer, JobState
from springtide.wire.jobs.ports import Lease
from tests.queue_worker.values import INTERNAL, Held, a_job, answer
from tests.queue_worker.world import World

pytestmark = pytest.mark.virtual_time

POISON = (("X-Poison", "yes"),)
LOST = answer(502, INTERNAL)


class Replica:
    """All calls that it makes end when it does. A poisonous one ends it after ``fatal_s``."""

    def __init__(self, work_s: float = 1.0, fatal_s: float = 0.1) -> None:
        self._work_s, self._fatal_s = work_s, fatal_s
        self._calls: set[asyncio.Future[Answer]] = set()
        self.tries: Counter[str] = Counter()
        self.most = 0

    async def call(self, lease: Lease) -> Answer:
        self.tries[lease.job.token] += 1
        poison = lease.job.headers == POISON
        ended: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._calls.add(ended)
        self.most = max(self.most, len(self._calls))
        if poison:
            asyncio.get_running_loop().call_later(self._fatal_s, self.die)
        try:
            async with asyncio.timeout(self._work_s):
                return await ended
        except TimeoutError:
            return answer()
        finally:
            self._calls.discard(ended)

    def die(self) -> None:
        for call in self._calls:
            if not call.done():
                call.set_result(LOST)


@pytest.mark.parametrize("work_s", [0.5, 30.0])
@pytest.mark.parametrize("beside", [5, 49])
async def test_only_the_job_that_ends_its_replica_is_given_up(world: World, beside: int, work_s: float) -> None:
    replica = Replica(work_s)
    world.functions.deploy("echo", replica.call)
    poison, *others = [a_job(headers=POISON), *(a_job() for _ in range(beside))]
    at = beside // 2
    ids = await world.submit(*others[:at], poison, *others[at:])
    world.worker(max_attempts=6)
    outcomes = await world.ended(*ids)
    failed = [number for number, outcome in enumerate(outcomes) if outcome.state is JobState.FAILED]
    assert failed == [at]
    assert outcomes[at].attempts == replica.tries[poison.token] == 6
    assert replica.most == beside + 1


async def test_jobs_that_come_later_go_out_beside_those_that_are_tried_again(world: World) -> None:
    replica = Replica(fatal_s=0.0)
    world.functions.deploy("echo", replica.call)
    world.worker()
    (poison,) = await world.post(headers=POISON)
    await asyncio.sleep(5.0)
    began, ids = world.loop.time(), await world.post(count=40)
    for job_id in ids:
        found = await world.store.ended(job_id, 3.0)
        assert found is not None
        assert found.state is JobState.DONE
    assert world.loop.time() - began == pytest.approx(1.0, abs=0.1)
    (outcome,) = await world.ended(poison)
    assert outcome.state is JobState.FAILED


async def test_where_a_machine_went_down_all_are_soon_called_as_before(world: World) -> None:
    replica = Replica(work_s=10.0)
    world.functions.deploy("echo", replica.call)
    world.worker()
    ids = await world.post(count=50)
    await world.until(lambda: len(replica.tries) == 50)
    replica.die()
    await world.ended(*ids)
    assert set(replica.tries.values()) == {2}
    assert world.loop.time() < 10.0 + 12 * 10.0  # 1, then 2, and so on up to 10


async def test_a_cancelled_job_that_waits_for_its_turn_makes_way(world: World) -> None:
    replica = Replica(work_s=10.0)
    world.functions.deploy("echo", replica.call)
    world.worker()
    ids = await world.post(count=3)
    await world.until(lambda: len(replica.tries) == 3)
    replica.die()
    await world.until(lambda: sum(replica.tries.values()) == 4)
    for job_id in ids:
        if await world.state(job_id) is JobState.RUNNING:
            await world.store.stop_running(job_id)
    outcomes = await world.ended(*ids)
    assert {outcome.state for outcome in outcomes} == {JobState.CANCELLED}
    assert sum(replica.tries.values()) == 4


async def test_only_so_many_are_remembered() -> None:
    class Lost:
        async def call(self, _: Lease) -> Answer:
            return LOST

    suspects = Suspects(Lost())
    for _ in range(MAX_SUSPECTS + 10):
        await suspects.call(Held(a_job(), []))
    assert repr(suspects).startswith(f"<Suspects {MAX_SUSPECTS} of 1 functions")
