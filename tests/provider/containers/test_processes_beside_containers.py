"""One provider of both, on a real engine: who is what, engines that come late, and new starts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from springtide.provider.routing.service import Sides
from springtide.provider.runtime_label import Runtime
from springtide.runtime.errors import BadInput, Unavailable
from springtide.scaler.core.catalogue import REPLICA_START
from springtide.scaler.core.label_table import RUNTIME
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from tests.container_engine import PodmanServer
from tests.container_provider import call, routed, sides_of
from tests.provider.contract.acts import spec, table_when, when_ready

HERE, BOXED, NO = (FunctionRef(DEFAULT_NAMESPACE, name) for name in ("here", "boxed", "no"))
PROCESS = spec(HERE, env_process="cat /etc/hostname /proc/self/cgroup")
CONTAINER = spec(BOXED, env_process="cat", labels={RUNTIME: "container"})


@asynccontextmanager
async def breaking_off_once(engine: Path, socket: Path, *, asked: bytes) -> AsyncIterator[asyncio.Event]:
    """The engine at another socket, but for the first connection on which this is asked."""
    broke_off, tasks = asyncio.Event(), set[asyncio.Task[None]]()

    async def pass_on(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                if asked in data and not broke_off.is_set():
                    broke_off.set()
                    break
                to.write(data)
                await to.drain()
        to.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_unix_connection(engine)
        for one in (pass_on(reader, engine_writer), pass_on(engine_reader, writer)):
            tasks.add(asyncio.create_task(one))

    async with await asyncio.start_unix_server(accept, socket):
        yield broke_off
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def deployed(sides: Sides) -> None:
    for one in (PROCESS, CONTAINER):
        await sides.provider.deploy(one)
        await when_ready(sides.provider, 1, one.ref)


async def runtimes(sides: Sides) -> dict[str, Runtime | None]:
    return {status.spec.ref.name: status.runtime for status in await sides.provider.statuses(DEFAULT_NAMESPACE)}


async def test_both_are_called_counted_and_told_secrets(podman: PodmanServer, tmp_path: Path) -> None:
    registry = CollectorRegistry()
    async with sides_of(podman, tmp_path, registry=registry) as sides:
        await sides.provider.put_secret(DEFAULT_NAMESPACE, "token", b"hunter2", replace=False)
        for ref, runtime in ((HERE, "process"), (BOXED, "container")):
            reading = "sh -c 'cat ${secret_mount_path:-/var/openfaas/secrets}/token'"
            await sides.provider.deploy(spec(ref, env_process=reading, secrets=("token",), labels={RUNTIME: runtime}))

            assert await call((await when_ready(sides.provider, 1, ref)).endpoints[0]) == "hunter2"
            assert registry.get_sample_value(f"{REPLICA_START.name}_count", {"function_name": str(ref)}) == 1
        with pytest.raises(BadInput, match=f"image localhost/no:1 cannot be pulled: .*; .* {RUNTIME}=process"):
            await sides.provider.deploy(spec(NO, image="localhost/no:1", env_process="cat"))
        assert await runtimes(sides) == {"here": Runtime.PROCESS, "boxed": Runtime.CONTAINER}
        assert set(await sides.provider.processor_use()) == {HERE, BOXED}


async def test_next_start_finds_both_where_they_were(podman: PodmanServer, tmp_path: Path) -> None:
    async with sides_of(podman, tmp_path, at_stop="keep") as sides:
        await deployed(sides)
        served = (await when_ready(sides.provider, 1, BOXED)).endpoints

    async with sides_of(podman, tmp_path) as sides:
        assert (await when_ready(sides.provider, 1, BOXED)).endpoints == served
        await when_ready(sides.provider, 1, HERE)
        assert await runtimes(sides) == {"here": Runtime.PROCESS, "boxed": Runtime.CONTAINER}


async def test_without_an_engine_processes_start_and_containers_wait_for_it(
    podman: PodmanServer, tmp_path: Path
) -> None:
    async with sides_of(podman, tmp_path, at_stop="keep") as sides:
        await deployed(sides)
        served = (await when_ready(sides.provider, 1, BOXED)).endpoints

    socket = tmp_path / "late.sock"
    late = routed(socket, tmp_path)
    await late.start()
    try:
        await when_ready(late.provider, 1, HERE)
        waiting = await late.provider.status(BOXED)
        assert waiting.runtime is Runtime.CONTAINER
        assert f"no container engine at {socket}" in str(waiting.problem)
        table = await table_when(late.provider, lambda table: BOXED in table)
        assert (table[BOXED].replicas, table[BOXED].endpoints, table[BOXED].lasting) == (1, (), False)
        with pytest.raises(Unavailable, match="no container engine"):
            await late.provider.update(CONTAINER)
        await late.provider.write(BOXED, 2, expect=None, decision=None)

        socket.symlink_to(podman.socket)

        assert set(served) <= set((await when_ready(late.provider, 2, BOXED)).endpoints)
        assert (await late.provider.status(BOXED)).problem is None
    finally:
        await late.stop()


async def test_engine_that_breaks_off_in_the_middle_of_a_start_is_no_functions_problem(
    podman: PodmanServer, tmp_path: Path
) -> None:
    async with sides_of(podman, tmp_path, at_stop="keep") as sides:
        await deployed(sides)

    async with breaking_off_once(podman.socket, tmp_path / "breaks.sock", asked=b"/images/sha256") as broke_off:
        again = routed(tmp_path / "breaks.sock", tmp_path)
        await again.start()
        try:
            await again.provider.write(BOXED, 2, expect=None, decision=None)
            await when_ready(again.provider, 2, BOXED)

            assert broke_off.is_set()
            assert (await again.provider.status(BOXED)).problem is None
        finally:
            await again.stop()


async def test_function_removed_without_an_engine_stays_removed(podman: PodmanServer, tmp_path: Path) -> None:
    async with sides_of(podman, tmp_path, at_stop="keep") as sides:
        await deployed(sides)

    socket = tmp_path / "late.sock"
    late = routed(socket, tmp_path)
    await late.start()
    try:
        await late.provider.delete(BOXED)
        socket.symlink_to(podman.socket)
        again = spec(BOXED, env_process="cat", env_vars={"colour": "blue"}, labels={RUNTIME: "container"})
        await late.provider.deploy(again)

        ready = await when_ready(late.provider, 1, BOXED)
        assert await call(ready.endpoints[0], "anew") == "anew"
        assert await runtimes(late) == {"here": Runtime.PROCESS, "boxed": Runtime.CONTAINER}
        assert (await late.provider.status(BOXED)).spec.env_vars == {"colour": "blue"}
    finally:
        await late.stop()


async def test_engine_that_goes_takes_no_process_along(podman: PodmanServer, tmp_path: Path) -> None:
    async with sides_of(podman, tmp_path) as sides:
        await deployed(sides)
        podman.kill()
        try:
            await sides.provider.write(HERE, 2, expect=None, decision=None)
            await when_ready(sides.provider, 2, HERE)
            boxed = (await when_ready(sides.provider, 1, BOXED)).endpoints[0]
            assert await call(boxed, "goes on") == "goes on"
        finally:
            podman.start()
