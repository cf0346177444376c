"""The providers that the contract is tested against, each opened anew for every test."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry

from provider import process
from provider.api import ProviderApiDeps, ProviderApiSettings, build
from provider.memory import MemoryProvider, ready_after
from provider.ports import Provider
from provider.process import ProcessDeps, ProcessSettings
from runtime.basic_auth import Credentials
from runtime.clock import SystemClock
from scaler.core.vocabulary import FunctionRef
from tests.provider.contract.acts import when_ready
from tests.provider.contract.rest_provider import RestProvider


@dataclass(frozen=True, slots=True)
class Stage:
    """A provider under test, and a way to make one of its replicas log a line."""

    provider: Provider
    say: Callable[[FunctionRef, str], Awaitable[None]]


Opened = Callable[[], AbstractAsyncContextManager[Stage]]


def speaker(memory: MemoryProvider) -> Callable[[FunctionRef, str], Awaitable[None]]:
    async def say(ref: FunctionRef, text: str) -> None:
        memory.write_log(ref, "replica-1", text)

    return say


@asynccontextmanager
async def in_memory() -> AsyncIterator[Stage]:
    memory = MemoryProvider()
    yield Stage(memory, speaker(memory))
    await memory.aclose()


@asynccontextmanager
async def slow_in_memory() -> AsyncIterator[Stage]:
    """Replicas that become ready only after others have run."""
    memory = MemoryProvider(start_replica=ready_after(0.0))
    yield Stage(memory, speaker(memory))
    await memory.aclose()


@asynccontextmanager
async def over_rest() -> AsyncIterator[Stage]:
    memory = MemoryProvider()
    credentials = Credentials("admin", "s3cret")
    api = build(ProviderApiSettings(port=0), ProviderApiDeps(provider=memory, credentials=credentials))
    await api.start()
    client = RestProvider(f"http://127.0.0.1:{api.port}", credentials)
    try:
        await client.learn_info()
        yield Stage(client, speaker(memory))
    finally:
        await client.aclose()
        await api.stop()
        await memory.aclose()


@asynccontextmanager
async def as_processes() -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="springtide-contract-") as folder:
        settings = ProcessSettings(state_dir=Path(folder), grace_s=5.0, linger_s=0.0)
        provider = process.build(settings, ProcessDeps(clock=SystemClock(), registry=CollectorRegistry()))

        async def say(ref: FunctionRef, text: str) -> None:
            """The function copies its input to its log."""
            endpoint = (await when_ready(provider, 1, ref)).endpoints[0]
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.post(f"http://{endpoint.host}:{endpoint.port}/", content=f"{text}\n")
            assert answer.status_code == 200, answer.text

        await provider.start()
        try:
            yield Stage(provider, say)
        finally:
            await provider.stop()


STAGES: dict[str, Opened] = {
    "memory": in_memory,
    "memory, replicas start later": slow_in_memory,
    "memory over REST": over_rest,
    "processes": as_processes,
}
