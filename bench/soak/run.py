"""One soak: parts up, functions deployed, load and deeds for so many minutes, quiet again, and the account."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.report import Row
from bench.soak.caller import Callers
from bench.soak.deeds import Cycle
from bench.soak.parts import Api, Parts, Usage, running, usage
from bench.soak.tally import RESTART_TAKES_S, Tally, Verdict
from bench.soak.troubles import Troubles

READY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakOptions:
    minutes: float = 10.0
    functions: int = 20
    callers: int = 4
    """Per function."""
    think_s: float = 0.12
    """Mean pause of a caller between two calls."""
    pause_s: float = 2.5
    """Mean pause between two deeds on one function."""
    workers: int = 1
    """Of the gateway; with several they are restarted in turn, again and again."""
    trouble_pause_s: float | None = 10.0
    """Mean pause between two troubles of the parts; None for none at all."""
    halt_s: float = 15.0
    """Most time for which a part is halted: the time after which a supervisor replaces it."""
    full_disk_s: float = 20.0
    report_s: float = 10.0
    settle_s: float = 6.0
    """Idle connections to replicas are kept for four seconds; after that a silent gateway should hold none."""


@dataclass(slots=True)
class Account:
    """What is kept of a run."""

    row: Row
    samples: list[Row] = field(default_factory=list)
    failures: list[Any] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    histories: list[Any] = field(default_factory=list)
    """Of the functions that lost a call."""

    @property
    def good(self) -> bool:
        return not self.row["lost"] and not self.problems

    @property
    def sections(self) -> dict[str, list[Any]]:
        return {
            "soak": [self.row],
            "soak_samples": self.samples,
            "soak_failures": self.failures,
            "soak_problems": self.problems,
            "soak_histories": self.histories,
        }


def soak(options: SoakOptions, folder: Path, tell: Callable[[str], None]) -> Account:
    """Run it all; ``tell`` hears a line every few seconds."""
    with running(folder, workers=options.workers) as parts:
        return asyncio.run(_Soak(options, parts, tell).run())


class _Soak:
    def __init__(self, options: SoakOptions, parts: Parts, tell: Callable[[str], None]) -> None:
        self._options, self._parts, self._tell = options, parts, tell
        self._tally = Tally()
        self._names = [f"soak-{number:02}" for number in range(options.functions)]
        self._callers = [Callers(name, parts.port, self._tally, think_s=options.think_s) for name in self._names]
        self._cycles: list[Cycle] = []
        self._troubles: Troubles | None = None
        self._samples: list[Row] = []
        self._over = asyncio.Event()

    async def run(self) -> Account:
        async with self._parts.api(self._tally.log) as api:
            await self._deploy(api)
            before = self._usage()
            seconds = await self._load(api)
            problems = await self._settle(api)
            row: Row = {"minutes": seconds / 60, "functions": len(self._names), "workers": self._options.workers}
            row |= self._tally.row() | {"calls_per_s": self._tally.calls / seconds}
            row |= {name: self._done[name] for name in sorted(self._done)}
            row["wakes"] = int(await api.metric("springtide_decisions_total", 'writer="wake"'))
            row["worker_restarts"] = len(self._tally.log.restarts)
            row |= _compared(before, self._usage())
            problems += [problem for one in self._doers for problem in one.problems]
            histories = [await self._history(api, cycle) for cycle in self._cycles if cycle.name in self._tally.losers]
            return Account(row, self._samples, list(self._tally.failures), problems, histories)

    async def _history(self, api: Api, cycle: Cycle) -> Any:
        return {
            "function": cycle.name,
            "deeds": list(cycle.history),
            "decisions": await api.decisions(cycle.name),
            "wall_minus_monotonic_s": time.time() - time.monotonic(),
        }

    def _usage(self) -> dict[str, Usage]:
        return {part: usage(pids) for part, pids in self._parts.trees().items()}

    async def _load(self, api: Api) -> float:
        """Callers call and functions change, until the time is over; how long that was, in seconds."""
        began = time.monotonic()
        self._cycles = [Cycle(one, api, self._tally.log, pause_s=self._options.pause_s) for one in self._callers]
        async with asyncio.TaskGroup() as tasks:
            for callers in self._callers:
                for _ in range(self._options.callers):
                    tasks.create_task(callers.call_for_ever(self._over))
            for cycle in self._cycles:
                tasks.create_task(cycle.run(self._over))
            if (pause_s := self._options.trouble_pause_s) is not None:
                self._troubles = Troubles(
                    self._parts,
                    self._cycles,
                    self._tally.log,
                    pause_s=pause_s,
                    halt_s=self._options.halt_s,
                    full_disk_s=self._options.full_disk_s,
                )
                tasks.create_task(self._troubles.run(self._over))
            if self._options.workers > 1:
                tasks.create_task(self._restart_workers())
            await self._watch(began)
            if self._troubles is not None:
                await self._troubles.all_seen.wait()
            self._over.set()
            for callers in self._callers:
                callers.calling.set()
            return time.monotonic() - began

    async def _deploy(self, api: Api) -> None:
        for name in self._names:
            await api.deploy(name, 0)
        deadline = time.monotonic() + READY_S
        for name in self._names:
            while await api.counts(name) != (1, 1):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{name} is not ready within {READY_S:g} s")
                await asyncio.sleep(0.1)

    async def _watch(self, began: float) -> None:
        """Until the time is over, say and keep how it goes."""
        ends = began + self._options.minutes * 60
        while (now := time.monotonic()) < ends:
            await asyncio.sleep(min(self._options.report_s, ends - now))
            gateway = usage(self._parts.gateway.tree())
            sample: Row = {"at_s": round(time.monotonic() - began, 1), "calls": self._tally.calls}
            verdicts = self._tally.verdicts
            sample |= {"lost": verdicts[Verdict.LOST], "own_replica_killed": verdicts[Verdict.OWN_REPLICA_KILLED]}
            sample |= {name: self._done[name] for name in sorted(self._done)}
            sample |= {"resident_mib": round(gateway.resident_mib, 1), "descriptors": gateway.descriptors}
            self._samples.append(sample)
            self._tell("  ".join(f"{name} {value}" for name, value in sample.items()))

    async def _restart_workers(self) -> None:
        """Have the gateway replace its workers, one at a time, whenever the last round must be over."""
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), min(RESTART_TAKES_S, max(self._options.minutes * 20, 2.0)))
                return
            self._tally.log.restarts.append(time.monotonic())
            os.kill(self._parts.gateway.pid, signal.SIGHUP)

    async def _settle(self, api: Api) -> list[str]:
        """Everything at one replica and silent, as it was before; what should be zero then, and is not."""
        for name in self._names:
            await api.scale(name, 1)
        wanted = {"gateway_service_ready_count": len(self._names)}
        wanted |= dict.fromkeys(("gateway_function_invocation_inflight", "gateway_function_held"), 0)
        deadline = time.monotonic() + READY_S
        await asyncio.sleep(self._options.settle_s)
        while (found := {name: await api.metric(name) for name in wanted}) != wanted:
            if time.monotonic() > deadline:
                return [f"{name} is {found[name]:g} in the end" for name in wanted if found[name] != wanted[name]]
            await asyncio.sleep(0.2)
        return []

    @property
    def _done(self) -> Counter[str]:
        return sum((one.done for one in self._doers), Counter())

    @property
    def _doers(self) -> list[Cycle | Troubles]:
        return [*self._cycles, *([self._troubles] if self._troubles else [])]


def _compared(before: dict[str, Usage], after: dict[str, Usage]) -> Row:
    return {
        f"{name}_{what}_{when}": value
        for name in before
        for when, used in (("begin", before[name]), ("end", after[name]))
        for what, value in asdict(used).items()
    }
