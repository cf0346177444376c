"""A copy of the idler that does not lead: it measures, and that is all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from springtide.idler.settings import IdlerSettings
from springtide.idler.sweep import Idler, IdlerDeps
from springtide.runtime.virtual_time import EPOCH, VirtualTimeLoop
from springtide.scaler.core.idle import Activity
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from tests.fakes.activity import Script, ScriptedActivity, silent_since, unknown
from tests.fakes.cluster import Cluster, Decisions

pytestmark = pytest.mark.virtual_time


ECHO = FunctionRef("openfaas-fn", "echo")


@dataclass
class Standby:
    """A Leadership that begins at a second of the test."""

    loop: VirtualTimeLoop
    leads_from_s: float
    role: str = "ns/idler"

    def hold(self) -> int | None:
        return 5 if self.loop.clock.now() >= self.leads_from_s else None

    def left_s(self) -> float:
        return 60.0

    async def change(self, known: int | None) -> int | None:
        raise NotImplementedError


def blind_until(second: float) -> Script:
    """No measurements until then, and silence since."""

    def script(ref: FunctionRef, now: Instant) -> Activity:
        return (unknown("Prometheus is away") if now < EPOCH + second else silent_since(EPOCH - 10_000))(ref, now)

    return script


@pytest.mark.parametrize(
    ("leads_from_s", "zeroed_at"),
    [
        pytest.param(0, [660], id="a leader waits until it has measured for a minute"),
        pytest.param(630, [660], id="a successor knows for how long it has measured"),
        pytest.param(800, [810], id="one that measured for long enough does not wait"),
        pytest.param(100_000, [], id="one that never leads never writes"),
    ],
)
async def test_standby_measures_and_leaves_functions_alone(
    loop: VirtualTimeLoop, leads_from_s: float, zeroed_at: list[float]
) -> None:
    cluster, decisions, registry = Cluster(loop.clock), Decisions(), CollectorRegistry()
    deps = IdlerDeps(
        catalog=cluster,
        target=cluster,
        activity=ScriptedActivity(blind_until(600)),
        recheck=None,
        registry=registry,
        recorder=decisions,
        clock=loop.clock,
        leadership=Standby(loop, leads_from_s),
    )

    await cluster.deploy(ECHO, zero="true", zero_duration="60s")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Idler(IdlerSettings(sweep_s=30, settle_s=60), deps).run(), 1000)

    assert [one.at - EPOCH for one in decisions.all if one.changes] == zeroed_at
    assert len(cluster.writes) == len(zeroed_at)
    assert [one for one in decisions.all if one.at < EPOCH + leads_from_s] == []
    assert registry.get_sample_value("springtide_idler_last_sweep_timestamp_seconds") == EPOCH + 990
