"""The parts under test as processes of their own, and what is asked of them over the REST API."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.children import PAGE_BYTES, Child, child, free_port, python
from springtide.runtime.basic_auth import PASSWORD_FILE, USER_FILE, Credentials
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE

HANDLER = Path(__file__).parent / "function"
API_DEADLINE_S = 30.0
GRACE = "20s"
"""For calls in flight when something stops; the longest of ours takes two seconds."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process and all below it."""

    resident_mib: float
    descriptors: int
    processes: int


@dataclass(frozen=True, slots=True)
class Parts:
    gateway: Child
    provider: Child
    port: int
    metrics_port: int
    credentials: Credentials

    @contextlib.asynccontextmanager
    async def api(self) -> AsyncIterator[Api]:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            auth=(self.credentials.user, self.credentials.password),
            timeout=API_DEADLINE_S,
            limits=limits,
            trust_env=False,
        ) as client:
            yield Api(client, f"http://127.0.0.1:{self.metrics_port}/metrics")


class Api:
    """The system API as a person uses it, through the gateway."""

    def __init__(self, client: httpx.AsyncClient, metrics_url: str) -> None:
        self._client, self._metrics_url = client, metrics_url

    async def deploy(self, name: str, generation: int) -> None:
        """Create the function, or replace it by the next generation."""
        body = {
            "service": name,
            "image": "springtide/python",
            "labels": {"com.openfaas.scale.max": "8"},
            "annotations": {"com.springtide.handler": str(HANDLER)},
            "envVars": {"GENERATION": str(generation)},
        }
        await self._ask("PUT" if generation else "POST", "/system/functions", body)

    async def scale(self, name: str, replicas: int) -> None:
        await self._ask("POST", f"/system/scale-function/{name}", {"serviceName": name, "replicas": replicas})

    async def counts(self, name: str) -> tuple[int, int]:
        """Replicas wanted, and those that answer."""
        status = (await self._ask("GET", f"/system/function/{name}")).json()
        return status.get("replicas", 0), status.get("availableReplicas", 0)

    async def decisions(self, name: str) -> list[Any]:
        """Who changed the function's count lately, and why."""
        response = await self._ask("GET", f"/system/scaling/decisions?function={name}.{DEFAULT_NAMESPACE}")
        return [json.loads(line) for line in response.text.splitlines()]

    async def metric(self, name: str, labels: str = "") -> float:
        """The sum of the gateway's series of this name whose labels contain ``labels``."""
        deadline = time.monotonic() + API_DEADLINE_S
        while (response := await self._client.get(self._metrics_url)).status_code == 503:  # workers are starting
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        text = response.raise_for_status().text
        series = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")) and labels in line)
        return sum(float(line.rpartition(" ")[2]) for line in series)

    async def _ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        response = await self._client.request(method, path, json=body)
        return response.raise_for_status()


@contextlib.contextmanager
def running(folder: Path, *, workers: int) -> Iterator[Parts]:
    """A provider and a gateway, as ``springtide up`` starts them but without an alert path."""
    port, metrics_port, provider_port = free_port(), free_port(), free_port()
    secrets_folder = folder / "secrets"
    secrets_folder.mkdir()
    (secrets_folder / USER_FILE).write_text("admin")
    (secrets_folder / PASSWORD_FILE).write_text(secrets.token_hex(16))
    auth = ("--secret-mount-path", str(secrets_folder))
    provider = python(
        "springtide.cli",
        *("provider", *auth, "--port", str(provider_port), "--data-dir", str(folder / "provider")),
        *("--function-grace", GRACE),
    )
    gateway = python(
        "springtide.cli",
        *("gateway", *auth, "--port", str(port), "--metrics-port", str(metrics_port)),
        *("--provider-url", f"http://127.0.0.1:{provider_port}", "--grace", GRACE),
        *("--workers", str(workers)),
    )
    with (
        child("provider", provider, port=provider_port, log=folder / "provider.log") as provider_process,
        child("gateway", gateway, port=port, log=folder / "gateway.log") as gateway_process,
    ):
        credentials = Credentials.from_folder(secrets_folder)
        yield Parts(gateway_process, provider_process, port, metrics_port, credentials)


def usage(process: Child) -> Usage:
    """What a process and everything below it uses now; who ends meanwhile is left out."""
    resident, descriptors, processes = 0, 0, 0
    for one in process.tree():
        with contextlib.suppress(OSError):
            resident += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * PAGE_BYTES
            descriptors += sum(1 for _ in Path(f"/proc/{one}/fd").iterdir())
            processes += 1
    return Usage(resident / 2**20, descriptors, processes)
