"""When jobs go out, in virtual time: as soon as there is room, in fair turns, and never more than the room."""

from __future__ import annotations

import asyncio

import pytest

from springtide.queue_worker.dispatch import LOOK_S
from springtide.queue_worker.sharing import SETTLE_S
from springtide.wire.jobs.job import JobState
from tests.queue_worker.values import QUEUE, a_job, answer, lane
from tests.queue_worker.world import World, takes

pytestmark = pytest.mark.virtual_time


async def test_a_job_goes_out_at_once(world: World) -> None:
    world.functions.deploy("echo", takes(1.0))
    world.worker()
    await asyncio.sleep(100.0)
    began = world.loop.time()
    (job_id,) = await world.post()
    (outcome,) = await world.ended(job_id)
    assert outcome.state is JobState.DONE
    assert world.loop.time() - began == pytest.approx(1.0, abs=0.01)


async def test_jobs_take_the_room_that_there_is_and_no_more(world: World) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=10, limit=5)
    world.worker()
    ids = await world.post(count=500)
    await world.ended(*ids)
    assert world.loop.time() <= 1.1 * 500 / 50
    assert world.functions.most["echo"] == 50
    assert len(world.functions.runs) == 500


async def test_a_job_whose_outcome_is_being_stored_takes_no_room(world: World) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=1, limit=1)
    world.broker.storing_s = 0.5
    world.worker()
    await world.ended(*await world.post(count=20))
    assert world.functions.most["echo"] == 1
    assert world.loop.time() < 20.0 + 2.0


async def test_a_function_that_names_no_limit_has_the_workers_own(world: World) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=2)
    world.worker(max_inflight=7)
    await world.ended(*await world.post(count=100))
    assert world.functions.most["echo"] == 14


async def test_the_smaller_of_a_target_and_a_replicas_limit_counts(world: World) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=2, limit=5)
    known = world.functions.there[lane().function]
    for labels, expected in (("3", 6), ("8", 10)):
        world.functions.there[known.ref] = known.__class__(
            known.ref,
            2,
            "1",
            known.endpoints,
            labels={"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": labels},
        )
        worker = world.worker()
        await world.ended(*await world.post(count=50))
        assert world.functions.most["echo"] == expected
        await worker.stop()
        world.functions.most.clear()


async def test_a_function_at_zero_gets_one_job_and_the_rest_when_it_is_awake(world: World) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=0)
    world.worker()
    awake = asyncio.Event()

    async def cold(_: object) -> object:
        await awake.wait()
        await asyncio.sleep(1.0)
        return answer()

    world.functions.deploy("echo", cold, replicas=0)  # type: ignore[arg-type]
    ids = await world.post(count=100)
    await asyncio.sleep(60.0)
    assert world.functions.in_flight["echo"] == 1
    awake.set()
    world.functions.deploy("echo", takes(1.0), replicas=2, limit=10)
    began = world.loop.time()
    await world.ended(*ids)
    assert world.functions.most["echo"] == 20
    assert world.loop.time() - began <= 6.0


async def test_new_replicas_are_used_at_once(world: World) -> None:
    world.functions.deploy("echo", takes(10.0), replicas=1, limit=1)
    world.worker()
    await world.post(count=20)
    await asyncio.sleep(5.0)
    assert world.functions.in_flight["echo"] == 1
    world.functions.deploy("echo", replicas=5, limit=1)
    await asyncio.sleep(0.1)
    assert world.functions.in_flight["echo"] == 5


async def test_a_worker_runs_no_more_than_it_may(world: World) -> None:
    for name in "abcd":
        world.functions.deploy(name, takes(1.0), replicas=10)
    world.worker(max_running=30)
    ids = [job_id for name in "abcd" for job_id in await world.post(name, 100)]
    most = 0

    def counted(_: object) -> None:
        nonlocal most
        most = max(most, sum(world.functions.in_flight.values()) + 1)

    world.functions.called = counted
    await world.ended(*ids)
    assert 27 <= most <= 30  # some places are kept for those that have few
    assert world.loop.time() <= 1.1 * 400 / 30 + 1.0


async def test_thousands_of_functions_that_the_broker_must_open_leave_places_for_those_it_knows(world: World) -> None:
    names = [f"new-{number}" for number in range(2000)]
    for name in ("known", *names):
        world.functions.deploy(name, takes(0.5))
    world.worker()
    await world.ended(*await world.post("known"))
    world.broker.opening_s = 0.05
    new = [job_id for name in names for job_id in await world.post(name)]
    await asyncio.sleep(10.0)
    assert world.functions.runs[-1].job.lane.function.name != "known"
    for _ in range(5):
        (posted,) = await world.post("known")
        found = await world.store.ended(posted, 1.0)
        assert found is not None
        assert found.state is JobState.DONE
        await asyncio.sleep(1.0)
    began = world.loop.time()
    await world.ended(*new)
    assert world.loop.time() - began < 1.05 * 2000 * 0.05


async def test_jobs_whose_rings_are_lost_are_found_by_a_look(world: World) -> None:
    world.functions.deploy("echo", takes(0.0))
    world.worker()
    await asyncio.sleep(1.0)
    world.broker.silent = True
    (job_id,) = await world.post()
    await world.ended(job_id)
    assert world.loop.time() <= 1.0 + LOOK_S


async def test_jobs_that_were_there_before_the_worker_are_run(world: World) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=1, limit=50)
    ids = await world.post(count=50)
    world.worker()
    await world.ended(*ids)
    assert world.loop.time() == pytest.approx(SETTLE_S + 1.0, abs=0.1)


async def test_a_lane_that_nothing_comes_for_is_forgotten_and_comes_back(world: World) -> None:
    world.functions.deploy("echo", takes(1.0))
    worker = world.worker(idle_lane_s=30.0)
    await world.ended(*await world.post())
    await asyncio.sleep(40.0)
    assert worker.source.forgotten == [lane()]
    began = world.loop.time()
    await world.ended(*await world.post())
    assert world.loop.time() - began == pytest.approx(1.0, abs=0.01)


async def test_a_lane_whose_job_runs_or_waits_for_a_retry_is_not_forgotten(world: World) -> None:
    world.functions.deploy("long", takes(500.0))
    world.functions.deploy(
        "broken", takes(0.0, answer(500), answer()), annotations={"com.openfaas.retry.min_wait": "5m"}
    )
    worker = world.worker(idle_lane_s=30.0)
    await world.post("long")
    await world.post("broken")
    await asyncio.sleep(250.0)
    assert worker.source.forgotten == []


async def test_the_jobs_of_one_wait_no_longer_for_the_backlog_of_another(world: World) -> None:
    """One with 50,000 jobs and more room than the worker has places."""
    world.functions.deploy("hog", takes(10.0), replicas=40)
    world.functions.deploy("echo", takes(1.0), replicas=1, limit=10)
    world.worker(max_running=1000)
    await world.post("hog", 50_000)
    await asyncio.sleep(5.0)
    assert world.functions.in_flight["hog"] == 900
    for _ in range(10):
        began = world.loop.time()
        ids = await world.post("echo", 10)
        for job_id in ids:
            await world.store.ended(job_id, 100.0)
        assert world.loop.time() - began <= 1.1  # as alone
        await asyncio.sleep(1.7)


async def test_two_that_want_all_places_get_equal_shares_of_its_time(world: World) -> None:
    world.functions.deploy("short", takes(0.5), replicas=100)
    world.functions.deploy("long", takes(10.0), replicas=100)
    world.worker(max_running=100)
    await world.post("short", 10_000)
    await world.post("long", 1000)
    await asyncio.sleep(80.0)
    seconds = dict.fromkeys(("short", "long"), 0.0)
    for run in world.functions.runs:
        seconds[run.job.lane.function.name] += min(run.ended_at, world.loop.time()) - run.began_at
    assert 0.8 <= seconds["short"] / seconds["long"] <= 1.25
    assert sum(seconds.values()) >= 0.85 * 100 * 80


async def test_tenants_of_a_function_take_turns(world: World) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=1, limit=2)
    world.worker()
    await world.post("echo", 1000, tenant="1")
    await asyncio.sleep(10.0)
    began = world.loop.time()
    ids = await world.post("echo", 5, tenant="2")
    for job_id in ids:
        await world.store.ended(job_id, 1000.0)
    assert world.loop.time() - began <= 2 * 5 / 2 + 2.0


async def test_a_function_that_is_not_there_takes_no_calls_and_its_jobs_die_with_the_reason(world: World) -> None:
    world.functions.deploy("other", takes(0.0))
    world.worker(max_attempts=3)
    await asyncio.sleep(1.0)
    began = world.loop.time()
    ids = await world.post("gone", 1000)
    outcomes = await world.ended(*ids)
    assert world.functions.runs == []
    assert {outcome.state for outcome in outcomes} == {JobState.FAILED}
    assert all("there is no function gone" in outcome.reason for outcome in outcomes)
    assert world.loop.time() - began == pytest.approx(30.0, abs=2.0)
    assert len(world.broker.dead) == 1000


async def test_a_function_that_comes_back_gets_its_jobs(world: World) -> None:
    world.functions.deploy("echo", takes(0.0))
    world.worker()
    await asyncio.sleep(1.0)
    world.functions.remove("echo")
    (job_id,) = await world.post()
    await asyncio.sleep(5.0)
    assert await world.state(job_id) is JobState.RETRYING
    world.functions.deploy("echo", takes(0.0))
    (outcome,) = await world.ended(job_id)
    assert (outcome.state, outcome.attempts) == (JobState.DONE, 2)


async def test_a_function_is_called_while_the_provider_is_away(world: World) -> None:
    """What is not known then is not taken for gone."""
    world.functions.deploy("echo", takes(0.0))
    world.worker()
    await asyncio.sleep(0.5)
    world.functions.deploy("new", takes(0.0))
    world.functions.remove("new")
    world.functions.disconnect()
    await asyncio.sleep(0.0)
    ids = [*await world.post("echo"), *await world.post("new")]
    assert {outcome.state for outcome in await world.ended(*ids)} == {JobState.DONE}


async def test_the_broker_away_for_a_while_costs_no_more_than_that(world: World) -> None:
    world.functions.deploy("echo", takes(1.0), replicas=1, limit=10)
    world.worker()
    await asyncio.sleep(1.0)
    ids = await world.post(count=100)
    await asyncio.sleep(2.5)
    world.broker.away = True
    await asyncio.sleep(20.0)
    world.broker.away = False
    outcomes = await world.ended(*ids)
    assert {outcome.state for outcome in outcomes} == {JobState.DONE}
    assert len(world.functions.runs) == 100  # none twice: what ran meanwhile was held to be settled
    assert world.loop.time() <= 3.5 + 20.0 + 10.0


async def test_thousands_of_functions_with_one_job_each(world: World) -> None:
    number = 5000
    for n in range(number):
        world.functions.deploy(f"f{n}", takes(1.0))
    world.worker()
    ids = [job_id for n in range(number) for job_id in await world.post(f"f{n}")]
    await world.ended(*ids)
    assert world.loop.time() <= 1.1 * number / 1000 + 1.0
    assert world.broker.steps["take"] <= 3 * number
    assert world.broker.jobs(QUEUE) == {}


async def test_a_job_that_comes_while_its_lane_is_asked_is_not_left_behind(world: World) -> None:
    world.functions.deploy("echo", takes(0.0))
    world.worker()
    await asyncio.sleep(0.1)
    for _ in range(200):
        await world.submit(a_job())
        await asyncio.sleep(0)
    await asyncio.sleep(LOOK_S / 2)
    assert world.broker.jobs(QUEUE) == {}
