"""The control loop's shell: it looks each second whatever becomes of its writes, and remembers what became of them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from springtide.runtime.errors import Conflict
from springtide.scaler.control_loop import ControlLoop, ControlLoopDeps
from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.observation import Calls
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, NoData, Reason, Scale, Writer
from springtide.scaler.function_table import FunctionTable
from springtide.scaler.settings import ScalerSettings
from springtide.scaler.sources.levels import Levels
from springtide.wire.endpoint_stream import Changed, Endpoint, FunctionEndpoints, Heartbeat, Removed, Snapshot
from tests.fakes.cluster import Decisions
from tests.loops import virtual_loop
from tests.scaler.test_function_table import Provider

pytestmark = pytest.mark.virtual_time

ONE, OTHER = FunctionRef("openfaas-fn", "one"), FunctionRef("openfaas-fn", "other")


def function(ref: FunctionRef, replicas: int, version: int = 1) -> FunctionEndpoints:
    endpoints = tuple(Endpoint(f"{ref.name}-{number}", "127.0.0.1", 1) for number in range(replicas))
    labels = {"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": "1"}
    return FunctionEndpoints(ref, replicas, str(version), endpoints, labels, owner=Writer.SCALER)


class World:
    """A provider and gateways. ``in_flight`` are calls under way, each of a second; None where nobody tells."""

    def __init__(self) -> None:
        self.provider, self.told, self.clock = Provider(), Decisions(), virtual_loop().clock
        self.heard = asyncio.Event()
        self.in_flight: dict[FunctionRef, int | None] = {ONE: 0, OTHER: 0}
        self.asked: dict[FunctionRef, list[float]] = defaultdict(list)
        self.hangs: set[FunctionRef] = set()
        self.loses: set[FunctionRef] = set()
        self.functions = {ref: function(ref, 1) for ref in (ONE, OTHER)}
        self.registry = CollectorRegistry()
        self.leads = True

    def calls(self, ref: FunctionRef, now: Instant) -> Calls | NoData:
        self.asked[ref].append(now)
        in_flight = self.in_flight[ref]
        if in_flight is None:
            return NoData("no gateway is heard")
        done = now * in_flight
        return Calls(LoadSample(now, done, done, in_flight, 0))

    async def run(self) -> None:
        while True:
            await self.provider.tell(Heartbeat())
            await asyncio.sleep(1)
            self.heard.set()

    async def read(self, ref: FunctionRef) -> Function:
        raise NotImplementedError(ref)

    async def write(self, ref: FunctionRef, replicas: int, *, expect: str | None, decision: Decision | None) -> Scale:
        if ref in self.hangs:
            await asyncio.Event().wait()
        before = self.functions[ref]
        assert (expect, decision is not None) == (before.version, True)
        if ref in self.loses:
            raise Conflict("somebody else wrote")
        self.functions[ref] = function(ref, replicas, int(before.version) + 1)
        await self.provider.tell(Changed(self.functions[ref]))
        return Scale(replicas, 0, self.functions[ref].version)

    @property
    def role(self) -> str:
        return "scaler"

    def hold(self) -> int | None:
        return 1 if self.leads else None

    def left_s(self) -> float:
        return math.inf

    async def change(self, known: int | None) -> int | None:
        raise NotImplementedError(known)

    def replicas(self, ref: FunctionRef) -> int:
        return self.functions[ref].replicas

    def shown(self, ref: FunctionRef, metric: str = "springtide_function_load") -> float | None:
        return self.registry.get_sample_value(metric, {"function_name": str(ref), "scaling_type": "capacity"})

    def held_s(self, ref: FunctionRef, reason: Reason) -> float | None:
        labels = {"function_name": str(ref), "reason": reason.value}
        return self.registry.get_sample_value("springtide_function_hold_seconds", labels)


@contextlib.asynccontextmanager
async def looking() -> AsyncIterator[World]:
    world = World()
    deps = ControlLoopDeps(
        functions=FunctionTable(world.provider, clock=world.clock),
        calls=world,
        levels=Levels(),
        target=world,
        registry=world.registry,
        recorder=world.told,
        clock=world.clock,
        leadership=world,
    )
    await world.provider.tell(Snapshot(tuple(world.functions.values())))
    task = asyncio.create_task(ControlLoop(ScalerSettings(), deps).run())
    try:
        yield world
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_it_follows_a_load_up_and_down_and_tells_why() -> None:
    async with looking() as world:
        world.in_flight[ONE] = 10
        await asyncio.sleep(10)
        assert world.replicas(ONE) >= 10
        assert world.replicas(OTHER) == 1
        assert world.shown(ONE) == 10
        world.in_flight[ONE] = 0
        await asyncio.sleep(200)
        assert world.replicas(ONE) == 1
        assert {"load_up", "load_down", "at_min"} <= set(world.told.reasons(ONE))


async def test_a_write_that_hangs_holds_up_no_other_function() -> None:
    async with looking() as world:
        world.in_flight, world.hangs = {ONE: 10, OTHER: 0}, {ONE}
        await asyncio.sleep(30)
        looks = world.asked[OTHER]
        assert max(later - before for before, later in itertools.pairwise(looks)) < 1.5
        assert world.shown(ONE) == 10, "what was known of it is not forgotten meanwhile"
        assert Reason.WRITE_FAILED.value in world.told.reasons(ONE)
        world.in_flight[OTHER] = 5
        await asyncio.sleep(5)
        assert world.replicas(OTHER) >= 5
        world.hangs = set()
        await asyncio.sleep(10)
        assert world.replicas(ONE) >= 10


async def test_a_lost_race_is_decided_anew() -> None:
    async with looking() as world:
        world.in_flight[ONE], world.loses = 10, {ONE}
        await asyncio.sleep(10)
        assert world.replicas(ONE) == 1
        assert Reason.LOST_RACE.value in world.told.reasons(ONE)
        world.loses = set()
        await asyncio.sleep(5)
        assert world.replicas(ONE) >= 10


async def test_unknown_load_takes_nothing_away() -> None:
    async with looking() as world:
        world.in_flight[ONE] = 10
        await asyncio.sleep(60)
        before = world.replicas(ONE)
        world.in_flight[ONE] = None
        await asyncio.sleep(300)
        assert world.replicas(ONE) == before
        assert world.told.reasons(ONE)[-1] == Reason.NO_DATA.value
        assert world.shown(ONE) is None


async def test_how_long_a_load_is_not_known_is_told_until_it_is_trusted_again() -> None:
    async with looking() as world:
        await asyncio.sleep(60)
        assert world.held_s(ONE, Reason.NO_DATA) is None
        world.in_flight[ONE] = None
        await asyncio.sleep(100)
        assert world.held_s(ONE, Reason.NO_DATA) == pytest.approx(99, abs=3)
        world.in_flight[ONE] = 0
        await asyncio.sleep(20)
        assert world.held_s(ONE, Reason.NO_DATA) is None
        assert world.held_s(ONE, Reason.SOURCE_RESTARTED) == pytest.approx(119, abs=3), "one hold, of two reasons"
        await asyncio.sleep(30)
        assert world.held_s(ONE, Reason.SOURCE_RESTARTED) is None
        assert world.held_s(OTHER, Reason.NO_DATA) is None


async def test_a_function_that_is_gone_or_another_s_is_shown_no_more() -> None:
    async with looking() as world:
        world.in_flight[OTHER] = None
        await asyncio.sleep(5)
        assert (world.shown(ONE, "springtide_function_target_load"), world.shown(ONE)) == (1, 0)
        assert world.held_s(OTHER, Reason.NO_DATA) is not None
        await world.provider.tell(Removed(OTHER), Changed(replace(world.functions[ONE], owner=Writer.ALERT)))
        await asyncio.sleep(3)
        assert (world.shown(ONE, "springtide_function_target_load"), world.shown(ONE)) == (None, None)
        assert world.held_s(OTHER, Reason.NO_DATA) is None


async def test_what_another_has_is_left_alone() -> None:
    async with looking() as world:
        await world.provider.tell(Changed(replace(world.functions[ONE], owner=Writer.ALERT)))
        world.in_flight[ONE] = 10
        await asyncio.sleep(10)
        assert world.replicas(ONE) == 1


async def test_a_hold_is_told_once_and_again_by_a_copy_that_takes_over() -> None:
    async with looking() as world:
        await asyncio.sleep(60)
        told = world.told.reasons(ONE)
        assert len(told) == len(set(told)), "each once"
        world.leads, world.in_flight[ONE] = False, 10
        await asyncio.sleep(10)
        assert (world.replicas(ONE), world.told.reasons(ONE)) == (1, told), "a standby writes and tells nothing"
        world.in_flight[ONE] = 0
        await asyncio.sleep(200)
        world.leads = True
        await asyncio.sleep(2)
        assert world.told.reasons(ONE) == [*told, told[-1]]
