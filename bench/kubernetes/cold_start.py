"""From a pod that listens to the first byte that a caller, held by the gateway, gets from it."""

from __future__ import annotations

import argparse
import asyncio
import time

from bench.kubernetes.suite import Suite, percentile, running

FUNCTION = "listener"
REQUEST = f"GET /function/{FUNCTION} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode()
DEADLINE_S = 60.0


async def call(port: int) -> tuple[float, float]:
    """When the first byte came, and since when the pod listened."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    first = await reader.read(1)
    came = time.time()
    rest = first + await reader.read()
    writer.close()
    head, _, body = rest.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the caller was told: {rest[:300]!r}")
    return came, float(body)


async def asleep(suite: Suite) -> None:
    """Return once the function has no pod left."""
    await suite.scale(FUNCTION, 0)
    while await suite.cluster.do("count-pods"):  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.02)


async def measure(wakes: int, callers: int, period_s: float) -> list[float]:
    overheads: list[float] = []
    async with running({}, provider_flags=("--readiness-period", f"{period_s:g}s")) as suite:
        await suite.deploy(FUNCTION, "bench/listener")
        for _ in range(wakes):
            await asleep(suite)
            async with asyncio.timeout(DEADLINE_S):
                answers = await asyncio.gather(*(call(suite.gateway_port) for _ in range(callers)))
            overheads += [came - began for came, began in answers]
    return overheads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wakes", type=int, default=60)
    parser.add_argument("--callers", type=int, default=1)
    parser.add_argument("--period", type=float, default=1.0, help="of the readiness probe, in seconds")
    given = parser.parse_args()
    overheads = [seconds * 1e3 for seconds in asyncio.run(measure(given.wakes, given.callers, given.period))]
    shown = "  ".join(f"{name} {percentile(overheads, share):.1f}" for name, share in (("p50", 0.5), ("p99", 0.99)))
    print(f"{given.wakes} wakes, {given.callers} callers: {shown}  most {max(overheads):.1f} ms")


if __name__ == "__main__":
    main()
