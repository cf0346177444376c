"""The provider's functions, as a part that is no gateway follows them."""

from __future__ import annotations

from contextlib import AsyncExitStack

from springtide.gateway.endpoint_source import EndpointSource
from springtide.scaler.core.ports import Clock
from springtide.wire.polled_endpoints import PolledEndpoints
from springtide.wire.provider_client import ProviderClient


def endpoints_of(
    provider: ProviderClient, provider_url: str, *, clock: Clock, poll_interval_s: float, stack: AsyncExitStack
) -> EndpointSource:
    """Pushed, or polled from a provider that does not tell of changes; closed with ``stack``."""

    def polled() -> PolledEndpoints:
        return PolledEndpoints(provider, provider_url, clock=clock, interval_s=poll_interval_s)

    endpoints = EndpointSource(provider, polled)
    stack.push_async_callback(endpoints.aclose)
    return endpoints
