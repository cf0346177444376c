"""The gateway as it runs for its users, with everything on: one process, or a master and several workers."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry

from springtide.gateway.settings import GatewaySettings
from springtide.gateway.workers import pool
from springtide.runtime import logs
from springtide.runtime.clock import SystemClock
from springtide.runtime.lean_imports import import_lean
from springtide.runtime.service import Service, run, stop_signals
from springtide.wire.jobs.settings import BrokerSettings


async def main(settings: dict[str, Any]) -> None:
    until = asyncio.Event()
    with stop_signals(until):
        broker = BrokerSettings(**settings.pop("broker", {}))
        await run([_service(GatewaySettings(**{"workers": 1, "broker": broker, **settings}))], until=until)


def _service(settings: GatewaySettings) -> Service:
    if settings.workers > 1:
        return pool.build(settings, pool.PoolDeps(None, CollectorRegistry()), settings.workers)
    from springtide.gateway import service  # noqa: PLC0415 - the master of several workers does without it, as in the suite

    return service.build(settings, service.GatewayDeps(None, CollectorRegistry(), SystemClock()))


if __name__ == "__main__":
    import_lean()  # as the suite's command does
    logs.configure()
    uvloop.run(main(json.loads(sys.argv[1])))
