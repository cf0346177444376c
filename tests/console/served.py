"""The console behind a real gateway before a provider in memory, all on real sockets in this process."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from springtide.cli import ports
from springtide.cli.ports import PortClaims
from springtide.console.service import Console, ConsoleDeps, build
from springtide.console.settings import ConsoleSettings
from springtide.gateway import service as gateway
from springtide.gateway.service import GatewayDeps
from springtide.gateway.settings import GatewaySettings
from springtide.provider.api import ProviderApiDeps, ProviderApiSettings
from springtide.provider.api import build as build_provider
from springtide.provider.memory import MemoryProvider
from springtide.provider.spec import FunctionSpec
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.service import Service
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from springtide.wire.endpoint_stream import Endpoint
from springtide.wire.jobs.settings import BrokerSettings
from tests.cron_part import cron_part

CREDENTIALS = Credentials("admin", "s3cret")
DEADLINE_S = 60.0
TOKEN = re.compile(r'name="console-token" content="([^"]+)"')


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A function: ``/big`` answers half a megabyte, ``/bytes`` no text, anything else what it was asked.

    ``/fail`` answers 500 as watchdogs do, ``/stalls`` says half of its answer and no more, ``/breaks`` leaves after
    half of it.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = head[0].split(" ")
    status = 500 if target == "/fail" else 200
    told = {
        "/big": b"x" * 500_000,
        "/bytes": b"\xff\xfe\x00",
    }.get(target, f"{method} {target} {headers.get('x-test')} {headers.get('authorization')} ".encode() + body)
    half = len(told) if target in ("/stalls", "/breaks") else 0
    length = len(told) + half
    more = "X-OpenFaaS-Internal: of-watchdog\r\n" if status == 500 else ""
    writer.write(
        f"HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n".encode() + told
    )
    await writer.drain()
    if target == "/stalls":
        await reader.read()
    writer.close()


@dataclass
class World:
    provider: MemoryProvider
    gateway: gateway.Gateway
    console: Console
    provider_api: Service
    http: httpx.AsyncClient
    """To the gateway, with credentials."""

    async def deploy(self, name: str, **labels: str) -> None:
        await self.provider.deploy(FunctionSpec(ref=FunctionRef("openfaas-fn", name), image="any", labels=labels))
        await self.until(lambda text: f'"{name}"' in text or f"{name}.openfaas-fn" in text, "/ui/")

    async def token(self) -> dict[str, str]:
        """The headers of an act that a page of the console sends."""
        page = await self.http.get("/ui/deploy")
        found = TOKEN.search(page.text)
        assert found
        return {"x-console-token": found[1], "origin": str(self.http.base_url).rstrip("/")}

    async def until(self, condition: Callable[[str], bool], path: str) -> str:
        """The text of ``path`` once it is as wished."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition(text := (await self.http.get(path)).text):  # noqa: ASYNC110 - another service becomes so
                await asyncio.sleep(0.05)
        return text

    async def events(
        self, path: str, *, headers: dict[str, str] | None = None
    ) -> AsyncGenerator[tuple[str, Any], None]:
        """Each event by its name, until whoever asks has seen enough."""
        async with asyncio.timeout(DEADLINE_S), self.http.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            name = ""
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    yield name, json.loads(line[6:])


@asynccontextmanager
async def world(
    *,
    credentials: Credentials | None = CREDENTIALS,
    namespace: str = DEFAULT_NAMESPACE,
    broker: BrokerSettings | None = None,
    with_cron: bool = False,
    cron_away: bool = False,
    connector_urls: tuple[str, ...] = (),
    set_aside: Callable[[], Sequence[Path]] = tuple,
    advise: tuple[str, ...] = (),
    **settings: Any,
) -> AsyncIterator[World]:
    """``namespace`` is that of functions that name none; ``broker`` keeps asynchronous calls.

    Ticks of its cron part are kept in memory, and call nothing.
    """
    async with AsyncExitStack() as stack:
        replica_server = await asyncio.start_server(answer, "127.0.0.1", 0)
        stack.callback(replica_server.close)
        replica_port = replica_server.sockets[0].getsockname()[1]

        async def replica(_: FunctionRef, instance: str) -> Endpoint:
            return Endpoint(instance, "127.0.0.1", replica_port)

        memory = MemoryProvider(start_replica=replica, default_namespace=namespace)
        stack.push_async_callback(memory.aclose)
        api = build_provider(
            ProviderApiSettings(port=0, default_namespace=namespace),
            ProviderApiDeps(provider=memory, credentials=credentials),
        )
        await api.start()
        stack.push_async_callback(api.stop)
        port = ports.free("127.0.0.1", PortClaims())
        cron_url = ""
        if with_cron:
            cron, _ = await stack.enter_async_context(cron_part(f"http://127.0.0.1:{api.port}", credentials))
            if cron_away:
                await cron.stop()
            cron_url = settings["cron_url"] = f"http://127.0.0.1:{cron.port}"
        door = gateway.build(
            GatewaySettings(
                port=0,
                metrics_port=0,
                provider_url=f"http://127.0.0.1:{api.port}",
                console_url=f"http://127.0.0.1:{port}",
                cron_url=cron_url,
                connector_urls=connector_urls,
                grace_s=0.1,
                namespace=namespace,
                broker=broker or BrokerSettings(),
            ),
            GatewayDeps(credentials=credentials, registry=CollectorRegistry(), clock=SystemClock()),
        )
        await door.start()
        stack.push_async_callback(door.stop)
        given = {
            "port": port,
            "gateway_url": f"http://127.0.0.1:{door.port}",
            "gateway_metrics_urls": (f"http://127.0.0.1:{door.metrics_port}/metrics",),
            "provider_url": f"http://127.0.0.1:{api.port}",
            "step_s": 0.25,
        }
        console = build(
            ConsoleSettings(**{**given, **settings}),
            ConsoleDeps(credentials=credentials, set_aside=set_aside, advise=advise),
        )
        await console.start()
        stack.push_async_callback(console.stop)
        auth = (credentials.user, credentials.password) if credentials else None
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}", auth=auth, timeout=DEADLINE_S)
        )
        yield World(memory, door, console, api, http)
