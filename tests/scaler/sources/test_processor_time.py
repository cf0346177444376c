"""Milli-cores of functions in virtual time: what two looks make of a total, and what is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from springtide.runtime.errors import Unavailable
from springtide.runtime.virtual_time import EPOCH
from springtide.scaler.core import targets
from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Level
from springtide.scaler.core.targets import Unit
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData
from springtide.scaler.sources.processor_time import MAX_AGE_S, MAX_RATE_AGE_S, RATES_INTERVAL_S, ProcessorTime
from springtide.wire.processor_use import CpuRate, CpuTotal, ProcessorUse, ProcessorUses
from tests.loops import virtual_loop

pytestmark = pytest.mark.virtual_time

ECHO, OTHER = FunctionRef("openfaas-fn", "echo"), FunctionRef("openfaas-fn", "other")
CPU = Load(targets.CPU, "cpu", 500.0, Unit.CPU_MILLICORES)
RPS = Load(targets.RPS, "rps", 50.0, Unit.CALLS_PER_SECOND)
BEGUN = Instant(EPOCH - 100)


class ScriptedMeter:
    """Answers with ``uses`` on a clock that differs from the asker's by ``skew_s``, or fails, or hangs."""

    def __init__(self, uses: Mapping[FunctionRef, ProcessorUse]) -> None:
        self.uses, self.failure = dict(uses), ""
        self.skew_s, self.hangs, self.asked = 0.0, False, 0

    async def processor_uses(self) -> ProcessorUses:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure:
            raise Unavailable(self.failure)
        return ProcessorUses(Instant(wall() + self.skew_s), dict(self.uses))


def wall() -> Instant:
    return Instant(virtual_loop().clock.wall())


async def look(source: ProcessorTime, *, seconds: float = 0.0) -> Level | NoData:
    """What is known after so long, the loop asking each second as it does."""
    for _ in range(int(seconds)):
        source.levels({ECHO: [CPU]}, wall())
        await asyncio.sleep(1)
    return source.levels({ECHO: [CPU]}, wall())[ECHO, "cpu"]


async def busy(meter: ScriptedMeter, cores: float) -> None:
    """From now on so many processors are used."""
    while True:
        await asyncio.sleep(0.5)
        total = meter.uses[ECHO]
        assert isinstance(total, CpuTotal)
        meter.uses[ECHO] = CpuTotal(total.seconds + 0.5 * cores, total.since)


async def test_level_is_the_rate_between_two_looks_in_milli_cores() -> None:
    meter = ScriptedMeter({ECHO: CpuTotal(100.0, BEGUN)})
    source, work = ProcessorTime(meter), asyncio.create_task(busy(meter, 1.5))
    try:
        assert isinstance(await look(source), NoData)
        level = await look(source, seconds=10)
    finally:
        work.cancel()
        await source.aclose()

    assert isinstance(level, Level)
    assert level.value == pytest.approx(1500)
    assert 0 <= wall() - level.at <= 4


async def test_nobody_is_asked_without_such_a_load() -> None:
    meter = ScriptedMeter({ECHO: CpuTotal(1.0, BEGUN)})
    source = ProcessorTime(meter)
    for _ in range(10):
        assert source.levels({ECHO: [RPS]}, wall()) == {}
        await asyncio.sleep(1)

    assert meter.asked == 0


async def test_idle_is_zero_and_not_unknown() -> None:
    source = ProcessorTime(ScriptedMeter({ECHO: CpuTotal(100.0, BEGUN)}))
    level = await look(source, seconds=5)
    await source.aclose()

    assert isinstance(level, Level)
    assert level.value == 0


@pytest.mark.parametrize(
    "total",
    [
        pytest.param(CpuTotal(3.0, BEGUN), id="a total that fell"),
        pytest.param(CpuTotal(300.0, Instant(EPOCH + 1)), id="a total of another beginning, though it is higher"),
    ],
)
async def test_total_that_begins_anew_is_unknown_until_two_looks_at_it(total: CpuTotal) -> None:
    meter = ScriptedMeter({ECHO: CpuTotal(100.0, BEGUN)})
    source = ProcessorTime(meter)
    assert isinstance(await look(source, seconds=5), Level)
    meter.uses[ECHO] = total

    seen = [await look(source, seconds=1) for _ in range(6)]
    await source.aclose()

    assert any(isinstance(level, NoData) and "counted anew" in level.why for level in seen)
    assert all(isinstance(level, NoData) or level.value == 0 for level in seen)
    assert isinstance(seen[-1], Level)


async def test_failure_leaves_the_last_level_until_it_is_too_old_and_then_tells_why() -> None:
    meter = ScriptedMeter({ECHO: CpuTotal(100.0, BEGUN)})
    source = ProcessorTime(meter)
    before = await look(source, seconds=5)
    meter.failure = "provider: connection refused"

    assert await look(source, seconds=MAX_AGE_S - 4) == before
    after = await look(source, seconds=5)
    await source.aclose()

    assert isinstance(after, NoData)
    assert "connection refused" in after.why


async def test_silent_provider_is_given_up_and_asked_again() -> None:
    meter = ScriptedMeter({ECHO: CpuTotal(100.0, BEGUN)})
    meter.hangs = True
    source = ProcessorTime(meter)
    silent = await look(source, seconds=7)
    meter.hangs = False
    heard = await look(source, seconds=12)
    await source.aclose()

    assert isinstance(silent, NoData)
    assert "did not tell within 5 s" in silent.why
    assert isinstance(heard, Level)


async def test_function_that_the_answer_does_not_name_is_unknown() -> None:
    source = ProcessorTime(ScriptedMeter({OTHER: CpuTotal(1.0, BEGUN)}))
    level = await look(source, seconds=5)
    await source.aclose()

    assert level == NoData("the provider's answer does not name it")


@pytest.mark.parametrize("skew_s", [-3600.0, 0.0, 3600.0])
async def test_age_of_a_cluster_rate_is_that_of_its_scrape_whatever_the_clocks_say(skew_s: float) -> None:
    meter = ScriptedMeter({ECHO: CpuRate(700.0, Instant(EPOCH + skew_s - 40))})
    meter.skew_s = skew_s
    source = ProcessorTime(meter)
    level = await look(source, seconds=1)
    gone = await look(source, seconds=MAX_RATE_AGE_S - 38)
    await source.aclose()

    assert level == Level(700.0, Instant(EPOCH - 40))
    assert isinstance(gone, NoData)
    assert "more than 90 s ago" in gone.why


async def test_metrics_server_is_asked_less_often() -> None:
    meter = ScriptedMeter({ECHO: CpuRate(700.0, Instant(EPOCH))})
    source = ProcessorTime(meter)
    await look(source, seconds=60)
    await source.aclose()

    assert meter.asked <= 60 / RATES_INTERVAL_S + 1


async def test_clock_that_is_set_back_silences_nobody() -> None:
    meter = ScriptedMeter({ECHO: CpuTotal(100.0, BEGUN)})
    source = ProcessorTime(meter)
    source.levels({ECHO: [CPU]}, Instant(wall() + 3600))
    await asyncio.sleep(1)
    level = await look(source, seconds=5)
    await source.aclose()

    assert isinstance(level, Level)
    assert level.at <= wall()


async def test_two_looks_at_the_same_measurement_make_no_rate() -> None:
    """The provider measures once a second, however many ask."""
    meter = ScriptedMeter({ECHO: CpuTotal(100.0, BEGUN)})
    source = ProcessorTime(meter)
    await look(source, seconds=5)
    meter.skew_s = EPOCH + 4 - wall()  # the same look again

    seen = await look(source, seconds=1)
    await source.aclose()

    assert isinstance(seen, Level)
