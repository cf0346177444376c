"""Functions whose pods take three seconds to start, woken ahead of their calls by what the provider streams."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry

from springtide.runtime.clock import SystemClock
from springtide.scaler.core import catalogue
from springtide.scaler.core.prewarm import SPARE_S, CallSource, ExpectedCall, Met
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, Reason
from springtide.scaler.function_table import FunctionTable
from springtide.triggers.prewarm_settings import PrewarmSettings
from springtide.triggers.prewarming import PrewarmDeps, Prewarming
from tests.fakes.cluster import Decisions
from tests.fakes.heartbeats import BeatingStream
from tests.kubernetes.emulator import EmulatorSettings
from tests.kubernetes.provider_stage import NAMESPACE, OnCluster, eventually, on_cluster, spec

START_S = 3.0
LEAD_S = 12.0
"""Before the first call, when no start was measured yet: long enough for a machine that is busy."""
SLEEPS = {"com.openfaas.scale.zero": "true"}
REFS = [FunctionRef(NAMESPACE, f"report-{number}") for number in range(3)]


class Calls:
    """One call of each function at a time, at an instant that the test chooses."""

    def __init__(self) -> None:
        self.at: dict[FunctionRef, Instant] = {}

    def next_call(self, function: Function, after: Instant) -> ExpectedCall | None:
        at = self.at.get(function.ref)
        return ExpectedCall(at, CallSource.SCHEDULE) if at is not None and at > after else None


class Told(Decisions):
    def wakes(self) -> list[Decision]:
        return [decision for decision in self.all if decision.reason is Reason.SCHEDULED]

    async def changes(self) -> list[Decision]:
        return [decision for decision in self.all if decision.changes]


async def test_calls_of_sleeping_functions_find_a_pod_that_is_ready() -> None:
    calls, told, registry = Calls(), Told(), CollectorRegistry()
    async with on_cluster(cluster=EmulatorSettings(start_s=START_S)) as stage:
        provider, clock = stage.provider, SystemClock()
        for ref in REFS:
            await provider.deploy(spec(ref, labels=SLEEPS))
            await provider.write(ref, 0, expect=None, decision=None)
        deps = PrewarmDeps(
            functions=FunctionTable(BeatingStream(provider), clock=clock),
            expected=[calls],
            target=provider,
            keeper=provider,
            past=told,
            registry=registry,
            recorder=told,
            clock=clock,
        )
        prewarming = Prewarming(PrewarmSettings(prewarm_default_lead_s=LEAD_S), deps)
        await prewarming.start()
        try:
            for ref in REFS:
                calls.at[ref] = Instant(time.time() + LEAD_S + 1)
                prewarming.news(ref)
            first = await met(registry, len(REFS))
            starts = {ref: (await provider.read(ref)).longest_start_s for ref in REFS}
            for ref in REFS:
                await provider.write(ref, 0, expect=None, decision=None)
                calls.at[ref] = Instant(time.time() + (starts[ref] or 0.0) + SPARE_S + 3)
                prewarming.news(ref)
            second = await met(registry, 2 * len(REFS))
            late = second.get(Met.LATE, 0)
            # Late is only a start that took a second longer than the one before it: the machine is busy.
            await eventually(lambda: slower(stage, starts), lambda count: count >= late)
        finally:
            await prewarming.stop()

    assert first == {Met.READY: len(REFS)}
    assert all(start_s is not None and start_s >= START_S for start_s in starts.values())
    assert second.get(Met.READY, 0) + late == 2 * len(REFS)
    assert [(wake.before, wake.after) for wake in told.wakes()] == [(0, 1)] * 2 * len(REFS)


async def met(registry: CollectorRegistry, calls: int) -> dict[Met, int]:
    """How calls were met, once there were so many."""

    async def counted() -> dict[Met, int]:
        found = {}
        for how in Met:
            labels = {"source": "schedule", "met": how.value}
            found[how] = int(registry.get_sample_value(catalogue.EXPECTED_CALLS.name, labels) or 0)
        return {how: count for how, count in found.items() if count}

    return await eventually(counted, lambda found: sum(found.values()) >= calls)


async def slower(stage: OnCluster, starts: dict[FunctionRef, float | None]) -> int:
    """How many functions have taken a second longer to start than they had before."""
    now = {ref: (await stage.provider.read(ref)).longest_start_s or 0.0 for ref in REFS}
    return sum(now[ref] > (starts[ref] or 0.0) + SPARE_S for ref in REFS)
