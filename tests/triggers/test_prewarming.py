"""Functions at zero that are called at known times, in virtual time: when they are woken, by whom, and why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from springtide.provider.memory.provider import MemoryProvider
from springtide.provider.memory.replicas import unserved
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import Conflict, SpringtideError, Unavailable
from springtide.runtime.virtual_time import EPOCH
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Leadership
from springtide.scaler.core.prewarm import UNKNOWN_LEAD_S, CallSource, ExpectedCall, Met
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, Reason, Scale, Writer
from springtide.scaler.function_table import FunctionTable
from springtide.triggers.prewarm_settings import PrewarmSettings
from springtide.triggers.prewarming import PrewarmDeps, Prewarming
from springtide.wire.endpoint_stream import Endpoint
from springtide.wire.leadership import Always
from tests.fakes.cluster import Decisions
from tests.fakes.heartbeats import BeatingStream
from tests.loops import virtual_loop

pytestmark = pytest.mark.virtual_time

REPORT, OTHER = FunctionRef("openfaas-fn", "report"), FunctionRef("openfaas-fn", "other")
SLEEPS = {"com.openfaas.scale.zero": "true"}


@dataclass
class Calendar:
    """Calls by seconds since the test began."""

    at: dict[FunctionRef, tuple[float, ...]]
    asked: int = 0

    def next_call(self, function: Function, after: Instant) -> ExpectedCall | None:
        self.asked += 1
        instants = [Instant(EPOCH + at) for at in self.at.get(function.ref, ()) if EPOCH + at > after]
        return ExpectedCall(min(instants), CallSource.SCHEDULE) if instants else None


@dataclass
class Leader:
    """A Leadership whose holder is said by the test."""

    leads: bool
    role: str = "test"

    def hold(self) -> int | None:
        return 1 if self.leads else None

    def left_s(self) -> float:
        return 60.0

    async def change(self, known: int | None) -> int | None:
        while self.hold() == known:  # noqa: ASYNC110 - a test moves it
            await asyncio.sleep(0.1)
        return self.hold()


class Place:
    """A provider whose replicas take a time to start, and that can be cut off."""

    def __init__(self) -> None:
        self.start_s = 3.0
        self.refusals: list[SpringtideError] = []
        self.reads: list[FunctionRef] = []
        self.provider = MemoryProvider(virtual_loop().clock, start_replica=self._start)
        self.stream = BeatingStream(self.provider)

    async def _start(self, _ref: FunctionRef, instance: str) -> Endpoint:
        await asyncio.sleep(self.start_s)
        return unserved(instance)

    async def read(self, ref: FunctionRef) -> Function:
        self.reads.append(ref)
        return await self.provider.read(ref)

    async def write(self, ref: FunctionRef, replicas: int, *, expect: str | None, decision: Decision | None) -> Scale:
        if self.refusals:
            raise self.refusals.pop(0)
        return await self.provider.write(ref, replicas, expect=expect, decision=decision)

    async def keep_start(self, ref: FunctionRef, longest_s: float) -> None:
        await self.provider.keep_start(ref, longest_s)


@dataclass
class World:
    place: Place
    calendar: Calendar
    told: Decisions = field(default_factory=Decisions)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    copies: list[Prewarming] = field(default_factory=list)
    paused: set[FunctionRef] = field(default_factory=set)
    past_failures: int = 0
    forecasts: Likely | None = None
    asked_for_past: int = 0

    def copy(self, leadership: Leadership | None = None, settings: PrewarmSettings | None = None) -> Prewarming:
        clock = virtual_loop().clock
        registry = CollectorRegistry() if self.copies else self.registry
        deps = PrewarmDeps(
            functions=FunctionTable(self.place.stream, clock=clock),
            expected=[self.calendar],
            forecasts=self.forecasts,
            target=self.place,
            keeper=self.place,
            past=self,
            registry=registry,
            recorder=self.told,
            clock=clock,
            leadership=leadership or Always(),
            paused=self.paused.__contains__,
        )
        self.copies.append(Prewarming(settings or PrewarmSettings(), deps))
        return self.copies[-1]

    async def changes(self) -> list[Decision]:
        """As a provider tells what was decided before."""
        self.asked_for_past += 1
        if self.past_failures >= self.asked_for_past:
            raise Unavailable("the provider is away")
        return [each for each in self.told.all if each.changes]

    async def asleep(self, *refs: FunctionRef, **labels: str) -> None:
        marked = {**SLEEPS, **{f"com.openfaas.scale.{key}": value for key, value in labels.items()}}
        for ref in refs or (REPORT,):
            await self.place.provider.deploy(FunctionSpec(ref=ref, image="none", labels=marked))
            await self.scale(0, ref)

    async def scale(self, replicas: int, ref: FunctionRef = REPORT) -> None:
        await self.place.provider.write(ref, replicas, expect=None, decision=None)

    async def until(self, second: float) -> None:
        await asyncio.sleep(EPOCH + second - virtual_loop().clock.wall())

    async def count(self, ref: FunctionRef = REPORT) -> int:
        return (await self.place.read(ref)).scale.desired

    def woken_at(self, ref: FunctionRef = REPORT) -> list[float]:
        return [round(each.at - EPOCH, 3) for each in self.told.all if each.changes and each.ref == ref]

    def holds(self) -> list[Reason]:
        return [each.reason for each in self.told.all if not each.changes]

    def met(self, met: Met) -> float:
        labels = {"source": "schedule", "met": met.value}
        return self.registry.get_sample_value(catalogue.EXPECTED_CALLS.name, labels) or 0.0


@asynccontextmanager
async def running(world: World, *copies: Prewarming) -> AsyncIterator[None]:
    for copy in copies or (world.copy(),):
        await copy.start()
    await asyncio.sleep(0.1)
    try:
        yield
    finally:
        for copy in world.copies:
            await copy.stop()


def world_of(*calls_at: float, **others: tuple[float, ...]) -> World:
    named = {FunctionRef("openfaas-fn", name): calls for name, calls in others.items()}
    return World(Place(), Calendar({REPORT: calls_at, **named}))


async def test_function_is_woken_a_default_before_its_call_then_by_the_start_that_was_measured() -> None:
    world = world_of(60, 120)
    await world.asleep(min="2")

    async with running(world):
        await world.until(80)
        await world.scale(0)
        await world.until(121)

    assert world.woken_at() == [60 - UNKNOWN_LEAD_S, 120 - 4]
    first, second = (each for each in world.told.all if each.changes)
    assert (first.before, first.after, first.writer, first.reason) == (0, 2, Writer.PREWARM, Reason.SCHEDULED)
    assert first.detail.endswith(", none of its starts was measured yet")
    assert second.detail.endswith(", its longest start of the last 20 took 3.0 s")
    assert (world.met(Met.READY), world.met(Met.COLD), world.met(Met.LATE)) == (2, 0, 0)
    early_s = world.registry.get_sample_value(f"{catalogue.PREWARM_EARLY.name}_sum")
    assert early_s == pytest.approx((UNKNOWN_LEAD_S - 3) + 1, abs=0.1)
    assert world.registry.get_sample_value(catalogue.DECISIONS.name, {"writer": "prewarm", "reason": "scheduled"}) == 2


async def test_start_that_a_caller_met_tells_how_long_the_next_takes() -> None:
    world = world_of(100)
    world.place.start_s = 20
    await world.asleep()

    async with running(world):
        await world.scale(1)
        await world.until(40)
        await world.scale(0)
        await world.until(101)

    assert world.woken_at() == [100 - 21]
    assert world.met(Met.READY) == 1


async def test_another_process_knows_the_longest_start_from_the_provider() -> None:
    world = world_of(60, 120)
    await world.asleep()
    async with running(world):
        await world.until(70)
        await world.scale(0)
        await world.copies[0].stop()

        assert (await world.place.read(REPORT)).longest_start_s == 3.0
        await world.copy().start()
        await world.until(121)

    assert world.woken_at() == [50, 116]


async def test_start_that_takes_longer_than_ever_is_late_once() -> None:
    world = world_of(60, 160)
    world.place.start_s = 15
    await world.asleep()

    async with running(world):
        await world.until(70)
        await world.scale(0)
        await world.until(161)

    assert world.woken_at() == [50, 160 - 16]
    assert (world.met(Met.LATE), world.met(Met.READY)) == (1, 1)


async def test_function_that_is_awake_is_left_as_it_is() -> None:
    world = world_of(60)
    await world.asleep()
    await world.scale(3)

    async with running(world):
        await world.until(61)

    assert (world.told.all, await world.count(), world.met(Met.AWAKE)) == ([], 3, 1)


async def test_function_that_falls_asleep_when_it_is_due_is_woken_at_once() -> None:
    world = world_of(60)
    await world.asleep()
    await world.scale(1)

    async with running(world):
        await world.until(55)
        await world.scale(0)
        await world.until(61)

    assert world.woken_at() == [55]
    assert world.met(Met.READY) == 1


async def test_function_that_a_person_takes_to_zero_again_is_not_woken_twice_for_one_call() -> None:
    world = world_of(60, 120)
    await world.asleep()

    async with running(world):
        await world.until(55)
        await world.scale(0)
        await world.until(121)

    assert world.woken_at() == [50, 116]
    assert world.holds() == [Reason.WOKEN_ONCE]


@pytest.mark.parametrize("failures", [0, 2])
async def test_function_that_was_taken_to_zero_again_is_left_by_a_process_that_begins_anew(failures: int) -> None:
    world = world_of(60, 120)
    await world.asleep()

    async with running(world):
        await world.until(54)
        await world.scale(0)
        await world.copies[0].stop()
        world.past_failures, world.asked_for_past = failures, 0
        await world.copy().start()
        await world.until(121)

    assert world.woken_at() == [50, 116]
    assert set(world.holds()) == {Reason.WOKEN_ONCE}


async def test_call_is_met_as_it_was_meant_to_by_a_process_that_began_after_the_wake() -> None:
    world = world_of(60)
    await world.asleep()

    async with running(world):
        await world.until(55)
        await world.copies[0].stop()
        later = world.copy()
        await later.start()
        await world.until(61)

    labels = {"source": "schedule", "met": Met.READY.value}
    assert later._deps.registry.get_sample_value(catalogue.EXPECTED_CALLS.name, labels) == 1


async def test_wake_of_a_call_before_is_none_of_the_next_one() -> None:
    world = world_of(60, 80)
    await world.asleep()

    async with running(world):
        await world.until(65)
        await world.scale(0)
        await world.copies[0].stop()
        await world.copy().start()
        await world.until(81)

    assert world.woken_at() == [50, 80 - 4]


async def test_one_that_woke_and_fell_asleep_when_it_was_due_is_left_by_a_copy_that_takes_over() -> None:
    world = world_of(60)
    await world.asleep()
    leading, standby = Leader(leads=True), Leader(leads=False)

    async with running(world, world.copy(leading), world.copy(standby)):
        await world.until(55)
        leading.leads, standby.leads = False, True
        await world.scale(0)
        await world.until(61)

    assert world.woken_at() == [50]
    assert await world.count() == 0


async def test_copy_that_does_not_lead_wakes_nothing_and_does_once_it_leads() -> None:
    world = world_of(60)
    await world.asleep()
    leader = Leader(leads=False)

    async with running(world, world.copy(leader)):
        await world.until(52.2)
        assert (world.told.all, await world.count()) == ([], 0)
        leader.leads = True
        await world.until(61)

    (woken_at,) = world.woken_at()
    assert 52.2 <= woken_at <= 53


async def test_copy_that_takes_over_names_its_term_before_it_has_anything_to_write() -> None:
    world = world_of(600)
    await world.asleep()
    leader = Leader(leads=False)

    async with running(world, world.copy(leader)):
        await world.until(5)
        assert world.place.reads == []
        leader.leads = True
        await world.until(6)

        assert world.place.reads == [REPORT]


async def test_nothing_is_woken_while_its_count_is_not_known() -> None:
    world = world_of(60)
    await world.asleep()

    async with running(world):
        await world.until(45)
        world.place.stream.away = True
        await world.until(53)
        assert (world.holds(), world.woken_at()) == ([Reason.NO_DATA], [])
        world.place.stream.away = False
        await world.until(61)

    (woken_at,) = world.woken_at()
    assert 53 <= woken_at <= 55


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        pytest.param(Unavailable("a full disk"), Reason.WRITE_FAILED, id="it cannot be written"),
        pytest.param(Conflict("the version moved on"), Reason.LOST_RACE, id="another came first"),
    ],
)
async def test_wake_that_fails_is_tried_again_while_the_call_is_to_come(
    refusal: SpringtideError, reason: Reason
) -> None:
    world = world_of(60)
    await world.asleep()
    world.place.refusals = [refusal]

    async with running(world):
        await world.until(61)

    assert world.holds() == [reason]
    assert world.woken_at() == [50.5]


@pytest.mark.parametrize(
    ("labels", "settings"),
    [
        pytest.param({"zero": "false"}, None, id="of a function that may not sleep"),
        pytest.param({"min": "5", "max": "2"}, None, id="of a function whose labels make no sense"),
        pytest.param({"min": "0", "max": "0"}, None, id="of a function that may have no replica"),
        pytest.param({}, PrewarmSettings(prewarm=False), id="where it is switched off"),
    ],
)
async def test_calls_wake_nothing_ahead(labels: dict[str, str], settings: PrewarmSettings | None) -> None:
    world = world_of(60)
    await world.asleep(**labels)

    async with running(world, world.copy(settings=settings)):
        await world.until(61)

    assert (world.woken_at(), await world.count()) == ([], 0)


async def test_schedule_that_goes_while_it_is_due_wakes_nothing() -> None:
    world = world_of(60)
    await world.asleep()

    async with running(world):
        await world.until(49)
        world.calendar.at = {}
        world.copies[0].news(REPORT)
        await world.until(61)

    assert world.told.all == []


async def test_schedule_that_pauses_wakes_nothing_until_it_is_resumed() -> None:
    world = world_of(60, 120, 180)
    await world.asleep()

    async with running(world):
        await world.until(45)
        world.paused.add(REPORT)
        await world.until(125)
        assert (world.told.all, sum(world.met(met) for met in Met)) == ([], 0)
        world.paused.clear()
        await world.until(181)

    assert world.woken_at() == [180 - UNKNOWN_LEAD_S]


async def test_call_that_is_heard_of_late_wakes_at_once() -> None:
    world = world_of()
    await world.asleep()

    async with running(world):
        await world.until(20)
        world.calendar.at = {REPORT: (25,)}
        world.copies[0].news(REPORT)
        await world.until(26)

    assert world.woken_at() == [20]


async def test_functions_are_woken_each_at_its_time() -> None:
    world = world_of(60, 200, other=(65, 130))
    await world.asleep(REPORT, OTHER)

    async with running(world):
        await world.until(100)
        for ref in (REPORT, OTHER):
            await world.scale(0, ref)
        await world.until(201)

    assert (world.woken_at(), world.woken_at(OTHER)) == ([50, 196], [55, 126])


async def test_functions_that_nobody_calls_cost_nothing_while_time_goes_by() -> None:
    world = world_of(5000)
    await world.asleep(REPORT, *(FunctionRef("openfaas-fn", f"f{number}") for number in range(100)))

    async with running(world):
        asked = world.calendar.asked
        await world.until(4000)

        assert world.calendar.asked == asked


async def test_function_that_was_deleted_is_forgotten() -> None:
    world = world_of(60)
    await world.asleep()

    async with running(world):
        await world.until(20)
        await world.place.provider.delete(REPORT)
        await world.until(61)

        assert world.told.all == []
        assert "0 functions" in repr(world.copies[0])


@dataclass
class Likely:
    """Forecasts: a call of REPORT between two seconds of the test, which may be refused."""

    since: float
    until: float
    why: str = ""
    woken_at: list[float] = field(default_factory=list)

    def next_call(self, function: Function, after: Instant) -> ExpectedCall | None:
        if function.ref != REPORT or EPOCH + self.until <= after:
            return None
        return ExpectedCall(Instant(EPOCH + self.until), CallSource.FORECAST, Instant(EPOCH + self.since), 0.8)

    def refused(self, _ref: FunctionRef, _now: Instant) -> str:
        return self.why

    def woken(self, _ref: FunctionRef, now: Instant) -> None:
        self.woken_at.append(round(now - EPOCH))


async def test_function_is_woken_when_the_window_of_its_forecast_begins() -> None:
    world, likely = world_of(), Likely(60, 120)
    world.forecasts = likely
    await world.asleep()
    async with running(world):
        await world.until(200)

    (woken,) = (each for each in world.told.all if each.changes)
    assert (woken.at - EPOCH, woken.reason) == (pytest.approx(60, abs=0.1), Reason.FORECAST)
    assert "80 % of its pauses end so" in woken.detail
    assert likely.woken_at == [pytest.approx(60, abs=1)]
    assert sum(world.met(met) for met in Met) == 0


async def test_forecast_over_its_budget_is_held_and_followed_once_there_is_room() -> None:
    world, likely = world_of(), Likely(60, 120, why="as many functions as may are up")
    world.forecasts = likely
    await world.asleep()
    async with running(world):
        await world.until(90)
        assert world.holds() == [Reason.OVER_BUDGET]
        assert world.woken_at() == []
        likely.why = ""
        await world.until(100)

    assert world.woken_at() == [pytest.approx(90, abs=1)]


async def test_schedule_is_not_bounded_by_what_forecasts_may_cost() -> None:
    world = world_of(60)
    world.forecasts = Likely(300, 400, why="as many functions as may are up")
    await world.asleep()
    async with running(world):
        await world.until(70)

    assert world.woken_at() == [60 - UNKNOWN_LEAD_S]
