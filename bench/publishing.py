"""Stores messages with nats-py, so many at once for so many seconds, each waiting for its acknowledgement.

They are like a job's: a header of some length, and an id by which the server knows one that is repeated.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import nats
import uvloop

from bench.herd import percentile
from springtide.runtime.lean_imports import import_lean

BODY_BYTES = 64


async def main(url: str, stream: str, clients: int, seconds: float, size: int) -> None:
    connection = await nats.connect(url)
    jetstream = connection.jetstream(timeout=30)
    await jetstream.add_stream(name=stream, subjects=[f"{stream}.>"], max_msgs=1_000_000)
    took: list[float] = []
    about = "x" * size
    cpu, began = time.process_time(), time.monotonic()
    ends = began + seconds

    async def publish(number: int) -> None:
        while (before := time.monotonic()) < ends:
            headers = {"Springtide-Job": about, "Nats-Msg-Id": f"{number}.{len(took)}.{before}"}
            await jetstream.publish(f"{stream}.{number}", b"x" * BODY_BYTES, headers=headers)
            took.append((time.monotonic() - before) * 1e3)

    await asyncio.gather(*map(publish, range(clients)))
    spent = time.monotonic() - began
    print(
        json.dumps(
            {
                "cpu_us": (time.process_time() - cpu) / len(took) * 1e6,
                "per_s": len(took) / spent,
                "p50_ms": percentile(took, 0.5),
                "p99_ms": percentile(took, 0.99),
                "errors": 0,
            }
        )
    )
    await connection.close()


if __name__ == "__main__":
    import_lean()
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])))
