"""The REST API over a provider in memory, served on a real socket and called by a real client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from springtide.provider.api import ProviderApi, ProviderApiDeps, ProviderApiSettings, Version, build
from springtide.provider.memory import MemoryProvider
from springtide.provider.ports import ImageBuilder
from springtide.runtime.asgi import App
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.decision_log import DecisionLog
from springtide.wire.endpoint_stream import Endpoint, FunctionEndpoints, merge

DEADLINE_S = 120.0
CREDENTIALS = Credentials("admin", "s3cret")


@dataclass(slots=True)
class Replicas:
    """Real HTTP servers that run ``app``, started and stopped as the provider asks."""

    app: App
    servers: dict[str, AsgiServer] = field(default_factory=dict)

    async def start(self, _ref: FunctionRef, instance: str) -> Endpoint:
        server = AsgiServer(self.app, name=instance, grace_s=1.0)
        self.servers[instance] = server
        await server.start()
        return Endpoint(instance, "127.0.0.1", server.port)

    async def stop(self, _ref: FunctionRef, instance: str) -> None:
        if instance in self.servers:
            await self.servers[instance].stop()


@dataclass(slots=True)
class Served:
    """One served API: a client with credentials, and what stands behind it."""

    http: httpx.AsyncClient
    api: ProviderApi
    memory: MemoryProvider
    decisions: DecisionLog
    registry: CollectorRegistry

    async def deploy(self, name: str = "echo", **more: object) -> httpx.Response:
        return await self.http.post("/system/functions", json={"service": name, "image": "x", **more})

    async def ready(self, name: str = "echo", *, replicas: int = 1, **more: object) -> FunctionEndpoints:
        """Deploy, and return once so many replicas answer; the invoke proxy, told earlier, knows them, too."""
        await self.deploy(name, **more)
        ref = FunctionRef.parse(name)
        table: dict[FunctionRef, FunctionEndpoints] = {}
        async with aclosing(self.memory.watch_endpoints()) as events:
            async for event in events:
                table = merge(table, [event])
                if ref in table and len(table[ref].endpoints) == replicas:
                    break
        await asyncio.sleep(0)
        return table[ref]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection, for a caller who behaves badly."""
        return await asyncio.open_connection("127.0.0.1", self.api.port)


@asynccontextmanager
async def serving(
    app: App | None = None,
    *,
    credentials: Credentials | None = CREDENTIALS,
    read_timeout_s: float = 2 * DEADLINE_S,
    builder: ImageBuilder | None = None,
    scalers: Scalers | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """``app`` is what replicas answer with; without one nobody answers."""
    replicas = Replicas(app) if app is not None else None
    memory = MemoryProvider(
        start_replica=replicas.start if replicas else None,
        stop_replica=replicas.stop if replicas else None,
        scalers=scalers,
    )
    registry, decisions = CollectorRegistry(), DecisionLog()
    deps = ProviderApiDeps(
        provider=memory,
        credentials=credentials,
        builder=builder,
        registry=registry,
        clock=SystemClock(),
        decisions=decisions,
        version=Version("1.2.3", "abc123", "Say hello"),
    )
    api = build(ProviderApiSettings(port=0, read_timeout_s=read_timeout_s, grace_s=2.0, **settings), deps)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(memory.aclose)
        stack.push_async_callback(api.stop)
        await api.start()
        headers = {"Authorization": credentials.header} if credentials else {}
        http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{api.port}", headers=headers, timeout=60, trust_env=False)
        await stack.enter_async_context(http)
        yield Served(http, api, memory, decisions, registry)
