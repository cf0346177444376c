"""A cluster, the provider and a gateway, each a process of its own, as they run for users."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.children import Child, child, free_port, python

NAMESPACE = "openfaas-fn"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The emulator's process."""

    process: asyncio.subprocess.Process
    url: str

    async def do(self, deed: str, /, **how: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": deed, **how}).encode() + b"\n")
        return json.loads(await self.process.stdout.readline())["answer"]


@dataclass(frozen=True, slots=True)
class Suite:
    cluster: Cluster
    provider: Child
    api: httpx.AsyncClient
    """Of the provider."""
    gateway_port: int

    async def deploy(self, name: str, image: str, **more: Any) -> None:
        body = {"service": name, "image": image, "namespace": NAMESPACE, **more}
        (await self.api.post("/system/functions", json=body)).raise_for_status()

    async def scale(self, name: str, replicas: int) -> int:
        """The answer's status."""
        return (await self.api.post(f"/system/scale-function/{name}", json={"replicas": replicas})).status_code

    async def status(self, name: str) -> dict[str, Any]:
        value: dict[str, Any] = (await self.api.get(f"/system/function/{name}")).raise_for_status().json()
        return value


@contextlib.asynccontextmanager
async def running(settings: dict[str, Any], *, provider_flags: tuple[str, ...] = ()) -> AsyncIterator[Suite]:
    with tempfile.TemporaryDirectory(prefix="springtide-bench-") as folder, contextlib.ExitStack() as stack:
        logs, kubeconfig = Path(folder), Path(folder) / "kubeconfig"
        async with _cluster(kubeconfig, settings) as cluster:
            provider_port, gateway_port, metrics_port = free_port(), free_port(), free_port()
            flags = ("--kubeconfig", str(kubeconfig), "--port", str(provider_port), "--no-basic-auth", *provider_flags)
            provider = stack.enter_context(
                child(
                    "provider",
                    python("springtide.cli", "kubernetes-provider", *flags),
                    port=provider_port,
                    log=logs / "provider.log",
                )
            )
            provider_url = f"http://127.0.0.1:{provider_port}"
            options = {"port": gateway_port, "metrics_port": metrics_port, "provider_url": provider_url}
            stack.enter_context(
                child(
                    "gateway",
                    python("bench.gateway_child", json.dumps(options)),
                    port=gateway_port,
                    log=logs / "gateway.log",
                )
            )
            async with httpx.AsyncClient(base_url=provider_url, trust_env=False, timeout=60.0) as api:
                try:
                    yield Suite(cluster, provider, api, gateway_port)
                except BaseException:
                    sys.stderr.write((logs / "provider.log").read_text(errors="replace")[-5000:])
                    raise


@contextlib.asynccontextmanager
async def _cluster(kubeconfig: Path, settings: dict[str, Any]) -> AsyncIterator[Cluster]:
    process = await asyncio.create_subprocess_exec(
        *python("bench.kubernetes.cluster_child", str(kubeconfig), json.dumps(settings)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = await process.stdout.readline()
        if not line:
            raise RuntimeError("the cluster did not start")
        yield Cluster(process, json.loads(line)["url"])
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()


def percentile(values: list[float], share: float) -> float:
    """The least value that ``share`` of all do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]
