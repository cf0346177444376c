"""Leaders that are killed, halted or cut off, at any moment: no tick is missed, and none is two calls."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from springtide.runtime.virtual_time import VirtualTimeLoop
from springtide.wire.schedules.expression import parse
from tests.loops import virtual_loop
from tests.triggers.cron.world import Copy, World, ref

ENDS = ("killed", "cut off", "halted", "handed over")

Change = tuple[float, str, float]
"""When a leader ends, in seconds after the last, how, and for how long nobody leads then."""

changes = st.lists(
    st.tuples(st.floats(0.0, 40.0), st.sampled_from(ENDS), st.floats(0.0, 30.0)), min_size=1, max_size=12
)


async def take_over(world: World, leader: Copy, how: str, pause_s: float) -> Copy:
    """The next leader. A copy that was cut off or halted goes on later, not knowing."""
    if how == "killed":
        await world.kill(leader)
        await asyncio.sleep(pause_s)
        return world.lead()
    if how == "handed over":
        world.lease.give(None)
        await asyncio.sleep(pause_s)
        await world.kill(leader)
        return world.lead()
    # It believes that it leads until it next looks, which is after the other one began.
    leader.believes = True
    await asyncio.sleep(pause_s / 2)
    successor = world.lead()
    await asyncio.sleep(pause_s / 2)
    leader.believes = False
    await asyncio.sleep(0.5)
    await world.kill(leader)
    return successor


def expected(schedule: str, after: float, until: float, created: float) -> list[float]:
    parsed, found = parse(schedule), []
    while (after := parsed.next_after(after, created)) <= until:
        found.append(after)
    return found


async def played(world: World, script: list[Change], schedules: list[str]) -> int:
    """How many ticks there were to send."""
    created = world.clock.wall()
    for number, schedule in enumerate(schedules):
        world.provider.deploy(f"f{number}", schedule)
    leader = world.lead()
    for wait_s, how, pause_s in script:
        await asyncio.sleep(wait_s)
        leader = await take_over(world, leader, how, pause_s)
    # What fell into the last takeover is there a second after it.
    await asyncio.sleep(1.0)
    until = world.clock.wall() - 1.0

    world.check()
    ticks = 0
    for number, schedule in enumerate(schedules):
        times = Counter(world.gateway.times(ref(f"f{number}")))
        wanted = expected(schedule, created, until, created)
        ticks += len(wanted)
        assert [at for at in wanted if not times[at]] == [], "missed"
        assert [at for at, count in times.items() if count > 1] == [], "doubled"
        assert set(times) <= set(expected(schedule, created, world.clock.wall(), created)), "never due"
    await world.close()
    return ticks


def run(script: list[Change], schedules: list[str], takes_s: float = 0.02) -> int:
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(played(World(loop, takes_s=takes_s), script, schedules))
    finally:
        loop.close()


@settings(max_examples=60, deadline=None)
@given(changes, st.sampled_from([0.0, 0.02, 0.1]))
@example([(0.0, "killed", 0.0), (40.0, "cut off", 30.0), (0.0, "halted", 0.0)], 0.1)
@example([(0.0, "killed", 1.0), (2.0, "killed", 30.0)], 0.1)
@example([(0.0, "killed", 28.0), (2.0, "killed", 30.0)], 0.0)
def test_no_tick_is_missed_or_doubled_however_leaders_change(script: list[Change], takes_s: float) -> None:
    run(script, ["@every 1s", "@every 7s", "* * * * *", "*/2 * * * *; @every 13s"][:3], takes_s)


def test_ten_thousand_ticks_with_leaders_that_end_all_the_time() -> None:
    chance = random.Random(15)
    script = [(chance.uniform(0, 60), chance.choice(ENDS), chance.uniform(0, 20)) for _ in range(150)]

    assert run(script, ["@every 1s", "@every 2s", "@every 3s", "* * * * *"]) >= 10_000


@pytest.mark.virtual_time
async def test_schedule_changed_while_nobody_leads_counts_from_its_change() -> None:
    world = World(virtual_loop())
    world.provider.deploy("a", "@every 1s")
    leader = world.lead()
    await asyncio.sleep(30.5)
    await world.kill(leader)
    killed = world.clock.wall()
    await asyncio.sleep(10)
    world.provider.deploy("a", "@every 2s")
    changed = world.clock.wall()
    await asyncio.sleep(10)
    world.lead()
    await asyncio.sleep(5)

    times = world.gateway.times()
    old = [call.at for call, _, _ in world.gateway.kept if call.schedule == "@every 1s"]
    new = [call.at for call, _, _ in world.gateway.kept if call.schedule == "@every 2s"]
    assert max(old) <= killed
    assert min(new) - changed <= 2
    assert new == [new[0] + 2 * turn for turn in range(len(new))]
    assert len(times) == len(old) + len(new)
    await world.close()


@pytest.mark.virtual_time
async def test_function_deployed_while_nobody_leads_ticks_from_its_deployment() -> None:
    world = World(virtual_loop())
    world.provider.deploy("other", "@every 1s")
    leader = world.lead()
    await asyncio.sleep(10.5)
    await world.kill(leader)
    await asyncio.sleep(10)
    world.provider.deploy("a", "@every 1s")
    deployed = world.clock.wall()
    await asyncio.sleep(20)
    world.lead()
    await asyncio.sleep(1)

    assert min(world.gateway.times(ref("a"))) == pytest.approx(deployed + 1, abs=1)
    assert len(world.gateway.times(ref("a"))) in (20, 21)
    await world.close()


@pytest.mark.virtual_time
async def test_provider_that_is_away_changes_nothing_until_it_is_back() -> None:
    world = World(virtual_loop())
    world.provider.deploy("a", "@every 1s")
    world.lead()
    await asyncio.sleep(10.5)
    world.provider.cut_off()
    await asyncio.sleep(10)
    world.provider.deploy("a", "@every 2s")
    world.provider.deploy("b", "@every 2s")
    changed = world.clock.wall()
    await asyncio.sleep(5)
    world.provider.away = False
    await asyncio.sleep(5)

    new = [call.at for call, _, _ in world.gateway.kept if call.schedule == "@every 2s" and call.function == ref("a")]
    assert min(new) - changed <= 2
    assert [at for at, count in Counter(world.gateway.times(ref("b"))).items() if count > 1] == []
    await world.close()


@pytest.mark.virtual_time
async def test_a_leader_that_cannot_read_what_was_sent_is_overdue_and_its_standby_is_not() -> None:
    """Nobody knows which ticks are due meanwhile: that is not as if none were."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    world = World(loop)
    world.store.away = True
    world.provider.deploy("a")
    leader, other = world.lead(), world.copy()

    await asyncio.sleep(90)
    late = [world.leading[copy].overdue_s for copy in (leader, other)]
    world.lease.give(other)
    await asyncio.sleep(20)
    handed_over = [world.leading[copy].overdue_s for copy in (leader, other)]
    world.store.away = False
    await asyncio.sleep(10)
    after = [world.leading[copy].overdue_s for copy in (leader, other)]
    await world.close()

    assert late == [pytest.approx(90, abs=1), 0]
    assert handed_over == [0, pytest.approx(20, abs=1)]
    assert after == [0, pytest.approx(0, abs=1)]
