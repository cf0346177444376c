"""A real cron part before a provider, with a gateway and a store in memory: its ticks call nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from prometheus_client import CollectorRegistry

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.triggers.cron.service import Cron, CronDeps, build
from springtide.triggers.cron.settings import CronSettings
from springtide.wire.provider_client import ProviderClient
from tests.fakes.ticks import MemoryCronStore, MemoryTickGateway


@asynccontextmanager
async def cron_part(
    provider_url: str, credentials: Credentials | None, *, port: int = 0
) -> AsyncIterator[tuple[Cron, MemoryTickGateway]]:
    """It listens; and the gateway that takes its calls."""
    clock = SystemClock()
    gateway = MemoryTickGateway(clock)
    async with AsyncExitStack() as stack:
        provider = ProviderClient(provider_url, credentials)
        stack.push_async_callback(provider.aclose)
        deps = CronDeps(
            endpoints=provider,
            gateway=gateway,
            store=MemoryCronStore(),
            clock=clock,
            registry=CollectorRegistry(),
            credentials=credentials,
        )
        cron = build(CronSettings(port=port), deps)
        await cron.start()
        stack.push_async_callback(cron.stop)
        yield cron, gateway
