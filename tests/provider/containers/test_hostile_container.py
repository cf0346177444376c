"""The hostile function of ``tests/provider/process`` in a container: what each of its attempts comes to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx

from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from springtide.wire.endpoint_stream import Endpoint
from tests.container_engine import PodmanServer
from tests.container_provider import Provider, containers_of, eventually
from tests.provider.contract.acts import spec, when_ready
from tests.provider.process.hostile import ATTEMPTS
from tests.provider.process.world import alive

MEBIBYTE = 1 << 20
TMP_BYTES = 64 * MEBIBYTE
MAX_PROCESSES, MANY_PROCESSES = 100, 600
LIMIT, MORE_BYTES = "256Mi", 600 * MEBIBYTE
BY_SCRIPT = "python3 -"
"""The attempts come as a script, for the image has no handler."""


async def hostile(provider: Provider, name: str, **changes: Any) -> Endpoint:
    ref = FunctionRef(DEFAULT_NAMESPACE, name)
    await provider.deploy(spec(ref, env_process=BY_SCRIPT, **changes))
    return (await when_ready(provider, 1, ref)).endpoints[0]


async def tries(endpoint: Endpoint, attempt: str, **given: object) -> list[Any]:
    """``got`` or ``not``, and what."""
    asked = json.dumps({"attempt": attempt, "with": given})
    script = f"{ATTEMPTS}\nclass Event: body = {asked!r}\nprint(handle(Event, None))\n"
    async with httpx.AsyncClient(trust_env=False, timeout=120) as client:
        answer = await client.post(f"http://{endpoint.host}:{endpoint.port}/", content=script)
    try:
        said: list[Any] = json.loads(answer.text)
    except ValueError:
        return ["ended", f"{answer.status_code} {answer.text[:200]}"]
    return said


async def test_hostile_function_reaches_nothing_beyond_its_container(podman: PodmanServer, tmp_path: Path) -> None:
    (tmp_path / "operators").write_text("the password")
    victim = subprocess.Popen(["sleep", "600"], env={"OPERATORS": "secret"})
    mark = f"springtide-test-daemon-{os.getpid()}"
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            async with containers_of(podman, tmp_path / "state", replica_processes=MAX_PROCESSES) as provider:
                await provider.put_secret(DEFAULT_NAMESPACE, "theirs", b"other's", replace=False)
                owner = FunctionRef(DEFAULT_NAMESPACE, "neighbour")
                await provider.deploy(spec(owner, secrets=("theirs",)))
                await when_ready(provider, 1, owner)
                (replica,) = provider._fleet.deployments[owner].replicas.values()
                endpoint = await hostile(provider, "hostile")

                came = {
                    "its own": await tries(endpoint, "listing", path="/usr"),
                    "their secret": await tries(endpoint, "read", path="/var/openfaas/secrets/theirs"),
                    "their secret's file": await tries(
                        endpoint, "read", path=str(tmp_path / f"state/secrets/{DEFAULT_NAMESPACE}/theirs")
                    ),
                    "password": await tries(endpoint, "read", path=str(tmp_path / "operators")),
                    "state": await tries(endpoint, "listing", path=str(tmp_path / "state")),
                    "environment": await tries(endpoint, "environment", pid=victim.pid),
                    "neighbour's environment": await tries(endpoint, "environment", pid=replica.pid),
                    "port": await tries(endpoint, "call", port=port),
                    "ptrace": await tries(endpoint, "traced", pid=replica.pid),
                    "signal": await tries(endpoint, "signalled", pid=os.getpid()),
                    "processes": await tries(endpoint, "processes", count=MANY_PROCESSES),
                    "daemon": await tries(endpoint, "daemon", mark=mark),
                }
                assert {what: result[0] for what, result in came.items()} == {
                    what: "got" if what in ("its own", "daemon") else "not" for what in came
                }, came
                assert marked(mark)
                await provider.delete(FunctionRef(DEFAULT_NAMESPACE, "hostile"))
                await eventually(lambda: ended(mark))
    finally:
        victim.kill()
        victim.wait()


def marked(mark: str) -> list[int]:
    """Processes of this machine, in whatever container."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_text(errors="replace")
        except OSError:
            continue
        if mark in words and alive(int(entry.name)):
            found.append(int(entry.name))
    return found


async def ended(mark: str) -> bool:
    return not marked(mark)


async def test_hostile_function_fills_memory_and_disk_up_to_its_limits(podman: PodmanServer, tmp_path: Path) -> None:
    async with containers_of(podman, tmp_path) as provider:
        free = await hostile(provider, "writes")
        bound = await hostile(provider, "bound", read_only_root_filesystem=True, limits={"memory": LIMIT})

        assert await tries(free, "fill", path="/tmp/full", size=2 * TMP_BYTES) == ["got", 2 * TMP_BYTES]
        assert (await tries(bound, "fill", path="/opt/full", size=MEBIBYTE))[0] == "not"
        assert (await tries(bound, "fill", path="/tmp/full", size=2 * TMP_BYTES))[0] == "not"

        greedy = await tries(bound, "memory", size=MORE_BYTES, hold_s=0)
        assert greedy[0] in ("ended", "not"), greedy
