"""The pause before a restart ends by itself, however exactly the clock and the event loop's timers agree."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from springtide.provider.machine.records import FunctionRecord
from springtide.provider.machine.replica_metrics import ReplicaMetrics
from springtide.provider.machine.start_limits import StartSlots
from springtide.provider.machine.state_files import StateFiles
from springtide.provider.process import launches
from springtide.provider.process.deployment import Deployment
from springtide.provider.process.deployment_context import DeploymentContext
from springtide.provider.process.host_protocol import VERSION, Exited, Hello, Message, Spawn
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import FunctionSpec
from springtide.runtime.virtual_time import VirtualTimeLoop
from springtide.scaler.core.vocabulary import FunctionRef, Instant

pytestmark = pytest.mark.virtual_time


SPEC = FunctionSpec(ref=FunctionRef("openfaas-fn", "echo"), image="any", env_process="cat")
HELLO = Hello(
    version=VERSION,
    pid=1,
    limits_memory=False,
    limits_processes=False,
    identity="",
    limits_cpu=False,
    sandbox_problem="",
)


@dataclass
class ScriptedClock:
    """The loop's time, but for the next few looks at it."""

    loop: VirtualTimeLoop
    script: deque[float] = field(default_factory=deque)

    def now(self) -> float:
        return self.script.popleft() if self.script else self.loop.time()

    def wall(self) -> float:
        return self.loop.clock.wall()


@dataclass
class Host:
    """A host link that keeps what it was told."""

    told: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        self.told.append(message)

    def spawned(self) -> list[str]:
        return [message.launch.instance for message in self.told if isinstance(message, Spawn)]


def context(folder: Path, clock: ScriptedClock, host: Host) -> DeploymentContext:
    return DeploymentContext(
        settings=ProcessSettings(state_dir=folder),
        clock=clock,
        files=StateFiles(folder),
        link=host,  # type: ignore[arg-type]
        slots=StartSlots(),
        metrics=ReplicaMetrics(CollectorRegistry()),
    )


async def test_gateways_are_told_when_a_function_that_failed_is_started_again(
    loop: VirtualTimeLoop, tmp_path: Path
) -> None:
    clock, host = ScriptedClock(loop), Host()
    pause_s = ProcessSettings(state_dir=tmp_path).restart_first_s
    record = FunctionRecord.new(SPEC, 1, Instant(0.0))
    deployment = Deployment(record, launches.program(SPEC), context(tmp_path, clock, host), publish=lambda _: None)
    deployment.host_came(HELLO, [])
    task = asyncio.create_task(deployment.run())
    await asyncio.sleep(1)
    assert deployment.endpoints.next_start is None

    deployment.exited(Exited(host.spawned()[0], "exit status 1"))

    assert deployment.endpoints.next_start == pytest.approx(clock.wall() + pause_s)
    await asyncio.sleep(pause_s + 1)
    assert deployment.endpoints.next_start is None
    task.cancel()
    await asyncio.wait([task])


async def test_timer_that_fires_early_does_not_leave_a_function_without_replicas(
    loop: VirtualTimeLoop, tmp_path: Path
) -> None:
    clock, host = ScriptedClock(loop), Host()
    first_pause_s = ProcessSettings(state_dir=tmp_path).restart_first_s

    record = FunctionRecord.new(SPEC, 1, Instant(0.0))
    deployment = Deployment(record, launches.program(SPEC), context(tmp_path, clock, host), publish=lambda _: None)
    deployment.host_came(HELLO, [])
    task = asyncio.create_task(deployment.run())
    await asyncio.sleep(1)
    (instance,) = host.spawned()
    deployment.became_ready(instance)
    await asyncio.sleep(1)
    died_at = loop.time()
    deployment.exited(Exited(instance, "killed by SIGKILL"))
    await asyncio.sleep(first_pause_s / 2)

    over = died_at + first_pause_s
    clock.script += [over - 1e-4, over + 1e-4, over + 2e-4]
    await asyncio.sleep(first_pause_s)

    assert len(host.spawned()) == 2
    task.cancel()
    await asyncio.wait([task])
