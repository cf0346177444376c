"""A gateway before a provider, what is asked of them over the REST API, and the containers that there are."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from bench.children import Child
from bench.containers.steady_load import SHELL
from bench.soak.parts import Parts, together
from springtide.provider.containers import left_processes
from springtide.provider.containers.container_labels import selector, suite_of
from springtide.provider.containers.engine.client import Container, Engine
from tests.container_engine import IMAGE, PodmanServer, load_function_image

API_DEADLINE_S = 30.0
PATIENCE_S = 150.0
"""A container that is nobody's is removed when it has been seen twice, half a minute between."""
LOOK_S = 0.05


class Bed:
    """Functions of one provider behind a gateway."""

    def __init__(self, parts: Parts, client: httpx.AsyncClient, image: str) -> None:
        self.parts = parts
        self._client, self._image = client, image

    async def deploy(self, name: str, labels: Mapping[str, str] | None = None, *, generation: int = 1) -> None:
        """One replica of it, or the next generation with as many as there are."""
        body = {
            "service": name,
            "image": self._image,
            "envProcess": SHELL,
            "labels": dict(labels or {}),
            "envVars": {"GENERATION": str(generation)},
        }
        await self._ask("POST" if generation == 1 else "PUT", "/system/functions", body)

    async def scale(self, name: str, replicas: int) -> None:
        await self._ask("POST", f"/system/scale-function/{name}", {"serviceName": name, "replicas": replicas})

    async def remove(self, name: str) -> None:
        await self._ask("DELETE", "/system/functions", {"functionName": name})

    async def until(self, name: str, replicas: int) -> None:
        """So many are wanted, and answer. Whoever is away meanwhile is asked again."""
        await self._until(lambda: self._has(name, replicas), f"{name} has {replicas} replicas")

    async def _has(self, name: str, replicas: int) -> bool:
        try:
            status = (await self._ask("GET", f"/system/function/{name}")).json()
        except httpx.HTTPError:
            return False
        return bool(status.get("replicas", 0) == replicas == status.get("availableReplicas", 0))

    async def call_ms(self, name: str) -> float:
        """How long a call takes, in milliseconds, held or not. Raises httpx.HTTPError when it is lost."""
        began = time.perf_counter()
        answer = await self._client.post(f"/function/{name}", content="echo here")
        took_ms = (time.perf_counter() - began) * 1000
        if answer.raise_for_status().text != "here\n":
            raise httpx.ReadError(f"{name} answers {answer.text[:200]!r}")
        return took_ms

    async def _ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return (await self._client.request(method, path, json=body)).raise_for_status()

    async def _until(self, true: Callable[[], Awaitable[bool]], what: str) -> None:
        ends = time.monotonic() + PATIENCE_S
        while not await true():
            if time.monotonic() > ends:
                raise RuntimeError(f"not within {PATIENCE_S:g} s: {what}")
            await asyncio.sleep(LOOK_S)


class ContainerBed(Bed):
    """``podman`` is the engine that they run on."""

    def __init__(self, parts: Parts, client: httpx.AsyncClient, podman: PodmanServer, engine: Engine) -> None:
        super().__init__(parts, client, f"{IMAGE}:latest")
        self.podman, self.engine = podman, engine
        self.suite = suite_of(parts.provider.state)

    async def containers(self, state: str = "", name: str = "") -> list[Container]:
        """Those in a state, or of a function; all without either."""
        found = await self.engine.containers(selector(self.suite))
        return [
            one
            for one in found
            if (not state or one.state == state) and (not name or one.labels.get("faas_function") == name)
        ]

    async def running(self) -> set[str]:
        """The ids of those that run."""
        return {one.id for one in await self.containers("running")}

    async def until_in(self, name: str, state: str) -> None:
        """The function's only container is in this state."""

        async def true() -> bool:
            return [one.state for one in await self.containers(name=name)] == [state]

        await self._until(true, f"the container of {name} is {state}")

    async def until_more_than(self, before: int) -> None:
        """Of containers: one more is being made."""

        async def true() -> bool:
            return len(await self.containers()) > before

        await self._until(true, "one more container")

    async def until_gone(self, before: set[str]) -> None:
        async def true() -> bool:
            return not before & {one.id for one in await self.containers()}

        await self._until(true, "all of them are gone")

    async def orphans(self, wanted: int) -> int:
        """Containers beyond those that are wanted, and those that have processes though the engine does not know
        them, after all the time that there is to tidy up."""

        async def beyond() -> int:
            watched, there = left_processes.watchers(self.suite), {one.id for one in await self.containers()}
            return len(there | watched.keys()) - wanted

        async def none() -> bool:
            return await beyond() == 0

        with contextlib.suppress(RuntimeError):
            await self._until(none, "no orphans")
        return await beyond()

    def memory_bytes(self) -> dict[str, int]:
        """Of each container, by its id: its processes and the engine's that watches it (PSS)."""
        found: defaultdict[str, int] = defaultdict(int)
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                if container := _container_of(entry):
                    found[container] += Child(int(entry.name), "container").own_proportional_bytes()
        return found


def _container_of(process: Path) -> str:
    """The id of the container that it is in, or watches; empty for none."""
    words = (process / "cmdline").read_bytes().split(b"\0")
    if words[0].endswith(b"/conmon") and b"-c" in words:
        return words[words.index(b"-c") + 1].decode()
    last = [line.rpartition("/")[2] for line in (process / "cgroup").read_text().splitlines()]
    return next((name.removeprefix("libpod-") for name in last if name.startswith("libpod-")), "")


@contextlib.asynccontextmanager
async def container_bed(folder: Path, podman: PodmanServer) -> AsyncIterator[ContainerBed]:
    """What it made is gone with it."""
    engine = Engine(podman.socket)
    try:
        await engine.connect()
        await load_function_image(engine)
        words = ("container-provider", "--container-engine", f"unix://{podman.socket}", "--container-at-stop", "remove")
        with together(folder, words, workers=1) as parts:
            async with _client(parts) as client:
                yield ContainerBed(parts, client, podman, engine)
    finally:
        await engine.aclose()


@contextlib.asynccontextmanager
async def process_bed(folder: Path) -> AsyncIterator[Bed]:
    with together(folder, ("provider",), workers=1) as parts:
        async with _client(parts) as client:
            yield Bed(parts, client, "any")


def _client(parts: Parts) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{parts.port}",
        auth=(parts.credentials.user, parts.credentials.password),
        timeout=API_DEADLINE_S * 3,
        trust_env=False,
    )


async def deploy_all(bed: Bed, names: Sequence[str], labels: Mapping[str, str] | None = None) -> None:
    for name in names:
        await bed.deploy(name, labels)
    for name in names:
        await bed.until(name, 1)
