"""Provider and engine are killed, apart and together: what runs goes on, and in the end there is what is wanted."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

from prometheus_client import CollectorRegistry

from bench.containers.bed import container_bed, deploy_all
from bench.containers.troubles import LoadOptions, Troubles
from springtide.provider.containers import container_labels, left_processes
from springtide.provider.containers.container_program import ContainerProgram, Sleep
from springtide.provider.containers.container_replica import ContainerReplica
from springtide.provider.containers.deployment import Deployment
from springtide.provider.containers.engine.client import Container
from springtide.provider.containers.fleet import Fleet
from springtide.provider.containers.function_container import container_name
from springtide.provider.containers.probes import Probes
from springtide.provider.containers.service import ContainerDeps, build
from springtide.provider.containers.settings import ContainerSettings
from springtide.provider.machine.records import FunctionRecord
from springtide.provider.process.settings import ProcessSettings
from springtide.runtime.clock import SystemClock
from springtide.scaler.core.vocabulary import Instant
from tests.container_engine import PodmanServer
from tests.container_provider import Provider, call, containers_of, eventually
from tests.provider.containers.test_container_provider import changed, containers
from tests.provider.contract.acts import ECHO, spec, when_ready

SHORT = LoadOptions(callers=4, load_s=0.5, away_s=0.5)
PROGRAM = ContainerProgram(image="sha256:0", environment={}, max_inflight=0, probes=Probes(), sleep=Sleep.STOP)


def deployment(provider: Provider) -> Deployment:
    found = provider._fleet.deployments[ECHO]
    assert isinstance(found, Deployment)
    return found


async def test_no_call_is_lost_and_no_orphan_stays_whatever_happens(podman: PodmanServer, tmp_path: Path) -> None:
    """Under load: an update, then the provider killed while replicas start, then the engine's service."""
    async with container_bed(tmp_path, podman) as bed:
        await deploy_all(bed, ["one"])
        troubles = Troubles(bed, ["one"], SHORT)

        updated = await troubles.rolling_update()
        killed = [await troubles.provider_killed(), await troubles.engine_killed()]

        assert troubles.lost == []
        assert [row["orphans"] for row in (updated, *killed)] == [0, 0, 0]
        assert updated["run_still"] == 0
        assert [row["run_still"] for row in killed] == [row["ran_before"] for row in killed]


async def test_replica_that_ends_while_the_engine_is_away_is_replaced_once_it_is_back(
    podman: PodmanServer, tmp_path: Path
) -> None:
    async with containers_of(podman, tmp_path, restart_first_s=0.05) as provider:
        await provider.deploy(spec(env_process="cat"))
        before = (await when_ready(provider, 1)).endpoints[0]
        (replica,) = deployment(provider).replicas.values()
        podman.kill()
        try:
            os.kill(replica.pid, signal.SIGKILL)
        finally:
            podman.start()

        await eventually(lambda: changed(provider, before))
        assert await call((await when_ready(provider, 1)).endpoints[0], "again") == "again"


async def test_processes_of_a_container_that_the_engine_does_not_know_end(podman: PodmanServer, tmp_path: Path) -> None:
    """Podman, killed in the middle of a start, leaves such."""
    async with containers_of(podman, tmp_path) as provider:
        fleet = provider._fleet
        assert isinstance(fleet, Fleet)
        await provider.deploy(spec(env_process="cat"))
        await when_ready(provider, 1)
        (known,) = left_processes.watchers(fleet._suite)
        name, script = container_name("one-1-a", fleet._suite), "sleep 600 & wait"
        words = ["/usr/bin/conmon", "-c", script, "-n", name]  # to us the script is the container's id
        with subprocess.Popen(words, executable="/bin/sh") as left:
            try:
                await eventually(lambda: watched(fleet, {known, script}))
                for _ in range(2):
                    await fleet._look_through()
                await asyncio.to_thread(left.wait, 60)
            finally:
                left.kill()
        assert set(left_processes.watchers(fleet._suite)) == {known}


async def watched(fleet: Fleet, wanted: set[str]) -> bool:
    return set(left_processes.watchers(fleet._suite)) == wanted


async def test_function_deleted_while_the_engine_is_away_does_not_come_back(
    podman: PodmanServer, tmp_path: Path
) -> None:
    async with containers_of(podman, tmp_path, at_stop="keep") as provider:
        await provider.deploy(spec(env_process="cat"))
        await when_ready(provider, 1)
        gone = deployment(provider)
        podman.kill()
        try:
            await provider.delete(ECHO)
            await eventually(lambda: nothing_of(provider, gone))
        finally:
            podman.start()
    assert [state for state, _ in await containers(podman, provider)] == ["running"]

    async with containers_of(podman, tmp_path) as provider:
        assert await provider.list_functions() == []


async def nothing_of(provider: Provider, gone: Deployment) -> bool:
    return gone not in provider._fleet.all()


async def sleeps(one: Deployment) -> bool:
    return bool(one.sleepers)


async def test_container_that_is_about_to_be_started_has_not_ended(podman: PodmanServer, tmp_path: Path) -> None:
    """Whoever looks through all containers meanwhile finds it stopped."""
    async with containers_of(podman, tmp_path) as provider:
        await provider.deploy(spec())
        await when_ready(provider, 1)
        await provider.write(ECHO, 0, expect=None, decision=None)
        one = deployment(provider)
        await eventually(lambda: sleeps(one))
        (sleeper,) = one.sleepers.values()
        starting = ContainerReplica("starting", 1, 0.0, 1, container=sleeper.container)
        one.replicas["starting"] = starting

        await one.container_ended(sleeper.container)

        assert one.replicas.pop("starting") is starting


async def test_what_runs_is_taken_over_though_the_engine_goes_away_meanwhile(tmp_path: Path) -> None:
    """Between its list and what it is asked of each: calls may be in them."""
    deps = ContainerDeps(SystemClock(), CollectorRegistry())
    settings = ContainerSettings(engine=f"unix://{tmp_path}/none.sock")
    fleet = build(settings, ProcessSettings(state_dir=tmp_path), deps)._fleet
    assert isinstance(fleet, Fleet)
    record = FunctionRecord.new(spec(), 1, Instant(0.0))
    one = fleet._placed(record, PROGRAM)
    labels = container_labels.labels_of(record, fleet._suite)
    name = container_name("echo-1-a", fleet._suite)

    await one.adopt([Container(id="a", name=name, state="running", labels=labels, address="127.0.0.1")], written_at=0.0)
    await one.container_ended("a")

    assert list(one.replicas) == ["echo-1-a"]
    assert one.problem is None
    await fleet._tasks.cancel()
    await one.log.close()
