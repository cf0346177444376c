"""A provider whose replicas all are one server and turn ready exactly so long after they are asked for."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from springtide.provider.api import ProviderApiDeps, ProviderApiSettings, build
from springtide.provider.memory import MemoryProvider
from springtide.provider.spec import FunctionSpec
from springtide.runtime.lean_imports import import_lean
from springtide.runtime.service import run, stop_signals
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from springtide.wire.endpoint_stream import Endpoint


async def main(port: int, replica_port: int, ready_after_s: float, more: int) -> None:
    """``more`` functions beside ``echo``: ``echo-0`` and so on."""

    async def start(_: FunctionRef, instance: str) -> Endpoint:
        await asyncio.sleep(ready_after_s)
        return Endpoint(instance, "127.0.0.1", replica_port)

    provider = MemoryProvider(start_replica=start)
    for name in ("echo", *(f"echo-{number}" for number in range(more))):
        await provider.deploy(FunctionSpec(ref=FunctionRef(DEFAULT_NAMESPACE, name), image="bench"))
    until = asyncio.Event()
    with stop_signals(until):
        api = build(ProviderApiSettings(port=port), ProviderApiDeps(provider=provider, credentials=None))
        await run([api], until=until)
    await provider.aclose()


if __name__ == "__main__":
    import_lean()  # as the suite's command does
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
