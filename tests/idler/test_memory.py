"""Who sleeps early where the functions of a machine take more memory than they may, in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from springtide.idler.settings import IdlerSettings
from springtide.idler.sweep import Idler, IdlerDeps
from springtide.runtime.errors import SpringtideError, Unavailable
from springtide.runtime.settings import SettingsError, read
from springtide.runtime.virtual_time import EPOCH
from springtide.scaler.core.idle import Activity
from springtide.scaler.core.keepalive.pressure import Worth
from springtide.scaler.core.ports import ExpectedCalls
from springtide.scaler.core.prewarm import CallSource, ExpectedCall
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, NoData, Sample
from tests.fakes.activity import ScriptedActivity
from tests.fakes.cluster import Cluster, Decisions
from tests.loops import virtual_loop

pytestmark = pytest.mark.virtual_time

MIB = 1 << 20
A, B, C = (FunctionRef("openfaas-fn", name) for name in "abc")
SETTINGS = IdlerSettings(inactivity_s=3600, settle_s=30, sleep_memory=250 * MIB)
LONG_AGO = EPOCH - 1000


@dataclass
class World:
    """Three functions of 100 MiB each that may sleep and were called long ago; b is worth least, then c, then a."""

    settings: IdlerSettings = SETTINGS
    second_look: bool = True
    asks_for_worth: bool = True
    zero: Mapping[FunctionRef, str] = field(default_factory=dict)
    size_mib: dict[FunctionRef, float] = field(default_factory=lambda: {A: 100, B: 100, C: 100})
    worth: dict[FunctionRef, Worth] = field(
        default_factory=lambda: {A: Worth(0.1, 900), B: Worth(0.001, 900), C: Worth(0.01, 900)}
    )
    last_call: dict[FunctionRef, float] = field(default_factory=dict)
    in_flight: dict[FunctionRef, float] = field(default_factory=dict)
    unknown: set[FunctionRef] = field(default_factory=set)
    failure: SpringtideError | None = None
    expected: ExpectedCalls | None = None
    decisions: Decisions = field(default_factory=Decisions)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.clock = virtual_loop().clock
        self.cluster = Cluster(self.clock)
        self.measuring = ScriptedActivity(self.script)
        self.idler = Idler(
            self.settings,
            IdlerDeps(
                catalog=self.cluster,
                target=self.cluster,
                activity=self.measuring,
                recheck=ScriptedActivity(self.script) if self.second_look else None,
                registry=self.registry,
                recorder=self.decisions,
                clock=self.clock,
                expected=self.expected,
                memory=self,
                worths=self if self.asks_for_worth else None,
            ),
        )

    def script(self, ref: FunctionRef, now: Instant) -> Activity:
        if ref in self.unknown:
            return Activity(NoData("the gateway is away"), NoData("the gateway is away"))
        return Activity(Sample(self.in_flight.get(ref, 0), now), Sample(self.last_call.get(ref, LONG_AGO), now))

    async def memory_bytes(self) -> Mapping[FunctionRef, float]:
        if self.failure is not None:
            raise self.failure
        return {ref: size * MIB for ref, size in self.size_mib.items()}

    async def worths(self, refs: Iterable[FunctionRef]) -> Mapping[FunctionRef, Worth]:
        return {ref: self.worth[ref] for ref in refs if ref in self.worth}

    async def sweeps(self, count: int = 3) -> list[FunctionRef]:
        """Who went to zero, in this order, in sweeps half a minute apart; the functions are deployed first."""
        if not await self.cluster.list_functions():
            for ref in (A, B, C):
                await self.cluster.deploy(ref, zero=self.zero.get(ref, "true"))
        for _ in range(count):
            await self.idler.sweep(Instant(self.clock.wall()))
            await asyncio.sleep(30)
        return self.slept

    @property
    def slept(self) -> list[FunctionRef]:
        return [decision.ref for decision in self.decisions.all if decision.changes]

    def told(self, ref: FunctionRef) -> list[Decision]:
        return [decision for decision in self.decisions.all if decision.ref == ref]

    def bytes_(self, of: str) -> float | None:
        return self.registry.get_sample_value("springtide_functions_memory_bytes", {"of": of})


async def test_the_least_worthy_sleeps_and_no_more_than_are_needed() -> None:
    world = World()

    with structlog.testing.capture_logs() as lines:
        assert await world.sweeps(20) == [B]

    (last,) = (decision for decision in world.told(B) if decision.changes)
    assert (last.before, last.after, last.reason) == (1, 0, "memory_pressure")
    assert last.detail == (
        "functions take 300 MiB of the 250 MiB that they may; of those that are idle it is worth least for its "
        "100 MiB: 3.6 calls an hour, a cold start is worth 15 minutes; nothing in flight, last call 1030 s ago"
    )
    assert [line["sleep"] for line in lines if line["event"] == "memory is short"] == [[str(B)]]
    assert (world.bytes_("used"), world.bytes_("bound")) == (200 * MIB, 250 * MIB)


async def test_large_ones_are_worth_less_for_what_they_take() -> None:
    world = World(settings=replace(SETTINGS, sleep_memory=2000 * MIB))
    world.size_mib[A] = 20_000

    assert await world.sweeps() == [A]


@pytest.mark.parametrize(
    ("changed", "slept"),
    [
        pytest.param({"in_flight": {B: 1}}, [C], id="in flight"),
        pytest.param({"unknown": {B}}, [C], id="not measured"),
        pytest.param({"zero": {B: "false"}}, [C], id="not to sleep at all"),
        pytest.param({"zero": {B: "perhaps"}}, [C], id="with a label that cannot be understood"),
        pytest.param({"size_mib": {A: 200, C: 100}}, [C], id="of unknown size"),
        pytest.param({"worth": {A: Worth(0.1, 900), C: Worth(0.01, 900)}}, [C], id="of unknown worth"),
        pytest.param({"in_flight": {A: 1, B: 1, C: 2}}, [], id="all in flight"),
        pytest.param({"worth": {}}, [], id="nothing is known of worth"),
        pytest.param({"asks_for_worth": False}, [], id="nobody tells worth"),
        pytest.param({"size_mib": {A: 200}}, [], id="what is known of sizes is within the bound"),
        pytest.param({"failure": Unavailable("the provider is away")}, [], id="no size is known"),
        pytest.param({"second_look": False}, [], id="no gateway to ask for the second look"),
        pytest.param({"settings": replace(SETTINGS, sleep_memory=None)}, [], id="without a bound"),
        pytest.param({"settings": replace(SETTINGS, sleep_memory=300 * MIB)}, [], id="with room for all"),
        pytest.param({"settings": replace(SETTINGS, dry_run=True)}, [], id="in a dry run"),
        pytest.param({"settings": replace(SETTINGS, sleep_memory=100 * MIB)}, [B, C], id="with room for one"),
    ],
)
async def test_who_is_left_alone(changed: dict[str, Any], slept: list[FunctionRef]) -> None:
    world = World(**changed)

    assert await world.sweeps(6) == slept


async def test_call_that_comes_between_the_two_looks_keeps_it_awake() -> None:
    world = World()

    async def call() -> None:
        world.in_flight[B] = 1

    await world.sweeps(1)
    world.cluster.on_read[B] = call
    await world.sweeps(1)

    assert world.slept == []
    assert world.told(B)[-1].reason == "in_flight"
    assert await world.sweeps(1) == [C]


async def test_who_is_to_be_called_soon_stays() -> None:
    @dataclass
    class Scheduled:
        def next_call(self, function: Function, _after: Instant) -> ExpectedCall | None:
            return ExpectedCall(Instant(EPOCH + 33), CallSource.SCHEDULE) if function.ref == B else None

    world = World(expected=Scheduled())

    assert await world.sweeps(2) == [C]


async def test_measurements_have_to_have_come_for_as_long_as_ever() -> None:
    assert await World(settings=replace(SETTINGS, settle_s=60)).sweeps(2) == []


async def test_who_was_called_a_moment_ago_is_in_the_middle_of_something() -> None:
    world = World()
    await world.sweeps(1)
    world.last_call[B] = world.clock.wall() - 2

    assert await world.sweeps(1) == [C]


async def test_who_sleeps_anyhow_makes_room_first() -> None:
    world = World(settings=replace(SETTINGS, inactivity_s=120))
    world.last_call |= {B: EPOCH + 25, C: EPOCH + 25}
    await world.sweeps(4)
    assert world.slept == [B]

    world.size_mib = dict.fromkeys((A, B, C), 200.0)
    await world.sweeps(1)

    assert [(decision.ref, decision.reason) for decision in world.decisions.all if decision.changes] == [
        (B, "memory_pressure"),
        (A, "idle"),
    ]


async def test_what_cannot_be_measured_is_not_zero() -> None:
    world = World(failure=Unavailable("the provider is away"))

    await world.sweeps()

    assert math.isnan(world.bytes_("used") or 0)
    assert world.registry.get_sample_value("springtide_source_failures_total", {"signal": "memory"}) == 3
    world.failure = None
    assert await world.sweeps(1) == [B]


async def test_that_nobody_can_sleep_is_told() -> None:
    world = World(in_flight=dict.fromkeys((A, B, C), 1))

    with structlog.testing.capture_logs() as lines:
        await world.sweeps()
        world.in_flight.clear()
        await world.sweeps(1)

    said = [line["event"] for line in lines if "memory" in line["event"]]
    stuck = "functions take more memory than they may, and nobody can sleep for it"
    assert (said[0], said[-2:]) == (stuck, [f"over: {stuck}", "memory is short"])


def test_bound_is_a_quantity_or_none() -> None:
    assert read(IdlerSettings, {}).sleep_memory is None
    assert read(IdlerSettings, {"sleep_memory": ""}).sleep_memory is None
    assert read(IdlerSettings, {"sleep_memory": "4Gi"}).sleep_memory == 4 << 30
    with pytest.raises(SettingsError, match="sleep_memory: '4 gigs' is not a quantity"):
        read(IdlerSettings, {"sleep_memory": "4 gigs"})
