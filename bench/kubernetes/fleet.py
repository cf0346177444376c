"""Many functions: what the provider holds, how fast it lists them, and what it asks of the API server meanwhile."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

from bench.kubernetes.suite import NAMESPACE, Suite, running

AT_ONCE = 20


async def deploy(suite: Suite, count: int) -> float:
    began, turns = time.perf_counter(), asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with turns:
            labels = {"com.openfaas.scale.max": "10", "team": f"team-{number % 10}"}
            await suite.deploy(f"function-{number:04}", "bench/nothing", labels=labels, envVars={"colour": "blue"})

    await asyncio.gather(*(one(number) for number in range(count)))
    return time.perf_counter() - began


async def ready(suite: Suite, count: int) -> None:
    while True:
        functions = (await suite.api.get("/system/functions", params={"namespace": NAMESPACE})).json()
        if sum(bool(function.get("availableReplicas")) for function in functions) == count:
            return
        await asyncio.sleep(0.5)


async def quiet(suite: Suite) -> None:
    """Return once the last events of the deployments are written."""
    asked = 1
    while asked:
        await suite.cluster.do("clear")
        await asyncio.sleep(5)
        asked = await suite.cluster.do("count", what={})
    await suite.cluster.do("clear")


async def list_ms(suite: Suite, times: int = 15) -> list[float]:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        answer = await suite.api.get("/system/functions", params={"namespace": NAMESPACE})
        found.append((time.perf_counter() - began) * 1e3)
        answer.raise_for_status()
    return found


async def measure(count: int, idle_s: float) -> None:
    async with running({}) as suite:
        print(f"provider without functions: {suite.provider.resident_bytes() / 1e6:.0f} MB resident")
        print(f"{count} functions deployed in {await deploy(suite, count):.1f} s")
        await ready(suite, count)
        print(f"provider with them: {suite.provider.resident_bytes() / 1e6:.0f} MB resident")
        await quiet(suite)
        before_s = suite.provider.cpu_s()
        await asyncio.sleep(idle_s)
        used_s = suite.provider.cpu_s() - before_s
        verbs = {
            verb: await suite.cluster.do("count", what={"verb": verb})
            for verb in ("get", "list", "watch", "create", "update", "patch")
        }
        per_minute = {verb: number * 60 / idle_s for verb, number in verbs.items()}
        print(f"requests to the API server in an idle minute: {per_minute}; processor {used_s * 60 / idle_s:.2f} s")
        await suite.cluster.do("clear")
        spent = await list_ms(suite)
        asked = await suite.cluster.do("count", what={})
        print(
            f"list over REST: median {statistics.median(spent):.0f} ms, most {max(spent):.0f} ms, {asked} API requests"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functions", type=int, default=1000)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of doing nothing")
    given = parser.parse_args()
    asyncio.run(measure(given.functions, given.idle))


if __name__ == "__main__":
    main()
