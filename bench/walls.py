"""What walls cost: the same function with and without, in turns, in one provider.

A start is measured by the provider, from its wish to the replica's word that it answers; processor time of a call is
what the replica's process used, by the scheduler's count, in so many calls over one connection.
"""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry

from bench.herd import percentile
from bench.report import Row
from springtide.provider.machine.provider import MachineProvider
from springtide.provider.process.launches import FunctionProgram
from springtide.provider.process.service import ProcessDeps, build
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import FunctionSpec
from springtide.runtime.clock import SystemClock
from springtide.scaler.core import catalogue
from springtide.scaler.core.label_names import HANDLER
from springtide.scaler.core.label_table import ISOLATION
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint, FunctionEndpoints, merge

NAMES = ("none", "sandbox")
"""Of the two functions: their isolation."""
SOURCE = "def handle(event, context):\n    return {'statusCode': 200, 'body': event.body}\n"
PATIENCE_S = 60.0
PAUSE_S = 0.25
"""Between starts: for the next spare, which nobody waits for."""


@dataclass(frozen=True, slots=True)
class WallsOptions:
    starts: int
    calls: int
    rounds: int


def walls(folder: Path, options: WallsOptions) -> list[Row]:
    """A row for each isolation."""
    return asyncio.run(_measure(folder, options))


async def _measure(folder: Path, options: WallsOptions) -> list[Row]:
    (folder / "handler").mkdir()
    (folder / "handler" / "handler.py").write_text(SOURCE)
    registry = CollectorRegistry()
    settings = ProcessSettings(state_dir=folder / "state", linger_s=0.0, closed_ports=(9090,))
    provider = build(settings, ProcessDeps(SystemClock(), registry))
    await provider.start()
    try:
        bed = _Bed(provider, registry)
        return await bed.measure(str(folder / "handler"), options)
    finally:
        await provider.stop()


class _Bed:
    def __init__(self, provider: MachineProvider[FunctionProgram], registry: CollectorRegistry) -> None:
        self._provider, self._registry = provider, registry

    async def measure(self, handler: str, options: WallsOptions) -> list[Row]:
        for name in NAMES:
            await self._provider.deploy(
                FunctionSpec(ref=_ref(name), image="any", labels={ISOLATION: name}, annotations={HANDLER: handler})
            )
            await self._until(name, 1)
        starts: dict[str, list[float]] = {name: [] for name in NAMES}
        for _ in range(options.starts):
            for name in NAMES:
                starts[name].append(await self._start_ms(name))
        calls: dict[str, list[float]] = {name: [] for name in NAMES}
        async with httpx.AsyncClient() as client:
            for number in range(options.rounds + 1):
                for name in NAMES:
                    used = await self._call_us(client, name, options.calls)
                    calls[name] += [used] if number else []  # The first one warms.
        return [
            {
                "isolation": name,
                "start_p50_ms": statistics.median(starts[name]),
                "start_p99_ms": percentile(starts[name], 0.99),
                "cpu_us_per_call": statistics.median(calls[name]),
                "starts": options.starts,
                "calls": options.calls * options.rounds,
            }
            for name in NAMES
        ]

    async def _start_ms(self, name: str) -> float:
        await self._scale(name, 0)
        await asyncio.sleep(PAUSE_S)
        before = self._started_s(name)
        await self._scale(name, 1)
        return (self._started_s(name) - before) * 1000

    def _started_s(self, name: str) -> float:
        labels = {"function_name": str(_ref(name))}
        return self._registry.get_sample_value(f"{catalogue.REPLICA_START.name}_sum", labels) or 0.0

    async def _scale(self, name: str, replicas: int) -> None:
        await self._provider.write(_ref(name), replicas, expect=None, decision=None)
        await self._until(name, replicas)

    async def _until(self, name: str, replicas: int) -> Endpoint | None:
        table: dict[FunctionRef, FunctionEndpoints] = {}
        async with asyncio.timeout(PATIENCE_S):
            async for event in self._provider.watch_endpoints():
                table = merge(table, [event])
                seen = table.get(_ref(name))
                if seen is not None and len(seen.endpoints) == replicas:
                    return seen.endpoints[0] if replicas else None
        raise AssertionError("the stream ended")

    async def _call_us(self, client: httpx.AsyncClient, name: str, calls: int) -> float:
        endpoint = await self._until(name, 1)
        assert endpoint is not None
        pid = next(iter(self._provider._fleet.deployments[_ref(name)].replicas.values())).pid
        before = _ran_ns(pid)
        for _ in range(calls):
            (await client.post(f"http://{endpoint.host}:{endpoint.port}", content=b"x")).raise_for_status()
        return (_ran_ns(pid) - before) / calls / 1000


def _ref(name: str) -> FunctionRef:
    return FunctionRef("openfaas-fn", name)


def _ran_ns(pid: int) -> int:
    """On a processor, of all threads."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
