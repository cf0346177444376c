"""The measurement: wakes and memory, in turns with processes and with the engine alone, then troubles under load."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.containers.bed import Bed, ContainerBed, container_bed, deploy_all, process_bed
from bench.containers.steady_load import SHELL
from bench.containers.troubles import LoadOptions, Troubles
from bench.herd import percentile
from bench.report import Row
from springtide.provider.containers.function_container import network_name
from springtide.provider.containers.probes import PORT
from springtide.scaler.core.label_table import SLEEP
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE
from tests.container_engine import IMAGE, PodmanServer, podman_of_the_session

MIB = 2**20
ASLEEP = {"stop": "exited", "pause": "paused"}
"""What the engine says of a function that sleeps in this way."""
BARE = "bare"
BARE_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainersOptions:
    """``functions`` as containers, half of which sleep by stop and half by pause, and half as many processes;
    ``wakes`` of each kind."""

    functions: int = 20
    wakes: int = 40
    load: LoadOptions = field(default_factory=LoadOptions)


@dataclass(slots=True)
class Account:
    """``problems`` say in words what should not have happened."""

    sections: dict[str, list[Row]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def containers(options: ContainersOptions, folder: Path, tell: Callable[[str], None]) -> Account:
    """In the network namespace of the caller, which is to be one of its own."""
    return asyncio.run(_measure(options, folder, podman_of_the_session(), tell))


async def _measure(
    options: ContainersOptions, folder: Path, podman: PodmanServer, tell: Callable[[str], None]
) -> Account:
    account = Account()
    (folder / "containers").mkdir()
    (folder / "processes").mkdir()
    async with container_bed(folder / "containers", podman) as bed:
        async with process_bed(folder / "processes") as processes:
            calm = _Calm(bed, processes, options)
            await calm.deploy()
            tell(f"{options.functions} containers and {len(calm.processes)} processes are awake")
            account.sections["memory"] = await calm.memory()
            tell("memory is measured; now wakes")
            account.sections["wakes"] = await calm.wakes()
        for name in calm.stopped:
            await bed.scale(name, 1)
        for name in calm.stopped:
            await bed.until(name, 1)
        troubles = Troubles(bed, calm.stopped, options.load)
        rows: list[Row] = []
        account.sections["troubles"] = rows
        for trouble in (troubles.rolling_update, troubles.provider_killed, troubles.engine_killed):
            rows.append(await trouble())
            tell("  ".join(f"{name} {value}" for name, value in rows[-1].items()))
        left = await _left(bed, [*calm.stopped, *calm.paused])
    account.problems += [f"lost: {said}" for said in troubles.lost]
    account.problems += [f"{row['what']}: {row['orphans']} orphans" for row in rows if row["orphans"]]
    account.problems += [f"{left} containers were left when all functions were removed"] if left else []
    return account


async def _left(bed: ContainerBed, names: list[str]) -> int:
    for name in names:
        await bed.remove(name)
    return await bed.orphans(0)


class _Calm:
    """What is measured while nothing else happens."""

    def __init__(self, bed: ContainerBed, processes: Bed, options: ContainersOptions) -> None:
        self._bed, self._others, self._options = bed, processes, options
        half = options.functions // 2
        self.stopped = [f"stop-{number:02}" for number in range(options.functions - half)]
        self.paused = [f"pause-{number:02}" for number in range(half)]
        self.processes = [f"process-{number:02}" for number in range(half)]

    async def deploy(self) -> None:
        for how, names in (("stop", self.stopped), ("pause", self.paused)):
            await deploy_all(self._bed, names, {SLEEP: how})
        await deploy_all(self._others, self.processes)

    async def memory(self) -> list[Row]:
        """Of one function of each kind, in the mean; all are awake, and sleep afterwards.

        Processes are told by what their host and all below it hold more than when all sleep: what forks share is
        the host's. What containers share is counted in equal parts: with fewer awake, one has more of it.
        """
        for names in (self.stopped, self.paused):  # each has been called: what it needs for that, it has
            for name in names:
                await self._bed.call_ms(name)
        for name in self.processes:
            await self._others.call_ms(name)
        awake, processes = await self._held(), self._processes_bytes()
        for name in (*self.stopped, *self.paused):
            await self._sleep_container(name)
        for name in self.processes:
            await self._sleep_process(name)
        asleep = await self._held()
        one = (processes - self._processes_bytes()) / len(self.processes)
        rows = [(f"container, {how}", awake[how], asleep[how]) for how in ASLEEP]
        return [
            {"what": what, "awake_mib": up / MIB, "asleep_mib": down / MIB, "awake_vs_process": up / one}
            for what, up, down in (*rows, ("process", one, 0.0))
        ]

    async def _held(self) -> dict[str, float]:
        """Bytes of one container, with what the engine runs beside it, by how it sleeps."""
        by_id, found = self._bed.memory_bytes(), dict[str, list[int]](stop=[], pause=[])
        for container in await self._bed.containers():
            how = container.labels.get("faas_function", "").partition("-")[0]
            found[how].append(by_id.get(container.id, 0))
        return {how: statistics.mean(held) for how, held in found.items()}

    def _processes_bytes(self) -> int:
        return sum(self._others.parts.provider.host().proportional_bytes().values())

    async def wakes(self) -> list[Row]:
        """One of each kind after the other. The call comes through the gateway, which holds it until it is answered."""
        kinds: dict[str, Callable[[int], Awaitable[float]]] = {
            "container, stop": self._container_woken(self.stopped),
            "container, pause": self._container_woken(self.paused),
            "process": self._process_woken,
        }
        bare = _Bare(self._bed)
        took: dict[str, list[float]] = {kind: [] for kind in (*kinds, "podman start", "podman start, answered")}
        bare.create()
        try:
            for turn in range(self._options.wakes):
                for kind, woken in kinds.items():
                    took[kind].append(await woken(turn))
                started_ms, answered_ms = await bare.start_ms()
                took["podman start"].append(started_ms)
                took["podman start, answered"].append(answered_ms)
        finally:
            bare.remove()
        return [
            {
                "what": kind,
                "wakes": len(times),
                "p50_ms": percentile(times, 0.5),
                "p90_ms": percentile(times, 0.9),
                "max_ms": max(times),
                "p50_vs_process": percentile(times, 0.5) / percentile(took["process"], 0.5),
                "p50_vs_podman": percentile(times, 0.5) / percentile(took["podman start, answered"], 0.5),
            }
            for kind, times in took.items()
        ]

    def _container_woken(self, names: list[str]) -> Callable[[int], Awaitable[float]]:
        async def woken(turn: int) -> float:
            name = names[turn % len(names)]
            took_ms = await self._bed.call_ms(name)
            await self._sleep_container(name)
            return took_ms

        return woken

    async def _process_woken(self, turn: int) -> float:
        name = self.processes[turn % len(self.processes)]
        took_ms = await self._others.call_ms(name)
        await self._sleep_process(name)
        return took_ms

    async def _sleep_container(self, name: str) -> None:
        await self._bed.scale(name, 0)
        await self._bed.until(name, 0)
        await self._bed.until_in(name, ASLEEP[name.partition("-")[0]])

    async def _sleep_process(self, name: str) -> None:
        await self._others.scale(name, 0)
        await self._others.until(name, 0)
        await asyncio.sleep(0.5)  # its linger, and the next spare, which nobody waits for


class _Bare:
    """A container of the same image in the same network, of which our provider knows nothing."""

    def __init__(self, bed: ContainerBed) -> None:
        self._bed, self._podman = bed, bed.podman

    def create(self) -> None:
        network = network_name(DEFAULT_NAMESPACE, self._bed.suite)
        self._said("create", "--name", BARE, "--network", network, "--env", f"fprocess={SHELL}", f"{IMAGE}:latest")

    def remove(self) -> None:
        self._podman.run("rm", "--force", "--time=0", BARE)

    async def start_ms(self) -> tuple[float, float]:
        """Until the command has ended, and until the container answers a call. Stopped again then."""
        began = time.perf_counter()
        await asyncio.to_thread(self._said, "start", BARE)
        started_ms = (time.perf_counter() - began) * 1000
        address = (await self._bed.engine.inspect(BARE)).address
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client, asyncio.timeout(BARE_DEADLINE_S):
            while not await _answers(client, f"http://{address}:{PORT}"):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        answered_ms = (time.perf_counter() - began) * 1000
        await self._bed.engine.stop(BARE, grace_s=10)
        return started_ms, answered_ms

    def _said(self, *words: str) -> None:
        said = self._podman.run(*words)
        if "rror" in said:
            raise subprocess.SubprocessError(f"podman {words[0]}: {said}")


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.post(url, content="echo here")).text == "here\n"
    except httpx.TransportError:
        return False
