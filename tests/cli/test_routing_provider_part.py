"""The part of ``springtide up --provider process,containers``, on a machine without a container engine."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.debian_programs import Program
from tests.free_ports import free_port
from tests.server_process import ServerProcess

LABEL = "com.springtide.runtime"
Json = dict[str, object]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[httpx.Client]:
    port = free_port()
    words = [
        *("-P", "-m", "springtide.cli", "routing-provider", "--port", str(port), "--no-basic-auth"),
        *("--data-dir", str(tmp_path / "provider"), "--container-data-dir", str(tmp_path / "containers")),
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as client:

        def answers() -> bool:
            try:
                return client.get("/healthz").is_success
            except httpx.TransportError:
                return False

        part = ServerProcess(Program(Path(sys.executable), environ), words, tmp_path, answers)
        with part.running():
            yield client
            part.kill(signal.SIGTERM)


def test_processes_run_and_what_needs_the_engine_is_refused_with_where_it_was_looked_for(
    api: httpx.Client, tmp_path: Path
) -> None:
    function = {"service": "echo", "image": "any", "envProcess": "cat"}

    assert api.post("/system/functions", json=function).status_code == 202
    refused = api.post("/system/functions", json=function | {"service": "boxed", "labels": {LABEL: "container"}})
    wrong = api.post("/system/functions", json=function | {"labels": {LABEL: "pod"}})

    assert (refused.status_code, f"no container engine at {tmp_path}/no.sock" in refused.text) == (503, True)
    assert (wrong.status_code, wrong.text.strip()) == (400, f"{LABEL}='pod': write process or container")
    listed: list[Json] = api.get("/system/functions").json()
    assert [(each["name"], each["runtime"]) for each in listed] == [("echo", "process")]
    until = time.monotonic() + 120
    while (called := api.post("/function/echo", content="hello")).status_code == 503 and time.monotonic() < until:
        time.sleep(0.05)
    assert called.text == "hello"
    assert api.get("/system/info").json()["orchestration"] == "process,containers"
    assert 'provider_replica_restarts_total{function_name="echo.openfaas-fn"} 0.0' in api.get("/metrics").text
