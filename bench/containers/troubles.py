"""What happens to functions under steady load: an update, the provider killed, the engine's service killed.

Each gives a row: calls made and lost, containers that ran before and still do, and those that nobody wants in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from bench.containers.bed import ContainerBed
from bench.containers.steady_load import SteadyLoad
from bench.report import Row

MORE = 2
"""Replicas that one function is to have more: asked for just before the kill, so that it falls into starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """``load_s`` is before and after what happens, ``away_s`` until what was killed is started again."""

    callers: int = 8
    load_s: float = 5.0
    away_s: float = 3.0


class Troubles:
    """``names`` are functions that are awake, with one replica each; others may sleep. Afterwards all is as before."""

    def __init__(self, bed: ContainerBed, names: Sequence[str], options: LoadOptions) -> None:
        self._bed, self._names, self._options = bed, names, options
        self.lost: list[str] = []
        """What callers were told instead of an answer."""

    async def rolling_update(self) -> Row:
        """Of one function with several replicas, which all callers call."""
        bed, name = self._bed, self._names[0]
        await bed.scale(name, 1 + MORE)
        await bed.until(name, 1 + MORE)
        before = {one.id for one in await bed.containers(name=name)}

        async def update() -> None:
            await bed.deploy(name, generation=2)
            await bed.until_gone(before)
            await bed.until(name, 1 + MORE)

        return await self._row("rolling update", [name], update)

    async def provider_killed(self) -> Row:
        """By SIGKILL while replicas start, and started again."""
        bed = self._bed
        return await self._killed("kill -9 of the provider", bed.parts.provider.kill, bed.parts.provider.start)

    async def engine_killed(self) -> Row:
        """Its service, by SIGKILL while replicas start, and started again."""
        bed = self._bed
        return await self._killed("kill -9 of the engine's service", bed.podman.kill, bed.podman.start)

    async def _killed(self, what: str, kill: Callable[[], None], start: Callable[[], None]) -> Row:
        bed, grows = self._bed, self._names[-1]

        async def trouble() -> None:
            there = len(await bed.containers())
            await bed.scale(grows, 1 + MORE)
            await bed.until_more_than(there)
            await asyncio.to_thread(kill)
            await asyncio.sleep(self._options.away_s)
            await asyncio.to_thread(start)
            for name in self._names[:-1]:
                await bed.until(name, 1)
            await bed.until(grows, 1 + MORE)

        return await self._row(what, self._names, trouble)

    async def _row(self, what: str, called: Sequence[str], trouble: Callable[[], Awaitable[None]]) -> Row:
        bed = self._bed
        before, others = await bed.running(), len(await bed.containers()) - len(await bed.containers("running"))
        async with self._under_load(called) as load:
            began = time.monotonic()
            await trouble()
            took_s = time.monotonic() - began
        grown = called[-1]
        wanted = others + len(self._names) + MORE
        orphans = await bed.orphans(wanted)
        kept = len(before & await bed.running())
        await bed.scale(grown, 1)
        await bed.until(grown, 1)
        await bed.orphans(wanted - MORE)
        self.lost += load.lost
        return {
            "what": what,
            "seconds": took_s,
            "calls": load.calls,
            "lost": len(load.lost),
            "ran_before": len(before),
            "run_still": kept,
            "orphans": orphans,
        }

    @contextlib.asynccontextmanager
    async def _under_load(self, names: Sequence[str]) -> AsyncIterator[SteadyLoad]:
        async with SteadyLoad(self._bed.parts.port, names, callers=self._options.callers) as load:
            await asyncio.sleep(self._options.load_s)
            yield load
            await asyncio.sleep(self._options.load_s)
