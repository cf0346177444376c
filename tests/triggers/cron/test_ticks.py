"""One leader: each tick is one call, in time; what pauses, overlaps, changes, is late or refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from springtide.triggers.cron.entry import Outcome
from springtide.wire.jobs.job import JobState
from tests.loops import virtual_loop
from tests.triggers.cron.world import BEGIN, World, ref

pytestmark = pytest.mark.virtual_time


@pytest.fixture
@asynccontextmanager
async def world() -> AsyncIterator[World]:
    world = World(virtual_loop())
    yield world
    world.check()
    await world.close()


def minutes(*numbers: float) -> list[float]:
    return [BEGIN + 60 * number for number in numbers]


async def test_every_tick_is_one_call_at_its_instant(world: World) -> None:
    world.provider.deploy("a")
    world.lead()

    await world.until_minute(4)

    assert world.gateway.times() == minutes(0, 1, 2, 3, 4)
    assert all(at - call.at < 0.05 for call, at, _ in world.gateway.kept)
    assert {run.outcome for run in world.counted.runs} == {Outcome.QUEUED}


async def test_call_says_what_the_annotations_say(world: World) -> None:
    world.provider.deploy("a", "CRON_TZ=Asia/Tokyo * * * * *", method="PUT", path="/x?y=1", body="{}")
    world.lead()

    await world.until_minute(0)

    ((call, _, _),) = world.gateway.kept
    assert (call.function, call.schedule, call.at) == (ref("a"), "CRON_TZ=Asia/Tokyo * * * * *", BEGIN)
    assert (call.options.method, call.options.path, call.options.body) == ("PUT", "/x?y=1", "{}")
    assert call.key.startswith("cron 2023-11-14T22:14:00.000Z ")


async def test_function_deployed_later_ticks_from_then_on_and_one_that_is_removed_no_more(world: World) -> None:
    world.lead()
    await world.until_minute(1)
    world.provider.deploy("a")
    await world.until_minute(3)
    world.provider.remove("a")
    await world.until_minute(5)

    assert world.gateway.times() == minutes(2, 3)
    assert world.store.kept.records == {}


async def test_changed_schedule_counts_at_once_and_the_old_one_no_more(world: World) -> None:
    world.provider.deploy("a", "* * * * *")
    world.lead()
    await world.until_minute(1)
    world.provider.deploy("a", "*/3 * * * *")

    await world.until_minute(8)

    # Minute 0 of this world is the 14th of its hour.
    assert world.gateway.times() == minutes(0, 1, 4, 7)


async def test_schedule_changed_at_the_very_second_at_which_it_is_due_ticks_once(world: World) -> None:
    world.provider.deploy("a", "* * * * *")
    world.lead()
    await asyncio.sleep(BEGIN - world.clock.wall())
    world.provider.deploy("a", "* * * * *; 0 0 1 1 *")

    await world.until_minute(1)

    assert world.gateway.times() == minutes(0, 1)


async def test_every_counts_from_the_deployment(world: World) -> None:
    world.provider.deploy("a", "@every 90s")
    await asyncio.sleep(50)
    world.lead()
    await asyncio.sleep(230)

    assert world.gateway.times() == [1_700_000_000.0 + 90 * turn for turn in (1, 2, 3)]


async def test_paused_function_has_no_ticks_and_what_was_due_meanwhile_is_over(world: World) -> None:
    world.provider.deploy("a")
    world.provider.deploy("b")
    leading = world.leading[world.lead()]
    await world.until_minute(1)
    assert leading.term is not None

    await leading.term.pause(ref("a"))
    assert (leading.paused(ref("a")), leading.paused(ref("b"))) == (True, False)
    await world.until_minute(4)
    await leading.term.resume(ref("a"))
    await world.until_minute(6)

    assert world.gateway.times(ref("a")) == minutes(0, 1, 5, 6)
    assert world.gateway.times(ref("b")) == minutes(0, 1, 2, 3, 4, 5, 6)


async def test_pause_outlives_a_leader_and_a_new_schedule(world: World) -> None:
    world.provider.deploy("a")
    first = world.lead()
    await world.until_minute(1)
    term = world.leading[first].term
    assert term is not None
    await term.pause(ref("a"))
    world.provider.deploy("a", "*/2 * * * *")
    await world.kill(first)
    second = world.lead()
    await world.until_minute(5)

    assert world.gateway.times() == minutes(0, 1)
    assert world.leading[second].paused(ref("a"))


async def test_tick_that_is_not_taken_is_sent_again_and_holds_nobody_else_up(world: World) -> None:
    world.provider.deploy("a")
    world.provider.deploy("b")
    world.gateway.away[ref("a")] = 503
    world.lead()
    await world.until_minute(1)
    del world.gateway.away[ref("a")]
    await world.until_minute(2)

    assert world.gateway.times(ref("a")) == minutes(0, 1, 2)
    assert world.gateway.times(ref("b")) == minutes(0, 1, 2)
    assert all(at - call.at < 0.1 for call, at, _ in world.gateway.kept if call.function == ref("b"))
    assert world.counted.retries > 3
    assert world.counted.missing == 0


@pytest.mark.parametrize(
    ("catch_up", "limit", "sent"),
    [
        pytest.param("none", "100", [15, 16, 17, 18, 19, 20], id="none"),
        pytest.param("last", "100", [14, 15, 16, 17, 18, 19, 20], id="the last one"),
        pytest.param("all", "100", list(range(21)), id="all"),
        pytest.param("all", "3", [12, 13, 14, 15, 16, 17, 18, 19, 20], id="as many as it says"),
    ],
)
@pytest.mark.parametrize("how", ["the gateway is away", "nobody leads"])
async def test_after_a_longer_silence_the_function_says_what_is_sent(
    world: World, how: str, catch_up: str, limit: str, sent: list[int]
) -> None:
    world.provider.deploy("a", catch_up=catch_up, catch_up_limit=limit)
    leader = world.lead()
    if how == "nobody leads":
        await asyncio.sleep(5)
        await world.kill(leader)
    else:
        world.gateway.away[None] = 503
    await world.until_minute(19.5)
    if how == "nobody leads":
        world.lead()
    else:
        del world.gateway.away[None]

    await world.until_minute(20.3)

    assert sorted(world.gateway.times()) == minutes(*sent)
    assert world.counted.missing == 21 - len(sent)


async def test_tick_that_the_gateway_refuses_for_good_is_told_and_not_sent_again(world: World) -> None:
    world.provider.deploy("a")
    world.gateway.away[ref("a")] = 400
    leading = world.leading[world.lead()]

    await world.until_minute(1)

    assert world.gateway.requests == 2
    assert leading.term is not None
    (entry,) = leading.term.entries_of(ref("a")).values()
    assert [(run.outcome, run.note) for run in entry.runs] == [(Outcome.REFUSED, "400 not now")] * 2


async def test_call_that_has_not_ended_forbids_the_next_one(world: World) -> None:
    world.provider.deploy("a", overlap="forbid")
    world.lead()
    await world.until_minute(2)
    world.gateway.states["job-0"] = JobState.DONE
    await world.until_minute(4)

    assert world.gateway.times() == minutes(0, 3)
    assert [run.outcome for run in world.counted.runs].count(Outcome.SKIPPED) == 3


async def test_call_that_has_not_ended_is_replaced_by_the_next_one(world: World) -> None:
    world.provider.deploy("a", overlap="replace")
    world.lead()
    await world.until_minute(0)
    world.gateway.states["job-0"] = JobState.RUNNING
    await world.until_minute(2)

    assert world.gateway.times() == minutes(0, 1, 2)
    assert [world.gateway.states[f"job-{number}"] for number in range(3)] == ["cancelled", "cancelled", "queued"]


async def test_new_leader_knows_the_call_that_forbids_the_next_one(world: World) -> None:
    world.provider.deploy("a", overlap="forbid")
    first = world.lead()
    await asyncio.sleep(BEGIN - world.clock.wall() + 10)
    await world.kill(first)
    world.lead()
    await world.until_minute(2)

    assert world.gateway.times() == minutes(0)


async def test_jitter_moves_the_call_and_not_its_instant(world: World) -> None:
    for number in range(20):
        world.provider.deploy(f"f{number}", jitter="50s")
    world.lead()

    await world.until_minute(2.9)

    assert sorted(world.gateway.times()) == sorted(minutes(0, 1, 2) * 20)
    late = {round(at - call.at) for call, at, _ in world.gateway.kept}
    assert len(late) > 10
    assert max(late) <= 50


async def test_without_a_queue_functions_are_called_at_once_and_not_waited_for(world: World) -> None:
    world.gateway.queue, world.gateway.running_s = False, 150.0
    world.provider.deploy("a")
    world.provider.deploy("b", overlap="forbid")
    world.provider.deploy("c", overlap="replace")
    world.lead()

    await world.until_minute(5)

    made = [(call.function.name, call.at) for call, _ in world.gateway.made]
    assert [at for name, at in made if name == "a"] == minutes(0, 1, 2, 3, 4, 5)
    assert [at for name, at in made if name == "b"] == minutes(0, 3)
    assert [at for name, at in made if name == "c"] == minutes(0, 1, 2, 3, 4, 5)


async def test_function_that_wants_no_queue_is_called_at_once_beside_others_that_do(world: World) -> None:
    world.gateway.running_s = 150.0
    for name, more in (("a", {"com.springtide.trigger.delivery": "sync"}), ("b", {})):
        world.provider.annotate(name, {"topic": "cron-function", "schedule": "* * * * *"} | more)
    leading = world.leading[world.lead()]

    await world.until_minute(5)

    assert [(call.function.name, call.at) for call, _ in world.gateway.made] == [("a", at) for at in minutes(*range(6))]
    assert world.gateway.times() == world.gateway.times(ref("b")) == minutes(*range(6))
    assert leading.term is not None
    (entry,) = leading.term.entries_of(ref("a")).values()
    assert [run.outcome for run in entry.runs] == [Outcome.CALLED] * 3


async def test_without_a_queue_no_tick_is_repeated_by_a_new_leader(world: World) -> None:
    world.gateway.queue, world.gateway.running_s = False, 30.0
    world.provider.deploy("a")
    first = world.lead()
    await asyncio.sleep(BEGIN - world.clock.wall() + 0.5)
    await world.kill(first)
    world.lead()
    await world.until_minute(1)

    assert [call.at for call, _ in world.gateway.made] == minutes(0, 1)


async def test_two_schedules_of_one_function_at_one_instant_are_two_calls(world: World) -> None:
    world.provider.deploy("a", "* * * * *; */1 * * * *")
    world.lead()

    await world.until_minute(0)

    assert world.gateway.times() == minutes(0, 0)


async def test_what_cannot_be_written_down_stops_no_tick(world: World) -> None:
    world.provider.deploy("a")
    world.lead()
    await asyncio.sleep(5)
    world.store.away = True
    await world.until_minute(3)
    world.store.away = False
    await world.until_minute(4)

    assert world.gateway.times() == minutes(0, 1, 2, 3, 4)
    assert world.store.kept.position is not None
    assert world.store.kept.position.at >= minutes(3)[0]


async def test_at_rest_hardly_anything_is_written_and_nothing_asked(world: World) -> None:
    world.provider.deploy("a", "0 0 1 1 *")
    world.lead()
    await asyncio.sleep(3600)

    assert world.gateway.requests == 0
    assert world.store.saves < 130
