"""The parts under test as processes of their own, and what is asked of them over the REST API."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.children import PAGE_BYTES, WITHOUT_WALLS, Child, child, free_port, python
from bench.soak.tally import Log
from springtide.runtime.basic_auth import PASSWORD_FILE, USER_FILE, Credentials
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE

HANDLER = Path(__file__).parent / "function"
API_DEADLINE_S = 30.0
AWAY = (502, 503, 504)
REPEAT_S = 0.5
GRACE = "20s"
"""For calls in flight when something stops; the longest of ours takes two seconds."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process and all below it."""

    resident_mib: float
    descriptors: int
    processes: int


class Provider:
    """A process that can be killed and started again. Its host and the replicas go on meanwhile."""

    def __init__(self, command: Sequence[str], port: int, *, state: Path, log: Path) -> None:
        self.state = state
        self._command, self._port, self._log = command, port, log
        self._running = contextlib.ExitStack()

    def start(self) -> None:
        """Return once it listens. Raises RuntimeError."""
        self.process = self._running.enter_context(child("provider", self._command, port=self._port, log=self._log))

    def stop(self) -> None:
        self._running.close()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self._running.close()

    def host(self) -> Child:
        """The function host, whoever started it. Raises ProcessLookupError without one."""
        ours = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._is_host(entry)}
        for pid in ours:  # its replicas are forks of it
            with contextlib.suppress(OSError):
                if int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) not in ours:
                    return Child(pid, "host")
        raise ProcessLookupError("no function host")

    def record(self, function: str) -> Path:
        """The file that holds what a function is."""
        return self.state / "functions" / f"{function}.{DEFAULT_NAMESPACE}.json"

    def _is_host(self, process: Path) -> bool:
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return b"springtide.provider.process.host" in words and str(self.state).encode() in words


@dataclass(frozen=True, slots=True)
class Parts:
    gateway: Child
    provider: Provider
    port: int
    metrics_port: int
    credentials: Credentials

    def workers(self) -> list[int]:
        """The gateway's, when it is a master with several."""
        below = [pid for pid in self.gateway.tree() if pid != self.gateway.pid]
        return [pid for pid in below if Child(pid, "worker").tree() == [pid]]

    def trees(self) -> dict[str, set[int]]:
        """All processes, by part; a host may be nobody's child by now."""
        provider = {pid for part in (self.provider.process, self.provider.host()) for pid in part.tree()}
        return {"gateway": set(self.gateway.tree()), "provider": provider}

    @contextlib.asynccontextmanager
    async def api(self, log: Log) -> AsyncIterator[Api]:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            auth=(self.credentials.user, self.credentials.password),
            timeout=API_DEADLINE_S,
            limits=limits,
            trust_env=False,
        ) as client:
            yield Api(client, f"http://127.0.0.1:{self.metrics_port}/metrics", log)


class Api:
    """The system API as a person uses it, through the gateway: who, while parts are in trouble, tries again."""

    def __init__(self, client: httpx.AsyncClient, metrics_url: str, log: Log) -> None:
        self._client, self._metrics_url, self._log = client, metrics_url, log

    async def deploy(self, name: str, generation: int) -> None:
        """Create the function, or replace it by the next generation."""
        body = {
            "service": name,
            "image": "springtide/python",
            "labels": {"com.openfaas.scale.max": "8", **WITHOUT_WALLS},
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
        while True:
            try:
                response = await self._client.request(method, path, json=body)
                if response.status_code not in AWAY or not self._log.troubled():
                    return response.raise_for_status()
            except httpx.TransportError:
                if not self._log.troubled():
                    raise
            await asyncio.sleep(REPEAT_S)


@contextlib.contextmanager
def own_disk(folder: Path, *, mib: int = 64) -> Iterator[None]:
    """``folder`` as a small disk of its own, where we may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "soak", str(folder)]
    mounted = os.getuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def running(folder: Path, *, workers: int) -> Iterator[Parts]:
    """The provider of processes, with a small disk of its own, and a gateway."""
    with own_disk(folder / "provider"), together(folder, ("provider",), workers=workers) as parts:
        yield parts


@contextlib.contextmanager
def together(folder: Path, provider_words: Sequence[str], *, workers: int) -> Iterator[Parts]:
    """A provider and a gateway, as ``springtide up`` starts them but without an alert path.

    ``provider_words`` are the command that runs the provider, and what it alone is told.
    """
    port, metrics_port, provider_port = free_port(), free_port(), free_port()
    state, secrets_folder = folder / "provider", folder / "secrets"
    secrets_folder.mkdir()
    (secrets_folder / USER_FILE).write_text("admin")
    (secrets_folder / PASSWORD_FILE).write_text(secrets.token_hex(16))
    auth = ("--secret-mount-path", str(secrets_folder))
    provider_command = python(
        "springtide.cli",
        *(*provider_words, *auth, "--port", str(provider_port), "--data-dir", str(state)),
        *("--function-grace", GRACE),
    )
    gateway_command = python(
        "springtide.cli",
        *("gateway", *auth, "--port", str(port), "--metrics-port", str(metrics_port)),
        *("--provider-url", f"http://127.0.0.1:{provider_port}", "--grace", GRACE),
        *("--workers", str(workers)),
    )
    with contextlib.ExitStack() as stack:
        provider = Provider(provider_command, provider_port, state=state, log=folder / "provider.log")
        stack.callback(provider.stop)
        provider.start()
        gateway = stack.enter_context(child("gateway", gateway_command, port=port, log=folder / "gateway.log"))
        yield Parts(gateway, provider, port, metrics_port, Credentials.from_folder(secrets_folder))


def usage(pids: Iterable[int]) -> Usage:
    """What these processes use now; who ends meanwhile is left out."""
    resident, descriptors, processes = 0, 0, 0
    for one in pids:
        with contextlib.suppress(OSError):
            resident += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * PAGE_BYTES
            descriptors += sum(1 for _ in Path(f"/proc/{one}/fd").iterdir())
            processes += 1
    return Usage(resident / 2**20, descriptors, processes)
