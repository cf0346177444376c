"""A provider in a process of its own, for tests that kill it: ``python -m … STATE_DIR ORPHAN_GRACE_S SPECS PING_S``.

SPECS is a JSON list of [deployment, replicas]. Says ``ready`` when all replicas answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from springtide.provider.process.service import ProcessDeps, build
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import spec_from_json
from springtide.runtime.clock import SystemClock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import FunctionEndpoints, merge


async def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder, orphan_grace_s, wanted = Path(sys.argv[1]), float(sys.argv[2]), json.loads(sys.argv[3])
    settings = ProcessSettings(
        state_dir=folder,
        default_isolation="none",
        orphan_grace_s=orphan_grace_s,
        linger_s=0.05,
        host_ping_s=float(sys.argv[4]),
    )
    provider = build(settings, ProcessDeps(SystemClock(), CollectorRegistry()))
    await provider.start()
    for deployment, replicas in wanted:
        spec = spec_from_json(deployment)
        await provider.deploy(spec)
        await provider.write(spec.ref, replicas, expect=None, decision=None)
    table: dict[FunctionRef, FunctionEndpoints] = {}
    async for event in provider.watch_endpoints():
        table = merge(table, [event])
        if table and all(len(function.endpoints) == function.replicas for function in table.values()):
            break
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
