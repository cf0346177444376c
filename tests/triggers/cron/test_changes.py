"""What changes while a tick is due: schedule, function, pause, clock. Each instant is one call at most."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from springtide.runtime.errors import Unavailable
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import Instant
from springtide.triggers.cron.term import Term
from tests.loops import virtual_loop
from tests.triggers.cron.world import BEGIN, Copy, World, ref

pytestmark = pytest.mark.virtual_time


@dataclass
class SetClock:
    """The clock on the wall, as somebody may set it."""

    real: Clock
    ahead_s: float = 0.0

    def now(self) -> float:
        return self.real.now()

    def wall(self) -> float:
        return self.real.wall() + self.ahead_s


@pytest.fixture
@asynccontextmanager
async def world() -> AsyncIterator[World]:
    world = World(virtual_loop())
    yield world
    world.check()
    await world.close()


def minutes(*numbers: float) -> list[float]:
    return [BEGIN + 60 * number for number in numbers]


def term_of(world: World, copy: Copy) -> Term:
    term = world.leading[copy].term
    assert term is not None
    return term


async def at_minute(world: World, number: float) -> None:
    """To the very second."""
    await asyncio.sleep(world.minute(number) - world.clock.wall())


@pytest.mark.parametrize("restarts", [False, True], ids=["", "and the leader ends then"])
@pytest.mark.parametrize(("before", "after"), [("10s", "50s"), ("50s", "10s"), ("0s", "50s")])
async def test_jitter_that_changes_while_a_tick_waits_moves_no_instant(
    world: World, before: str, after: str, *, restarts: bool
) -> None:
    world.provider.deploy("a", jitter=before)
    leader = world.lead()
    await world.until_minute(1.95)
    world.gateway.away[None] = 503
    await world.until_minute(2.95)
    world.provider.deploy("a", jitter=after)
    await asyncio.sleep(0.1)
    if restarts:
        await world.kill(leader)
        world.lead()
    del world.gateway.away[None]
    await world.until_minute(4.95)

    assert sorted(world.gateway.times()) == minutes(0, 1, 2, 3, 4)


@pytest.mark.parametrize(("before", "after"), [("0s", "50s"), ("50s", "0s")])
async def test_jitter_that_changes_makes_no_two_calls_of_a_tick_where_there_is_no_queue(
    world: World, before: str, after: str
) -> None:
    world.gateway.queue = False
    world.provider.deploy("a", jitter=before)
    world.lead()
    await at_minute(world, 1)
    await asyncio.sleep(2)
    world.provider.deploy("a", jitter=after)
    await world.until_minute(3.95)

    assert [call.at for call, _ in world.gateway.made] == minutes(0, 1, 2, 3)


@pytest.mark.parametrize("when", [-0.5, 0.0, 0.01, 0.5])
async def test_options_that_change_around_the_very_second_lose_no_tick(world: World, when: float) -> None:
    world.provider.deploy("a", body="old")
    world.lead()
    await at_minute(world, 1 + when / 60)
    world.provider.deploy("a", body="new")
    await world.until_minute(2)

    assert world.gateway.times() == minutes(0, 1, 2)
    assert [call.options.body for call, _, _ in world.gateway.kept][::2] == ["old", "new"]


@pytest.mark.parametrize("when", [-0.5, 0.0, 0.01, 0.5])
async def test_schedule_that_takes_anothers_place_around_the_very_second_runs_once_at_most(
    world: World, when: float
) -> None:
    world.provider.deploy("a", "* * * * *")
    world.lead()
    await at_minute(world, 1 + when / 60)
    world.provider.deploy("a", "*/1 * * * *")
    await world.until_minute(3)

    times = Counter(world.gateway.times())
    assert max(times.values()) == 1
    assert [at for at in minutes(0, 2, 3) if not times[at]] == []


@pytest.mark.parametrize("gone_s", [0.0, 0.2, 30.0])
@pytest.mark.parametrize("when", [-0.1, 0.0, 0.1])
async def test_function_that_is_removed_and_deployed_again_ticks_once_at_most(
    world: World, when: float, gone_s: float
) -> None:
    world.provider.deploy("a")
    world.lead()
    await at_minute(world, 1 + when / 60)
    world.provider.remove("a")
    await asyncio.sleep(gone_s)
    world.provider.deploy("a")
    await world.until_minute(3)

    times = Counter(world.gateway.times())
    assert max(times.values()) == 1
    assert [at for at in minutes(0, 2, 3) if not times[at]] == []


@pytest.mark.parametrize("paused", [False, True])
async def test_function_that_is_another_one_when_somebody_leads_again_begins_anew(
    world: World, *, paused: bool
) -> None:
    world.provider.deploy("a", catch_up="all")
    leader = world.lead()
    await world.until_minute(1.5)
    if paused:
        await term_of(world, leader).pause(ref("a"))
    await asyncio.sleep(5)
    await world.kill(leader)
    await world.until_minute(3)
    world.provider.remove("a")
    await world.until_minute(5.5)
    world.provider.deploy("a", catch_up="all")
    await world.until_minute(7)
    world.lead()
    await world.until_minute(8)

    assert world.gateway.times() == minutes(0, 1, 6, 7, 8)


async def test_deployment_that_leaves_a_schedule_as_it_was_loses_no_tick_while_nobody_leads(world: World) -> None:
    world.provider.deploy("a")
    leader = world.lead()
    await world.until_minute(1.5)
    await world.kill(leader)
    await world.until_minute(3.5)
    world.provider.deploy("a", body="new")
    await world.until_minute(4.5)
    world.lead()
    await world.until_minute(5)

    assert world.gateway.times() == minutes(0, 1, 2, 3, 4, 5)


async def test_pause_while_a_tick_waits_ends_it(world: World) -> None:
    world.provider.deploy("a")
    leader = world.lead()
    await world.until_minute(0)
    world.gateway.away[None] = 503
    await world.until_minute(2)
    await term_of(world, leader).pause(ref("a"))
    del world.gateway.away[None]
    await world.until_minute(4)
    assert world.gateway.times() == minutes(0)
    await term_of(world, leader).resume(ref("a"))
    await world.until_minute(6)

    assert world.gateway.times() == minutes(0, 5, 6)


async def test_pause_and_resumption_that_cannot_be_written_down_do_not_count_later(world: World) -> None:
    world.provider.deploy("a")
    leader = world.lead()
    await world.until_minute(1.5)
    world.store.away = True
    with pytest.raises(Unavailable):
        await term_of(world, leader).pause(ref("a"))
    await world.until_minute(2.5)
    world.store.away = False
    await world.until_minute(4.5)
    assert world.gateway.times() == minutes(0, 1, 2, 3, 4)

    await term_of(world, leader).pause(ref("a"))
    world.store.away = True
    with pytest.raises(Unavailable):
        await term_of(world, leader).resume(ref("a"))
    world.store.away = False
    await world.until_minute(6.5)
    assert world.gateway.times() == minutes(0, 1, 2, 3, 4)
    assert term_of(world, leader).paused(ref("a"))


@pytest.mark.parametrize("when", [-0.01, 0.0, 0.01])
async def test_pause_in_the_very_second_and_its_end_make_no_tick_twice(world: World, when: float) -> None:
    world.provider.deploy("a")
    leader = world.lead()
    await at_minute(world, 1 + when / 60)
    await term_of(world, leader).pause(ref("a"))
    await term_of(world, leader).resume(ref("a"))
    await world.until_minute(3)

    times = Counter(world.gateway.times())
    assert max(times.values()) == 1
    assert [at for at in minutes(0, 2, 3) if not times[at]] == []


async def test_clock_that_is_set_back_repeats_no_instant_and_the_next_ones_come(world: World) -> None:
    world.clock = clock = SetClock(world.clock)
    world.provider.deploy("a")
    leader = world.lead()
    await world.until_minute(61)
    clock.ahead_s = -3600.0
    await world.until_minute(30)
    await world.kill(leader)  # whoever begins anew does no more than the one before
    world.lead()
    await world.until_minute(64)

    assert world.gateway.times() == minutes(*range(65))


@pytest.mark.parametrize("restarts", [False, True], ids=["", "and another leads then"])
async def test_clock_that_was_a_year_ahead_does_not_silence_schedules_for_a_year(
    world: World, *, restarts: bool
) -> None:
    world.clock = clock = SetClock(world.clock)
    world.provider.deploy("a", catch_up="all")
    leader = world.lead()
    await world.until_minute(1.5)
    clock.ahead_s = 365 * 86_400.0
    await asyncio.sleep(120.0)
    wrong = len(world.gateway.times())
    clock.ahead_s = 0.0
    if restarts:
        await world.kill(leader)
        world.lead()
    await world.until_minute(10.5)

    # A leader that goes on looks at the clock within a minute, one that begins does so at once.
    assert world.gateway.times()[wrong:] == minutes(*range(4 if restarts else 5, 11))


async def test_function_that_was_made_by_a_wrong_clock_is_called_all_the_same(world: World) -> None:
    world.provider.deploy("a", "@every 1m")
    made = world.provider.functions[ref("a")]
    world.provider.functions[ref("a")] = replace(made, created_at=Instant(BEGIN + 365 * 86_400.0))
    world.lead()
    await world.until_minute(5.5)

    made_at = made.created_at
    assert made_at is not None
    assert world.gateway.times() == [made_at + 60 * number for number in range(1, 7)]


@pytest.mark.parametrize(("catch_up", "late"), [("none", []), ("last", [57]), ("all", list(range(2, 58)))])
async def test_clock_that_is_set_forward_is_noticed_within_a_minute_and_is_as_a_halt(
    world: World, catch_up: str, late: list[int]
) -> None:
    world.clock = clock = SetClock(world.clock)
    world.provider.deploy("a", catch_up=catch_up)
    world.lead()
    await world.until_minute(1.5)
    clock.ahead_s = 3600.0
    await world.until_minute(64)

    # Noticed at minute 62: what is late by five minutes is sent, every tick of it.
    assert sorted(world.gateway.times()) == minutes(0, 1, *late, *range(58, 65))
