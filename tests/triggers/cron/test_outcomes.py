"""What became of ticks' calls is learnt from the queue, whoever sent them, and also after this part was away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from springtide.triggers.cron.entry import BY_HAND, MAX_RUNS, Entry, Outcome, Run
from springtide.triggers.cron.term import Term
from springtide.wire.jobs.job import JobState
from tests.loops import virtual_loop
from tests.triggers.cron.world import BEGIN, Copy, World, ref

pytestmark = pytest.mark.virtual_time


@pytest.fixture
@asynccontextmanager
async def world() -> AsyncIterator[World]:
    world = World(virtual_loop())
    yield world
    world.check()
    await world.close()


def term_of(world: World, copy: Copy) -> Term:
    term = world.leading[copy].term
    assert term is not None
    return term


async def looked(world: World, copy: Copy, name: str = "a") -> list[tuple[float, str, str]]:
    """The minute, the outcome and the note of each run, as a person sees them."""
    term = term_of(world, copy)
    (entry,) = term.entries_of(ref(name)).values()
    await term.outcomes.learn([entry])
    return [((run.due - BEGIN) / 60, str(run.outcome), run.note) for run in entry.runs]


async def restarted(world: World, leader: Copy, minutes: float) -> Copy:
    """It is killed, and there is another one a while later."""
    await world.kill(leader)
    await world.until_minute(minutes)
    successor = world.lead()
    await asyncio.sleep(1)
    return successor


@pytest.mark.parametrize(
    ("state", "status", "outcome", "note"),
    [
        pytest.param(JobState.DONE, 200, "called", "", id="a good answer"),
        pytest.param(JobState.DONE, 500, "failed", "it answered 500", id="a bad answer"),
        pytest.param(JobState.FAILED, 503, "failed", "10 attempts", id="given up"),
        pytest.param(JobState.CANCELLED, 0, "cancelled", "", id="cancelled"),
        pytest.param(JobState.RUNNING, 0, "queued", "", id="it runs still"),
    ],
)
@pytest.mark.parametrize("restarts", [False, True])
async def test_end_of_a_ticks_call_is_known(
    world: World, *, restarts: bool, state: JobState, status: int, outcome: str, note: str
) -> None:
    world.provider.deploy("a", "0 * * * *")
    leader = world.lead()
    await world.until_minute(46.5)  # minute 0 of this world is the 14th of its hour
    if restarts:
        await world.kill(leader)
    world.gateway.states["job-0"], world.gateway.answers["job-0"] = state, status
    if restarts:
        await world.until_minute(48)
        leader = world.lead()
        await asyncio.sleep(1)

    assert await looked(world, leader) == [(46, outcome, note)]


async def test_ticks_of_before_are_beside_those_of_now_and_only_the_last_of_them(world: World) -> None:
    world.provider.deploy("a")
    leader = world.lead()
    await world.until_minute(7.5)
    leader = await restarted(world, leader, 7.6)
    await world.until_minute(9)

    assert [at for at, *_ in await looked(world, leader)] == [5, 6, 7, 8, 9]
    assert world.gateway.asked == MAX_RUNS


async def test_only_ticks_that_the_queue_knows_are_told(world: World) -> None:
    world.provider.deploy("a", overlap="forbid")
    leader = world.lead()
    await world.until_minute(3.5)  # the first call runs, so that the others were skipped
    leader = await restarted(world, leader, 3.6)

    assert await looked(world, leader) == [(0, "queued", "")]


async def test_nobody_is_asked_about_what_the_queue_has_forgotten(world: World) -> None:
    world.provider.deploy("a", "@yearly")
    world.provider.deploy("b", "0 0 * * *")
    leader = world.lead()
    await world.until_minute(60 * 72)
    leader = await restarted(world, leader, 60 * 72 + 1)

    assert world.gateway.asked == 1
    assert len(await looked(world, leader, "b")) == 1


async def test_gateway_that_is_away_is_asked_again(world: World) -> None:
    world.provider.deploy("a", "0 * * * *")
    leader = world.lead()
    await world.until_minute(46.5)
    world.gateway.away[None] = 503
    leader = await restarted(world, leader, 47)
    await world.until_minute(50)
    assert await looked(world, leader) == []
    world.gateway.away.clear()
    await world.until_minute(52)

    assert [at for at, *_ in await looked(world, leader)] == [46]


async def test_without_a_queue_nothing_is_recalled_and_ticks_go_on(world: World) -> None:
    world.gateway.queue = False
    world.provider.deploy("a")
    leader = world.lead()
    await world.until_minute(1.5)
    leader = await restarted(world, leader, 1.6)
    await world.until_minute(3)

    assert [run[:2] for run in await looked(world, leader)] == [(2, "called"), (3, "called")]


async def test_call_by_a_person_is_the_last_one_and_outlives_the_part(world: World) -> None:
    world.provider.deploy("a", "0 * * * *")
    leader = world.lead()
    await world.until_minute(46.5)
    term = term_of(world, leader)
    (entry,) = term.entries_of(ref("a")).values()
    call = entry.call_of(BEGIN + 60 * 47)
    answer = await world.gateway.keep(call)
    now = world.clock.wall()
    term.ran(entry, Run(now, now, Outcome.QUEUED, answer.job, BY_HAND))
    assert [one[1:] for one in await looked(world, leader)] == [("queued", ""), ("queued", BY_HAND)]
    await asyncio.sleep(5)  # it is written down by then

    world.gateway.states[answer.job], world.gateway.answers[answer.job] = JobState.DONE, 500
    leader = await restarted(world, leader, 48)
    runs = [one[1:] for one in await looked(world, leader)]
    assert runs == [("queued", ""), ("failed", f"{BY_HAND}; it answered 500")]

    await term_of(world, leader).pause(ref("a"))
    await term_of(world, leader).resume(ref("a"))
    leader = await restarted(world, leader, 49)
    assert (await looked(world, leader))[-1][2].startswith(BY_HAND)
    world.provider.deploy("a", "1 * * * *")
    await asyncio.sleep(5)
    assert world.store.kept.records[ref("a")].ran == {}


async def test_what_has_ended_is_asked_for_once_and_of_many_the_newest(world: World) -> None:
    world.provider.deploy("a")
    leader = world.lead()
    await world.until_minute(2)
    for job in world.gateway.states:
        world.gateway.states[job] = JobState.DONE
    await looked(world, leader)
    world.gateway.states.clear()  # the queue has forgotten them

    assert {outcome for _, outcome, _ in await looked(world, leader)} == {"called"}


async def test_looking_takes_no_longer_than_a_moment(world: World) -> None:
    world.provider.deploy("a")
    leader = world.lead()
    await world.until_minute(0)

    async def never(_: object) -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    world.gateway.jobs = never  # type: ignore[assignment, method-assign] # a gateway that does not answer
    began = world.clock.now()

    assert await looked(world, leader) == [(0, "queued", "")]
    assert world.clock.now() - began == pytest.approx(2.0)


def test_runs_that_are_recalled_stand_in_their_order() -> None:
    entry = Entry(ref("a"), None, 0.0, 0.0, 0.0)  # type: ignore[arg-type] # its schedule does not matter
    for due in (50.0, 60.0):
        entry.note(Run(due, due, Outcome.QUEUED))
    for due in (10.0, 20.0, 30.0, 40.0, 50.0):
        entry.recall(Run(due, due, Outcome.CALLED))

    assert [run.due for run in entry.runs] == [20.0, 30.0, 40.0, 50.0, 60.0]
    assert entry.runs[3].outcome is Outcome.QUEUED
