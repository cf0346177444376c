"""The provider of containers over a test's engine; what it made is gone with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from springtide.provider.containers.container_program import ContainerProgram
from springtide.provider.containers.engine.client import Engine
from springtide.provider.containers.service import ContainerDeps, build
from springtide.provider.containers.settings import ContainerSettings
from springtide.provider.machine.provider import MachineProvider
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.routing.provider import Local
from springtide.provider.routing.service import RoutingDeps, Sides
from springtide.provider.routing.service import build as build_sides
from springtide.runtime.clock import SystemClock
from springtide.scaler.core.ownership import Scalers
from springtide.wire.endpoint_stream import Endpoint
from tests.container_engine import PodmanServer, load_function_image

Provider = MachineProvider[ContainerProgram]
QUICK: dict[str, Any] = {"grace_s": 5.0, "linger_s": 0.0}


def provider_of(podman: PodmanServer, folder: Path, *, at_stop: str = "remove", **machine: Any) -> Provider:
    return build(
        ContainerSettings(engine=f"unix://{podman.socket}", at_stop=at_stop),
        ProcessSettings(state_dir=folder, **{**QUICK, **machine}),
        ContainerDeps(SystemClock(), CollectorRegistry(), scalers=Scalers(loop=True)),
    )


def routed(
    socket: Path,
    folder: Path,
    local: Local | None = None,
    *,
    at_stop: str = "remove",
    registry: CollectorRegistry | None = None,
) -> Sides:
    """Processes and containers behind one provider, each with a folder below ``folder``."""
    return build_sides(
        ProcessSettings(state_dir=folder / "provider", **QUICK),
        folder / "containers",
        ContainerSettings(engine=f"unix://{socket}", at_stop=at_stop),
        RoutingDeps(SystemClock(), registry or CollectorRegistry(), scalers=Scalers(loop=True), local=local),
    )


@asynccontextmanager
async def sides_of(
    podman: PodmanServer, folder: Path, local: Local | None = None, **options: Any
) -> AsyncIterator[Sides]:
    await has_image(podman)
    sides = routed(podman.socket, folder, local, **options)
    try:
        await sides.start()
        yield sides
    finally:
        await sides.stop()


async def has_image(podman: PodmanServer) -> None:
    engine = Engine(podman.socket)
    await engine.connect()
    await load_function_image(engine)
    await engine.aclose()


@asynccontextmanager
async def containers_of(
    podman: PodmanServer, folder: Path, *, at_stop: str = "remove", **machine: Any
) -> AsyncIterator[Provider]:
    await has_image(podman)
    provider = provider_of(podman, folder, at_stop=at_stop, **machine)
    await provider.start()
    try:
        yield provider
    finally:
        await provider.stop()


async def call(endpoint: Endpoint, body: str = "") -> str:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.post(f"http://{endpoint.host}:{endpoint.port}/", content=body)
    assert answer.status_code == 200, answer.text
    return answer.text


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(100):
        while not await true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
