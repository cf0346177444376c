"""Calls go on while the API server misbehaves and then is gone: what fails, and how soon all is well again."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from dataclasses import dataclass, field

import httpx

from bench.kubernetes.suite import Suite, running

FUNCTION, PAUSE_S = "echo", 0.02
FAULTS = (
    {"status": 500},
    {"status": 429, "retry_after_s": 1},
    {"status": 409, "verbs": ["update", "patch"]},
    {"status": 410, "verbs": ["watch", "list"]},
    {"status": 503},
)


@dataclass
class Calls:
    answered: int = 0
    failed: list[str] = field(default_factory=list)


async def caller(port: int, calls: Calls, done: asyncio.Event) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30.0) as client:
        while not done.is_set():
            try:
                answer = await client.post(f"/function/{FUNCTION}", content=b"hello")
            except httpx.HTTPError as error:
                calls.failed.append(repr(error))
            else:
                if answer.status_code == 200 and answer.content == b"hello":
                    calls.answered += 1
                else:
                    calls.failed.append(f"{answer.status_code} {answer.text[:100]}")
            await asyncio.sleep(PAUSE_S)


async def misbehave(suite: Suite, seconds: float) -> tuple[int, int, int]:
    """Watches cut and requests failed while somebody scales: cuts, faults, and writes that were refused."""
    until, cuts, faults, refused = time.monotonic() + seconds, 0, 0, 0
    counts = itertools.cycle((3, 2, 4, 2))
    ways = itertools.cycle(FAULTS)
    while time.monotonic() < until:
        cuts += await suite.cluster.do("cut")
        await suite.cluster.do("fail", times=2, how=next(ways))
        faults += 2
        wanted = next(counts)
        if await suite.scale(FUNCTION, wanted) == 202:
            found = (await suite.cluster.do("replicas"))[FUNCTION]
            if found != wanted:
                raise RuntimeError(f"asked for {wanted} replicas, the cluster has {found}")
        else:
            refused += 1
        await asyncio.sleep(2.5)
    return cuts, faults, refused


async def stay_away(suite: Suite, seconds: float) -> None:
    before = (await suite.cluster.do("replicas"))[FUNCTION]
    await suite.cluster.do("leave")
    began = time.monotonic()
    answer = await suite.api.post(f"/system/scale-function/{FUNCTION}", json={"replicas": 1})
    took_s = time.monotonic() - began
    print(f"a write while the API server is gone: {answer.status_code} after {took_s:.1f} s: {answer.text[:160]}")
    status = await suite.status(FUNCTION)
    print(f"a status meanwhile: {status['replicas']} wanted, {status['availableReplicas']} ready")
    while time.monotonic() < began + seconds:
        await asyncio.sleep(1)
        if (await suite.status(FUNCTION))["replicas"] != before:
            raise RuntimeError("the count changed while nobody could know it")
    if (await suite.cluster.do("replicas"))[FUNCTION] != before:
        raise RuntimeError("the cluster's count changed while nobody could write it")
    await suite.cluster.do("return")
    began = time.monotonic()
    while await suite.scale(FUNCTION, 3) != 202:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.05)
    print(f"first write after its return: {time.monotonic() - began:.2f} s")
    while (await suite.status(FUNCTION)).get("availableReplicas") != 3:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.05)
    print(f"its effect seen by the watches: {time.monotonic() - began:.2f} s")


async def measure(trouble_s: float, away_s: float) -> None:
    async with running({}) as suite:
        await suite.deploy(FUNCTION, "bench/echo", envProcess="cat", labels={"com.openfaas.scale.min": "2"})
        while (await suite.status(FUNCTION)).get("availableReplicas") != 2:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)
        calls, done = Calls(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(caller(suite.gateway_port, calls, done))
            cuts, faults, refused = await misbehave(suite, trouble_s)
            print(
                f"{cuts} watches cut, {faults} requests failed on purpose in {trouble_s:g} s: {refused} writes refused"
            )
            await stay_away(suite, away_s)
            done.set()
        print(f"calls: {calls.answered} answered, {len(calls.failed)} failed {calls.failed[:3]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trouble", type=float, default=60.0, help="seconds of watches cut and requests failed")
    parser.add_argument("--away", type=float, default=60.0, help="seconds without an API server")
    given = parser.parse_args()
    asyncio.run(measure(given.trouble, given.away))


if __name__ == "__main__":
    main()
