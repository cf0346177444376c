"""A function under the control loop, whole but for sockets, in virtual time: what measures its load can be in trouble.

Each source is the real one. Those who answer it (gateways, provider, queue, Prometheus) are here, and ``trouble`` says
what is wrong with them now. The load itself never changes: whatever the loop does then, it does for the trouble.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from springtide.runtime.errors import Unavailable, Unsupported
from springtide.scaler.control_loop import ControlLoop, ControlLoopDeps
from springtide.scaler.core.loads import QUERY
from springtide.scaler.core.observation import Calls
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, NoData, Scale, Writer
from springtide.scaler.function_table import FunctionTable
from springtide.scaler.settings import ScalerSettings
from springtide.scaler.sources.levels import Levels
from springtide.scaler.sources.load_sum import Gateway, LoadSum
from springtide.scaler.sources.processor_time import ProcessorTime
from springtide.scaler.sources.queries import Queries
from springtide.scaler.sources.queue import QueuedJobs
from springtide.wire.endpoint_stream import Changed, Endpoint, FunctionEndpoints, Heartbeat, Snapshot
from springtide.wire.load_stream import Load, LoadLine
from springtide.wire.processor_use import CpuTotal, ProcessorUse, ProcessorUses
from springtide.wire.prometheus import VectorSample
from tests.fakes.cluster import Decisions
from tests.loops import virtual_loop
from tests.scaler.test_function_table import Provider

REF = FunctionRef("openfaas-fn", "echo")
TARGETS = {"rps": 10.0, "capacity": 1.0, "cpu": 500.0, "queue": 10.0, "rule": 10.0, "promql": 10.0}
"""Load types, and what one replica shall carry."""
STEADY = 15.0
"""The load, in replicas. Each call takes a second."""
PROMQL = "sum(orders_pending)"


class Clock:
    """The loop's own, whose wall is ``back_s`` behind."""

    def __init__(self) -> None:
        self._virtual, self.back_s = virtual_loop().clock, 0.0

    def now(self) -> float:
        return self._virtual.now()

    def wall(self) -> float:
        return self._virtual.wall() - self.back_s


@dataclass
class Telling:
    """One of the two gateways: half of the calls, or ``calls`` a second instead."""

    state: Gateway
    name: str
    started: int = 1000
    calls: int | None = None
    mute: bool = False
    every_s: int = 1
    back_s: float = 0.0
    partial: str = ""
    lists: bool = True
    first: bool = True
    told_at: float = 0.0

    def line(self, at: float, each: int) -> LoadLine:
        each = each if self.calls is None else self.calls
        passed_s, self.told_at = (round(at - self.told_at) if self.told_at else 1), at
        self.started += each * passed_s
        load = Load(self.started, self.started - each, each, 0)
        return LoadLine(at - self.back_s, {str(REF): load if self.lists else None}, self.name, self.partial)

    def begin_anew(self, started: int = 0, *, life: str = "") -> None:
        self.started, self.name, self.first = started, life or self.name, bool(life)


@dataclass
class Answers:
    """The provider's processor time, the queue and Prometheus."""

    clock: Clock
    type: str
    trouble: str = ""
    since: float = 100.0
    used_s: float = 1000.0
    load: float = STEADY
    """In replicas."""
    turn: int = 0
    frozen_at: float = field(default=0.0)

    def begin(self, trouble: str) -> None:
        self.trouble, self.frozen_at = trouble, self.clock.wall()
        if trouble == "restarted":
            self.since, self.used_s = self.clock.wall(), 0.0
        if trouble == "counters reset":
            self.used_s = 0.0

    @property
    def value(self) -> float:
        return self.load * TARGETS[self.type]

    async def _delays(self) -> None:
        """What all who answer over a network have in common."""
        self.turn += 1
        await asyncio.sleep({"slow": 2.0, "hangs": math.inf}.get(self.trouble, 0.0))
        if self.trouble == "errors":
            raise Unavailable("connection refused")

    async def processor_uses(self) -> ProcessorUses:
        await self._delays()
        now = self.clock.wall()
        use: ProcessorUse = CpuTotal(self.used_s + (now - 1e9) * self.value / 1000, Instant(self.since))
        if self.trouble == "one of two gone":
            use = NoData("the usage of a node is not known")
        if self.trouble == "two that disagree" and self.turn % 2:
            use = CpuTotal(7.0, Instant(self.since + 50))
        at = {"stale": self.frozen_at, "clock set back": now - 3600}.get(self.trouble, now)
        return ProcessorUses(Instant(at), {} if self.trouble == "empty" else {REF: use})

    async def pending(self) -> Mapping[FunctionRef, int]:
        await self._delays()
        match self.trouble:
            case "empty":
                raise Unavailable("the queue's server is away")
            case "no queues":
                raise Unsupported("there are no queues here")
            case "two that disagree" if self.turn % 2 == 0:
                return {}
        return {REF: round(self.value)}

    async def vector(self, query: str, *, at: float | None = None) -> list[VectorSample]:
        await self._delays()
        now = self.clock.wall()
        labels = {"function_name": str(REF)}
        if self.trouble == "empty" or (self.trouble == "restarted" and now - self.frozen_at < 60):
            return []
        if query.startswith("timestamp("):
            taken = {"stale": self.frozen_at, "clock set back": now - 3600}.get(self.trouble, now - 5)
            return [VectorSample(labels, taken, now)]
        value = math.nan if self.trouble == "no number" else self.value
        if self.trouble == "counters reset" and now - self.frozen_at < 5:
            value = 0.0
        found = [VectorSample(labels, value, at or now)]
        if self.trouble == "two that disagree":
            found.append(VectorSample({**labels, "replica": "b"}, 0.0, at or now))
        return found


class Stage:
    """One function of ``type``, two gateways, and all that answers."""

    def __init__(self, type_: str) -> None:
        self.type, self.clock, self.told, self.provider = type_, Clock(), Decisions(), Provider()
        self.sum, self.heard = LoadSum(clock=self.clock), asyncio.Event()
        self.gateways = [Telling(self.sum.add(f"http://gateway-{name}"), name) for name in "ab"]
        self.answers = Answers(self.clock, type_)
        self.version, self.counts = 1, [20]
        self.registry = CollectorRegistry()

    @property
    def wanted(self) -> int:
        return self.counts[-1]

    def calls(self, ref: FunctionRef, now: Instant) -> Calls | NoData:
        return self.sum.calls(ref, now)

    async def run(self) -> None:
        """A second of the gateways, and of the provider, after the other."""
        each = round(STEADY / 2 * (TARGETS[self.type] if self.type == "rps" else 1.0))
        for second in range(10_000):
            for one in self.gateways:
                if not one.mute and second % one.every_s == 0:
                    line = one.line(self.clock.wall() + self.clock.back_s, each)
                    self.sum.take(one.state, line, first=one.first)
                    one.first = False
            self.heard.set()
            await self.provider.tell(Heartbeat())
            await asyncio.sleep(0.99)

    async def read(self, ref: FunctionRef) -> Function:
        raise NotImplementedError(ref)

    async def write(self, ref: FunctionRef, replicas: int, *, expect: str | None, decision: Decision | None) -> Scale:
        assert (ref, expect, decision is not None) == (REF, str(self.version), True)
        await self.set(replicas)
        return Scale(replicas, replicas, str(self.version))

    async def set(self, replicas: int) -> None:
        """As somebody else does: a wake, the idler."""
        self.version += 1
        self.counts.append(replicas)
        await self.provider.tell(Changed(self.function))

    @property
    def function(self) -> FunctionEndpoints:
        own = self.type in ("rule", "promql")
        labels = {
            "com.openfaas.scale.type": "orders" if own else self.type,
            "com.openfaas.scale.target": f"{TARGETS[self.type]:g}{'m' if self.type == 'cpu' else ''}",
            "com.openfaas.scale.max": "500",
            "com.openfaas.scale.zero": "true",
        }
        annotations = {QUERY: PROMQL} if self.type == "promql" else {}
        endpoints = tuple(Endpoint(f"echo-{number}", "127.0.0.1", 1) for number in range(self.wanted))
        return FunctionEndpoints(
            REF, self.wanted, str(self.version), endpoints, labels, annotations=annotations, owner=Writer.SCALER
        )


@contextlib.asynccontextmanager
async def followed(type_: str) -> AsyncIterator[Stage]:
    """Under the loop for a moment of virtual time."""
    stage = Stage(type_)
    answers = stage.answers
    deps = ControlLoopDeps(
        functions=FunctionTable(stage.provider, clock=stage.clock),
        calls=stage,
        levels=Levels(ProcessorTime(answers), Queries(answers), QueuedJobs(answers)),
        target=stage,
        registry=stage.registry,
        recorder=stage.told,
        clock=stage.clock,
    )
    await stage.provider.tell(Snapshot((stage.function,)))
    task = asyncio.create_task(ControlLoop(ScalerSettings(), deps).run())
    try:
        yield stage
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await deps.levels.aclose()
