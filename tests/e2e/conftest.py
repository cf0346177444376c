"""A whole suite, started as a user starts it, in a folder of its own and on ports of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from springtide.cli.tools import Tools
from springtide.runtime.basic_auth import Credentials

ROOT = Path(__file__).parents[2]
START_S = 120.0
ENVIRONMENT = dict(os.environ, SPRINGTIDE_TOOLS_DIR=str(ROOT / ".tools"), upstream_timeout="2m")


@dataclass
class Running:
    """A running suite and how to talk to it."""

    process: subprocess.Popen[bytes]
    state: Path

    @property
    def run(self) -> dict[str, Any]:
        return dict(json.loads((self.state / "run.json").read_text()))

    @property
    def gateway(self) -> str:
        return str(self.run["gateway"])

    @property
    def credentials(self) -> Credentials:
        return Credentials.from_folder(self.state / "secrets")

    @property
    def prometheus(self) -> str:
        """With user and password, for it asks for them."""
        user = self.credentials
        return str(self.run["prometheus"]).replace("://", f"://{user.user}:{user.password}@")

    def client(self, timeout_s: float = 120.0) -> httpx.Client:
        user = self.credentials
        return httpx.Client(base_url=self.gateway, auth=(user.user, user.password), timeout=timeout_s)

    def async_client(self, timeout_s: float = 90.0) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=1000, max_keepalive_connections=200)
        return httpx.AsyncClient(base_url=self.gateway, timeout=timeout_s, limits=limits)

    def springtide(self, *words: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "springtide.cli", *words],
            cwd=ROOT,
            env=dict(os.environ, SPRINGTIDE_STATE_DIR=str(self.state)),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def status(self, name: str) -> dict[str, Any]:
        with self.client() as client:
            response = client.get(f"/system/function/{name}")
            response.raise_for_status()
            return dict(response.json())

    def replicas(self, name: str) -> int:
        return int(self.status(name).get("replicas", 0))

    def deploy(self, name: str, handler: Path, *, isolation: str = "sandbox", **labels: str) -> None:
        body = {
            "service": name,
            "image": "springtide/python",
            "labels": {
                "com.springtide.isolation": isolation,
                **{f"com.openfaas.scale.{key.replace('_', '-')}": value for key, value in labels.items()},
            },
            "annotations": {"com.springtide.handler": str(handler)},
        }
        with self.client() as client:
            assert client.put("/system/functions", json=body).status_code in (202, 404)
            assert client.post("/system/functions", json=body).status_code == 202
        eventually(lambda: self.status(name).get("availableReplicas", 0) >= 1, f"{name} is ready")

    def scale(self, name: str, replicas: int) -> None:
        with self.client() as client:
            response = client.post(f"/system/scale-function/{name}", json={"serviceName": name, "replicas": replicas})
            assert response.status_code == 202, response.text

    async def load(self, name: str, *, per_second: float, stop: asyncio.Event) -> dict[int, int]:
        return await load(self, name, per_second=per_second, stop=stop)

    @staticmethod
    def eventually(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        eventually(condition, what, timeout_s)

    def decisions(self, name: str) -> list[dict[str, Any]]:
        with self.client() as client:
            text = client.get("/system/scaling/decisions", params={"function": f"{name}.openfaas-fn"}).text
        return [json.loads(line) for line in text.splitlines()]


def eventually(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Poll until true; the poll interval is no part of what is tested."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except (httpx.HTTPError, OSError, ValueError, KeyError):
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.05)


_STARTED: list[Path] = []
"""State folders of the suites of this process."""

LAST_LINES = 40


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure comes what the suite told: its folder is gone when somebody looks."""
    report = yield
    if report.failed and _STARTED:
        state = _STARTED[-1]
        for log in (state.parent / f"{state.name}.log", *sorted((state / "logs").glob("*.log"))):
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            report.sections.append((f"the last of {log.name}", "\n".join(lines[-LAST_LINES:])))
    return report


@contextmanager
def running(state: Path, *options: str, **environment: str) -> Iterator[Running]:
    _STARTED.append(state)
    command = [sys.executable, "-m", "springtide.cli", "up", "--state-dir", str(state), "--gateway-port", "0",
               "--metrics-port", "0", *options]  # fmt: skip
    log = (state.parent / f"{state.name}.log").open("ab")
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT | environment, stdout=log, stderr=log)
    suite = Running(process, state)

    def answers() -> bool:
        assert process.poll() is None, Path(log.name).read_text()
        return (
            (state / "run.json").exists()
            and suite.run["pid"] == process.pid
            and (httpx.get(f"{suite.gateway}/healthz", timeout=2).status_code == 200)
        )

    try:
        eventually(answers, "the suite answers", START_S)
        yield suite
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
        log.close()


@pytest.fixture(scope="module")
def fast_suite(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    # A bound that nothing reaches: so that memory is measured against one.
    with running(tmp_path_factory.mktemp("e2e") / "state", "--fast", "--no-samples", sleep_memory="1Pi") as suite:
        yield suite


@pytest.fixture
def start_suite(tools: Tools) -> Callable[..., AbstractContextManager[Running]]:
    return running


async def load(suite: Running, name: str, *, per_second: float, stop: asyncio.Event) -> dict[int, int]:
    """Calls ``name`` at an even rate until ``stop``; how often each status came (599 for a broken connection)."""
    statuses: dict[int, int] = {}

    async def call(client: httpx.AsyncClient) -> None:
        try:
            status = (await client.get(f"/function/{name}")).status_code
        except httpx.HTTPError:
            status = 599
        statuses[status] = statuses.get(status, 0) + 1

    async with suite.async_client() as client, asyncio.TaskGroup() as calls:
        while not stop.is_set():
            calls.create_task(call(client))
            await asyncio.sleep(1 / per_second)
    return statuses
