"""Who learns when functions sleep, in virtual time: over gateways, copies and stores, and what it tells others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from prometheus_client import CollectorRegistry

from springtide.gateway.busy_periods import BusyPeriods
from springtide.gateway.call_metrics import CallMetrics
from springtide.provider.memory.provider import MemoryProvider
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import Conflict, SpringtideError, Unavailable
from springtide.scaler.core import catalogue
from springtide.scaler.core.keepalive.account import Account
from springtide.scaler.core.keepalive.rule import Basis, NotLearned
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.policy import ZeroPolicy
from springtide.scaler.core.ports import Leadership
from springtide.scaler.core.prewarm import CallSource
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.scaler.function_table import FunctionTable
from springtide.triggers.sleep import kept
from springtide.triggers.sleep.kept import Kept, Position
from springtide.triggers.sleep.learning import Learning, LearningDeps
from springtide.triggers.sleep.settings import SleepSettings
from springtide.wire.busy_periods import BusyReport
from springtide.wire.leadership import Always
from tests.fakes.heartbeats import BeatingStream
from tests.loops import virtual_loop

pytestmark = pytest.mark.virtual_time

ECHO, OTHER = FunctionRef("openfaas-fn", "echo"), FunctionRef("openfaas-fn", "other")
SLEEPS = {"com.openfaas.scale.zero": "true", "com.springtide.scale.zero-policy": "learned"}
SETTINGS = SleepSettings(gateway_metrics_urls=("http://gateway:8082",))
INTERVAL_S = 360.0
HEARD_S = 10.0
"""After its end a call is known to who learns."""


@dataclass
class Store:
    kept: Kept = field(default_factory=Kept)
    saves: int = 0
    written: int = 0
    refusals: list[SpringtideError] = field(default_factory=list)

    async def load(self) -> Kept:
        if self.refusals:
            raise self.refusals.pop(0)
        return self.kept

    async def save(self, position: Position, changed: Mapping[FunctionRef, str | None]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.saves += 1
        self.written += len(changed)
        records = {**self.kept.records, **changed}
        self.kept = Kept(position, {ref: text for ref, text in records.items() if text is not None})


@dataclass
class Leader:
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


class World:
    """One gateway, which can be away, a provider, and as many copies as a test makes."""

    def __init__(self) -> None:
        self.clock = virtual_loop().clock
        self.periods = BusyPeriods(self.clock)
        self.metrics: dict[FunctionRef, CallMetrics] = {}
        self.provider = MemoryProvider(self.clock)
        self.stream = BeatingStream(self.provider)
        self.store = Store()
        self.away = False
        self.registry = CollectorRegistry()
        self.changed: list[FunctionRef] = []

    async def told(self, since: float, now: float) -> Mapping[str, BusyReport]:
        if self.away:
            raise Unavailable("http://gateway:8082 cannot be reached")
        return {"http://gateway:8082": self.periods.told(since, now)}

    async def deploy(self, ref: FunctionRef = ECHO, labels: Mapping[str, str] = SLEEPS) -> None:
        await self.provider.deploy(FunctionSpec(ref=ref, image="none", labels=dict(labels)))

    async def call(self, ref: FunctionRef = ECHO, length_s: float = 0.5) -> None:
        metrics = self.metrics.setdefault(ref, CallMetrics(last_active=self.clock.wall()))
        metrics.begin(self.clock.wall())
        self._tell(ref, metrics)
        await asyncio.sleep(length_s)
        metrics.end(200, length_s, self.clock.wall())
        self._tell(ref, metrics)

    def _tell(self, ref: FunctionRef, metrics: CallMetrics) -> None:
        self.periods.saw(
            str(ref),
            "",
            busy_since=metrics.busy_since,
            last_active=metrics.last_active,
            started=metrics.started,
            in_flight=metrics.in_flight,
        )

    @asynccontextmanager
    async def copy(
        self, settings: SleepSettings = SETTINGS, leadership: Leadership | None = None
    ) -> AsyncIterator[Learning]:
        functions = FunctionTable(self.stream, clock=self.clock)
        following = asyncio.create_task(functions.follow())
        deps = LearningDeps(
            periods=self,
            functions=functions,
            store=self.store,
            clock=self.clock,
            registry=self.registry,
            leadership=leadership or Always(),
        )
        learning = Learning(settings, deps)
        learning.listen(self.changed.append)
        await learning.start()
        await asyncio.sleep(1)
        try:
            yield learning
        finally:
            await learning.stop()
            following.cancel()
            self.registry = CollectorRegistry()

    async def every_six_minutes(self, count: int, ref: FunctionRef = ECHO) -> None:
        for _ in range(count):
            await asyncio.sleep(INTERVAL_S - 0.5 - HEARD_S)
            await self.call(ref)
            await asyncio.sleep(HEARD_S)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def silence(learning: Learning, ref: FunctionRef = ECHO) -> LearnedSilence | NotLearned:
    return learning.silences([ref])[ref]


def said(learning: Learning, ref: FunctionRef = ECHO) -> str:
    told = silence(learning, ref)
    return told.why if isinstance(told, NotLearned) else told.said


async def test_timer_is_known_after_its_third_call_and_not_before() -> None:
    world = World()
    await world.deploy()
    async with world.copy() as learning:
        await world.every_six_minutes(1)
        assert said(learning) == "none of its pauses is known"
        await world.every_six_minutes(1)
        assert "of its pauses end within" in said(learning)
        await world.every_six_minutes(1)
        told = silence(learning)

    assert isinstance(told, LearnedSilence)
    assert told.said.startswith("it is called every 6 minutes; a cold start is worth ")
    assert told.last_end == pytest.approx(world.metrics[ECHO].last_active)
    assert ECHO in world.changed


async def test_expected_call_of_a_forecast_begins_with_its_window() -> None:
    world = World()
    await world.deploy()
    async with world.copy(replace(SETTINGS, sleep_default_start_s=2.0)) as learning:
        await world.every_six_minutes(5)
        function = await world.provider.read(ECHO)
        call = learning.forecasts.next_call(function, Instant(world.clock.wall()))
        next_call = world.metrics[ECHO].last_active - 0.5 + INTERVAL_S

    assert call is not None
    assert call.source is CallSource.FORECAST
    assert call.likely_from == pytest.approx(next_call - 2 - 3 * 2, abs=1.1)
    assert call.at >= next_call


@pytest.mark.parametrize(
    ("labels", "settings", "why"),
    [
        pytest.param({"com.openfaas.scale.zero": "true"}, SETTINGS, "its sleep is not learned", id="fixed by default"),
        pytest.param(
            {**SLEEPS, "com.springtide.scale.zero-policy": "fixed"},
            replace(SETTINGS, zero_policy=ZeroPolicy.LEARNED),
            "its sleep is not learned",
            id="fixed by its label",
        ),
        pytest.param(SLEEPS, SETTINGS, "it was not called yet since anybody learns", id="never called"),
    ],
)
async def test_why_a_silence_is_the_fixed_one_is_told(
    labels: Mapping[str, str], settings: SleepSettings, why: str
) -> None:
    world = World()
    await world.deploy(labels=labels)
    async with world.copy(settings) as learning:
        assert said(learning) == why


async def test_plan_is_not_told_while_a_gateway_does_not_tell() -> None:
    world = World()
    await world.deploy()
    async with world.copy() as learning:
        await world.every_six_minutes(5)
        world.away = True
        await asyncio.sleep(90)
        away = silence(learning)
        failures = world.value(catalogue.SLEEP_FAILURES.name, what="gateways")
        world.away = False
        await asyncio.sleep(10)
        back = silence(learning)

    assert isinstance(away, NotLearned)
    assert "not heard of" in away.why
    assert (failures or 0) > 10
    assert isinstance(back, LearnedSilence)


async def test_next_copy_goes_on_with_what_was_kept() -> None:
    world = World()
    await world.deploy()
    async with world.copy():
        await world.every_six_minutes(3)
    await world.every_six_minutes(2)
    async with world.copy() as learning:
        await asyncio.sleep(10)
        told = silence(learning)

    assert isinstance(told, LearnedSilence)
    assert told.why.pauses == 4


async def kept_account(world: World) -> Account:
    """After a save."""
    await asyncio.sleep(SETTINGS.sleep_save_interval_s + 2 * HEARD_S)
    account = kept.from_record(world.store.kept.records[ECHO])[2]
    assert account is not None
    return account


async def test_what_learning_has_cost_today_outlives_a_restart_of_everything() -> None:
    world = World()
    await world.deploy()
    async with world.copy():
        for pause_s in (1500.0, 1000.0, 1250.0, 1350.0, 1700.0, 1900.0):
            await world.call()
            await asyncio.sleep(pause_s)
        await world.call()
        before = await kept_account(world)
    async with world.copy() as learning:
        await asyncio.sleep(1500)
        called_at = world.clock.wall()
        await world.call()
        after = await kept_account(world)
        told = silence(learning)
        assert isinstance(told, LearnedSilence)
    settled = before.settled(
        Instant(after.since or 0), Instant(called_at), worth_s=told.why.worth_s, fixed_s=SETTINGS.inactivity_s
    )

    assert after.day == before.day
    assert before.balance_s < 0.9 * told.why.worth_s or before.balance_s > 1.1 * told.why.worth_s, "a new one is that"
    assert after.balance_s == pytest.approx(settled.balance_s, abs=5)


async def test_copy_that_leads_again_goes_on_with_the_account_that_was_kept_meanwhile() -> None:
    world = World()
    await world.deploy()
    leader = Leader(leads=True)
    async with world.copy(leadership=leader) as learning:
        await world.every_six_minutes(5)
        before = await kept_account(world)
        told = silence(learning)
        assert isinstance(told, LearnedSilence)
        assert told.why.basis is Basis.TIMER
        leader.leads = False
        await asyncio.sleep(20)
        watched, score, _ = kept.from_record(world.store.kept.records[ECHO])
        spent = kept.record(watched, score, replace(before, balance_s=-100.0))
        world.store.kept = Kept(world.store.kept.position, {ECHO: spent})
        leader.leads = True
        await asyncio.sleep(HEARD_S)
        told = silence(learning)
        assert isinstance(told, LearnedSilence)

    assert told.why.basis is Basis.FIXED


async def test_what_a_function_is_worth_is_told_whatever_decides_when_it_sleeps() -> None:
    world = World()
    fixed, never = FunctionRef("openfaas-fn", "fixed"), FunctionRef("openfaas-fn", "never")
    await world.deploy()
    for ref in (fixed, never):
        await world.deploy(ref, {"com.openfaas.scale.zero": "true"})
    async with world.copy() as learning:
        for number in range(10):
            await asyncio.sleep(INTERVAL_S)
            await world.call()
            if number in (0, 9):
                await world.call(fixed)
        await asyncio.sleep(HEARD_S)
        told = learning.worths([ECHO, fixed, never])
        world.away = True
        await asyncio.sleep(90)
        assert learning.worths([ECHO]) == {}

    assert told.keys() == {ECHO, fixed}, "of who was never called nothing is known"
    assert told[ECHO].calls_per_s == pytest.approx(10 / (9 * INTERVAL_S), rel=0.05)
    assert told[fixed].calls_per_s == pytest.approx(2 / (9 * INTERVAL_S), rel=0.05)
    assert told[fixed].worth_s == pytest.approx(900 + 0.8 / told[fixed].calls_per_s)


async def test_only_who_leads_learns_and_writes() -> None:
    world = World()
    await world.deploy()
    leader = Leader(leads=False)
    async with world.copy(leadership=leader) as learning:
        await world.every_six_minutes(2)
        assert not learning.learns
        assert world.store.saves == 0
        leader.leads = True
        await asyncio.sleep(60)
        assert learning.learns
        assert world.store.saves > 0
        leader.leads = False
        await asyncio.sleep(10)
        assert not learning.learns


async def test_copy_that_was_overtaken_reads_again() -> None:
    world = World()
    await world.deploy()
    async with world.copy() as learning:
        await world.every_six_minutes(1)
        world.store.refusals.append(Conflict("another copy has written it"))
        await asyncio.sleep(60)
        assert learning.learns


async def test_what_cannot_be_kept_is_kept_later() -> None:
    world = World()
    await world.deploy()
    async with world.copy():
        await asyncio.sleep(40)
        world.store.refusals.append(Unavailable("the disk is full"))
        await world.call()
        await asyncio.sleep(80)

    assert ECHO in world.store.kept.records


async def test_not_a_write_per_call() -> None:
    world = World()
    await world.deploy()
    async with world.copy():
        for _ in range(600):
            await world.call(length_s=0.1)
            await asyncio.sleep(1.9)
        assert world.store.written <= 1200 / SETTINGS.sleep_save_interval_s + 1


async def test_function_that_is_deleted_is_forgotten() -> None:
    world = World()
    await world.deploy()
    async with world.copy():
        await world.call()
        await asyncio.sleep(60)
        assert ECHO in world.store.kept.records
        await world.provider.delete(ECHO)
        await asyncio.sleep(60)
        assert ECHO not in world.store.kept.records


async def test_forecasts_are_scored_and_lost_when_mostly_wasted() -> None:
    world = World()
    await world.deploy()
    async with world.copy() as learning:
        await world.every_six_minutes(6)
        for _ in range(4):
            now = Instant(world.clock.wall())
            assert learning.forecasts.refused(ECHO, now) == ""
            learning.forecasts.woken(ECHO, now)
            # It comes a little after it is not waited for any more, each time after the same pause.
            await asyncio.sleep(INTERVAL_S + 30)
            await world.call()
            await asyncio.sleep(HEARD_S)
            await world.every_six_minutes(4)
        told = silence(learning)
        wasted = world.value(catalogue.FORECASTS.name, outcome="wasted")

        assert wasted == 4
        assert isinstance(told, LearnedSilence)
        assert not told.forecasts
        assert len(told.windows) == 1
        assert learning.forecasts.next_call(await world.provider.read(ECHO), Instant(world.clock.wall())) is None


async def test_forecasts_are_bounded_at_once_and_by_what_they_cost_a_day() -> None:
    world = World()
    for ref in (ECHO, OTHER):
        await world.deploy(ref)
    async with world.copy(replace(SETTINGS, prewarm_max=1)) as learning:
        for _ in range(5):
            await asyncio.sleep(INTERVAL_S - 1)
            await world.call(ECHO)
            await world.call(OTHER)
        await asyncio.sleep(10)
        now = Instant(world.clock.wall())
        learning.forecasts.woken(ECHO, now)
        assert "prewarm_max" in learning.forecasts.refused(OTHER, now)
        await asyncio.sleep(INTERVAL_S + 60)
        assert learning.forecasts.up == 0
        spent_s = world.value(catalogue.FORECAST_REPLICA_SECONDS.name)

    assert spent_s == pytest.approx(INTERVAL_S - 10, abs=40)


async def test_no_replica_hours_are_no_forecasts() -> None:
    world = World()
    await world.deploy()
    async with world.copy(replace(SETTINGS, prewarm_replica_hours=0.0)) as learning:
        await world.every_six_minutes(5)
        assert "prewarm_replica_hours" in learning.forecasts.refused(ECHO, Instant(world.clock.wall()))
