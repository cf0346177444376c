"""Stores messages with nats-py, so many at once for so many seconds, each waiting for its acknowledgement.

They are like a job's, and go into a stream like a queue's: a header of some length, an id by which the server knows one
that is repeated, one subject, and the same bounds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from bench.herd import percentile
from springtide.runtime.lean_imports import import_lean
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs import names
from springtide.wire.jobs.bounds import Bounds
from springtide.wire.jobs.job import Lane
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.settings import BrokerSettings

BODY_BYTES = 64


async def main(url: str, queue: str, clients: int, seconds: float, size: int) -> None:
    bounds = Bounds(max_lane_jobs=1_000_000)
    broker = Broker(BrokerSettings(nats_url=(url,)), name="publishing", bounds=bounds)
    await broker.streams.queue(queue)
    jetstream = await broker.connection.jetstream()
    subject = names.job_subject(Lane(queue, FunctionRef("openfaas-fn", "echo")))
    took: list[float] = []
    about = "x" * size
    cpu, began = time.process_time(), time.monotonic()
    ends = began + seconds

    async def publish(number: int) -> None:
        while (before := time.monotonic()) < ends:
            headers = {"Springtide-Job": about, "Nats-Msg-Id": f"{number}.{len(took)}.{before}"}
            await jetstream.publish(subject, b"x" * BODY_BYTES, headers=headers)
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
    await broker.aclose()


if __name__ == "__main__":
    import_lean()
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])))
