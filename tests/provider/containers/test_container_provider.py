"""What containers have beyond the contract, on a real engine."""

from __future__ import annotations

import base64
import json
import shutil
import socket
from pathlib import Path

from springtide.provider.containers import container_labels
from springtide.provider.containers.engine.client import Engine
from springtide.provider.containers.function_container import network_name
from springtide.scaler.core.label_table import SLEEP
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE
from springtide.wire.endpoint_stream import Endpoint
from tests.container_engine import PodmanServer
from tests.container_provider import Provider, call, containers_of, eventually
from tests.provider.containers.conftest import connected
from tests.provider.contract.acts import ECHO, spec, when_ready

LOGIN = json.dumps({"auths": {"registry.test": {"auth": base64.b64encode(b"me:hunter2").decode()}}}).encode()


async def containers(podman: PodmanServer, provider: Provider) -> list[tuple[str, str]]:
    """State and image of each of the suite's."""
    engine = Engine(podman.socket)
    await engine.connect()
    try:
        found = await engine.containers(f"com.springtide.container.suite={provider._fleet._suite}")  # type: ignore[attr-defined]
        return sorted((one.state, one.name.rpartition("-")[0].rpartition("-")[2]) for one in found)
    finally:
        await engine.aclose()


async def test_running_containers_are_taken_over_by_the_next_provider(podman: PodmanServer, tmp_path: Path) -> None:
    async with containers_of(podman, tmp_path, at_stop="keep") as provider:
        await provider.deploy(spec(env_process="cat"))
        before = await when_ready(provider, 1)
        await provider.deploy(spec(env_process="cat", env_vars={"colour": "blue"}))
        await eventually(lambda: changed(provider, before.endpoints[0]))
        served = await when_ready(provider, 1)
    assert await call(served.endpoints[0], "still there") == "still there"

    async with containers_of(podman, tmp_path) as provider:
        assert (await when_ready(provider, 1)).endpoints == served.endpoints


async def changed(provider: Provider, before: Endpoint) -> bool:
    return before not in (await when_ready(provider, 1)).endpoints


async def test_provider_that_lost_its_state_finds_its_functions(podman: PodmanServer, tmp_path: Path) -> None:
    async with containers_of(podman, tmp_path / "state", at_stop="keep") as provider:
        await provider.deploy(spec(annotations={"topic": "orders"}))
        served = await when_ready(provider, 1)
    shutil.rmtree(tmp_path / "state")

    async with containers_of(podman, tmp_path / "state") as provider:
        found = await when_ready(provider, 1)
        assert found.endpoints == served.endpoints
        assert found.annotations == {"topic": "orders"}
        assert (await provider.status(ECHO)).spec.env_process == "tee /dev/stderr"


async def test_secret_that_was_lost_with_the_state_is_named_until_it_is_there_again(
    podman: PodmanServer, tmp_path: Path
) -> None:
    wanted = spec(secrets=("token",))
    async with containers_of(podman, tmp_path / "state", at_stop="keep") as provider:
        await provider.put_secret(DEFAULT_NAMESPACE, "token", b"hush", replace=False)
        await provider.deploy(wanted)
        served = await when_ready(provider, 1)
    shutil.rmtree(tmp_path / "state")

    async with containers_of(podman, tmp_path / "state") as provider:
        assert (await when_ready(provider, 1)).endpoints == served.endpoints
        problem = (await provider.status(ECHO)).problem or ""
        assert problem.startswith(f"secrets: token not found in {DEFAULT_NAMESPACE}")
        assert problem.endswith("create them again, then deploy the function again")

        await provider.put_secret(DEFAULT_NAMESPACE, "token", b"new", replace=False)
        await provider.deploy(wanted)
        assert (await provider.status(ECHO)).problem is None


async def test_network_that_one_who_was_killed_left_goes_at_the_next_start(
    podman: PodmanServer, tmp_path: Path
) -> None:
    suite = container_labels.suite_of(tmp_path)
    async with connected(podman) as engine:
        await engine.create_network("springtide-left", container_labels.network_labels("gone", suite))
        async with containers_of(podman, tmp_path) as provider:
            await provider.deploy(spec())
            await when_ready(provider, 1)
            own = network_name(DEFAULT_NAMESPACE, suite)

            await eventually(lambda: networks(engine, suite, [own]))


async def networks(engine: Engine, suite: str, wanted: list[str]) -> bool:
    return [*await engine.networks(container_labels.selector(suite))] == wanted


async def test_stopped_provider_leaves_stopped_containers_that_the_next_one_starts(
    podman: PodmanServer, tmp_path: Path
) -> None:
    async with containers_of(podman, tmp_path, at_stop="stop") as provider:
        await provider.deploy(spec(env_process="cat"))
        await when_ready(provider, 1)
    assert [state for state, _ in await containers(podman, provider)] == ["exited"]

    async with containers_of(podman, tmp_path) as provider:
        assert await call((await when_ready(provider, 1)).endpoints[0], "again") == "again"
    assert await containers(podman, provider) == []


async def test_function_that_sleeps_paused_goes_on_in_the_same_process(podman: PodmanServer, tmp_path: Path) -> None:
    async with containers_of(podman, tmp_path) as provider:
        await provider.deploy(spec(env_process="cat", labels={SLEEP: "pause"}))
        awake = await when_ready(provider, 1)

        await provider.write(ECHO, 0, expect=None, decision=None)
        await eventually(lambda: states(podman, provider, ["paused"]))
        await provider.write(ECHO, 1, expect=None, decision=None)

        assert (await when_ready(provider, 1)).endpoints == awake.endpoints
        assert await call(awake.endpoints[0], "thawed") == "thawed"


async def states(podman: PodmanServer, provider: Provider, wanted: list[str]) -> bool:
    return [state for state, _ in await containers(podman, provider)] == wanted


async def test_function_sleeps_as_a_stopped_container_of_its_newest_generation(
    podman: PodmanServer, tmp_path: Path
) -> None:
    async with containers_of(podman, tmp_path) as provider:
        await provider.deploy(spec())
        await when_ready(provider, 1)
        await provider.write(ECHO, 0, expect=None, decision=None)
        await eventually(lambda: states(podman, provider, ["exited"]))

        await provider.update(spec(env_process="cat"))

        await eventually(lambda: states(podman, provider, ["created"]))
        assert [generation for _, generation in await containers(podman, provider)] == ["2"]


async def test_container_that_ends_is_replaced(podman: PodmanServer, tmp_path: Path) -> None:
    async with containers_of(podman, tmp_path, restart_first_s=0.05) as provider:
        await provider.deploy(spec(env_process="sh"))
        before = (await when_ready(provider, 1)).endpoints[0]
        podman.run("kill", f"springtide-{provider._fleet._suite[:6]}-{before.instance}")  # type: ignore[attr-defined]

        await eventually(lambda: changed(provider, before))


async def test_secrets_are_files_and_logins_of_registries_are_not(podman: PodmanServer, tmp_path: Path) -> None:
    async with containers_of(podman, tmp_path) as provider:
        await provider.put_secret(DEFAULT_NAMESPACE, "token", b"hush", replace=False)
        await provider.put_secret(DEFAULT_NAMESPACE, "registry", LOGIN, replace=False)
        await provider.deploy(spec(env_process="sh", secrets=("token", "registry")))
        endpoint = (await when_ready(provider, 1)).endpoints[0]

        assert await call(endpoint, "ls /var/openfaas/secrets; cat /var/openfaas/secrets/token") == "token\nhush"
        await provider.put_secret(DEFAULT_NAMESPACE, "token", b"new", replace=True)
        await provider.put_secret(DEFAULT_NAMESPACE, "registry", LOGIN, replace=True)
        assert await call(endpoint, "ls /var/openfaas/secrets; cat /var/openfaas/secrets/token") == "token\nnew"


async def test_container_may_little(podman: PodmanServer, tmp_path: Path) -> None:
    """No capability, no other privilege, no root to write to, and none of the host's loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with containers_of(podman, tmp_path) as provider:
            await provider.deploy(spec(env_process="sh", read_only_root_filesystem=True, limits={"memory": "128Mi"}))
            endpoint = (await when_ready(provider, 1)).endpoints[0]
            tries = (
                "head -n 60 /proc/self/status; touch /opt/new 2>&1; touch /tmp/new && echo tmp; "
                f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 3)' 2>&1 | tail -n 1; "
                f'python3 -c \'import socket,struct; g=[l.split()[2] for l in open("/proc/net/route") if l.split()[1]'
                f'=="00000000"][0]; a=socket.inet_ntoa(struct.pack("<L",int(g,16))); '
                f"socket.create_connection((a, {port}), 3)' 2>&1 | tail -n 1; true"
            )
            said = await call(endpoint, tries.replace("tail -n 1", "head -c 4000"))

    assert "CapEff:\t0000000000000000" in said
    assert "NoNewPrivs:\t1" in said
    assert "Read-only file system" in said
    assert "\ntmp\n" in said
    assert said.count("ConnectionRefusedError") + said.count("TimeoutError") == 2


async def test_calls_go_on_while_the_engine_is_away(podman: PodmanServer, tmp_path: Path) -> None:
    async with containers_of(podman, tmp_path) as provider:
        await provider.deploy(spec(env_process="cat"))
        served = await when_ready(provider, 1)
        podman.kill()
        try:
            assert await call(served.endpoints[0], "alone") == "alone"
        finally:
            podman.start()

        await provider.write(ECHO, 2, expect=None, decision=None)
        assert set(served.endpoints) < set((await when_ready(provider, 2)).endpoints)
