"""The gateway as a process of its own, with everything on."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvloop
from prometheus_client import CollectorRegistry

from gateway.service import GatewayDeps, build
from gateway.settings import GatewaySettings
from runtime.clock import SystemClock
from runtime.service import run, stop_signals


async def main(settings: dict[str, Any]) -> None:
    until = asyncio.Event()
    deps = GatewayDeps(credentials=None, registry=CollectorRegistry(), clock=SystemClock())
    with stop_signals(until):
        await run([build(GatewaySettings(**settings), deps)], until=until)


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
