"""What functions use of the processors: of real processes, their children, and those that have ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from springtide.provider.machine.usage import processor_seconds
from springtide.scaler.core import targets
from springtide.scaler.core.loads import Load
from springtide.scaler.core.observation import Level
from springtide.scaler.core.targets import Unit
from springtide.scaler.core.vocabulary import FunctionRef, Instant, Reason
from springtide.scaler.sources.processor_time import ProcessorTime
from springtide.wire.processor_use import CpuTotal, ProcessorUses
from tests.fakes.level_loop import LevelLoop
from tests.provider.process.world import PATIENCE_S, World, alive, eventually, url

REF = FunctionRef("openfaas-fn", "fn")
BURNT_S = 0.3

BURNING = """
import asyncio, os, subprocess, sys, time
BURN = "import time\\nwhile time.process_time() < SECONDS: pass"
async def handle(event, context):
    if event.path == "/itself":
        end = time.process_time() + SECONDS
        while time.process_time() < end:
            pass
    if event.path == "/child":
        subprocess.run([sys.executable, "-c", BURN])
    if event.path == "/running":
        return str(subprocess.Popen([sys.executable, "-c", "while True: pass"]).pid)
    return str(os.getpid())
""".replace("SECONDS", str(BURNT_S))


async def used_s(world: World) -> float:
    use = (await world.provider.processor_use())[REF]
    assert isinstance(use, CpuTotal)
    return use.seconds


async def until_used(world: World, least_s: float) -> float:
    async with asyncio.timeout(PATIENCE_S):
        while (used := await used_s(world)) < least_s:  # noqa: ASYNC110 - the host tells the provider, and nobody else
            await asyncio.sleep(0.01)
    return used


@pytest.mark.parametrize("path", ["/itself", "/child"])
async def test_what_a_replica_and_its_children_use_is_counted(world: Any, path: str) -> None:
    async with world() as here:
        address = await here.up("fn", annotations=here.handler(BURNING))
        before = await used_s(here)

        await here.http.get(address + path)

        assert await used_s(here) - before > BURNT_S * 0.9


async def test_a_child_that_still_runs_is_counted(world: Any) -> None:
    async with world() as here:
        address = await here.up("fn", annotations=here.handler(BURNING))
        await here.http.get(address + "/running")
        seen = [await used_s(here)]

        while seen[-1] - seen[0] < BURNT_S:
            seen.append(await used_s(here))

        assert seen == sorted(seen)


async def test_what_an_ended_replica_used_stays_though_nobody_looked_while_it_ran(world: Any) -> None:
    async with world() as here:
        address = await here.up("fn", annotations=here.handler(BURNING))
        pid = int((await here.http.get(address + "/child")).text)
        await here.scale(REF, 0)
        await eventually(lambda: not alive(pid), "the end of the replica")

        ended = await until_used(here, BURNT_S * 0.9)
        await here.scale(REF, 1)
        await here.http.get(url(await here.ready(REF)) + "/itself")
        assert await used_s(here) - ended > BURNT_S * 0.9


async def test_a_function_that_was_deleted_begins_anew(world: Any) -> None:
    async with world() as here:
        address = await here.up("fn", annotations=here.handler(BURNING))
        await here.http.get(address + "/itself")
        before = (await here.provider.processor_use())[REF]
        await here.provider.delete(REF)
        await here.until_gone(REF)
        assert REF not in await here.provider.processor_use()

        await here.up("fn", annotations=here.handler(BURNING))

        after = (await here.provider.processor_use())[REF]
        assert isinstance(before, CpuTotal)
        assert isinstance(after, CpuTotal)
        assert after.since > before.since
        assert after.seconds < before.seconds


class Meter:
    """The provider as the scaler's source asks it, without the wire."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def processor_uses(self) -> ProcessorUses:
        return ProcessorUses(Instant(time.time()), await self._world.provider.processor_use())


async def level_when(source: ProcessorTime, true: Callable[[float], bool]) -> float:
    """The first level of which that is true, in milli-cores."""
    load = Load(targets.CPU, "cpu", 500.0, Unit.CPU_MILLICORES)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            level = source.levels({REF: [load]}, Instant(time.time()))[REF, "cpu"]
            if isinstance(level, Level) and true(level.value):
                return level.value
            await asyncio.sleep(0.05)


async def test_busy_function_has_milli_cores_and_an_idle_one_has_none(world: Any) -> None:
    async with world() as here:
        address = await here.up("fn", annotations=here.handler(BURNING))
        source = ProcessorTime(Meter(here))
        try:
            child = int((await here.http.get(address + "/running")).text)
            assert await level_when(source, lambda millicores: millicores > 100) < 2000  # one process
            os.kill(child, signal.SIGKILL)
            await level_when(source, lambda millicores: millicores < 50)
        finally:
            await source.aclose()


async def test_a_busy_function_of_type_cpu_grows_and_an_idle_one_shrinks(world: Any) -> None:
    labels = {"type": "cpu", "target": "50m", "max": "4"}  # it may get no more of a machine that others use
    async with world() as here:
        labels = {f"com.openfaas.scale.{key}": value for key, value in labels.items()}
        address = await here.up("fn", annotations=here.handler(BURNING), labels=labels)
        source = ProcessorTime(Meter(here))
        loop = LevelLoop(here.provider, REF, source)
        try:
            busy = [int((await here.http.get(address + "/running")).text) for _ in range(4)]
            grown = await loop.until(lambda made: made.after > 1)
            assert (grown.before, grown.reason) == (1, Reason.LOAD_UP)
            assert "milli-cores" in grown.detail
            for pid in busy:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await loop.until(lambda made: made.after == 1)
        finally:
            await source.aclose()


def test_a_process_that_is_gone_is_absent() -> None:
    assert processor_seconds([2**22 + 1]) == {}
