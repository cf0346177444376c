"""How jobs get on in a whole suite: as fast as their function can, soon from zero, once each, and fairly."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.children import WITHOUT_WALLS
from bench.jobs.ledger import Execution
from bench.jobs.posters import Post, Posters
from bench.jobs.run import HANDLER, noted
from bench.jobs.suite import Suite, put_to_sleep, running
from bench.report import Row
from springtide.scaler.core.call_timeout import TIMEOUT

ACK_WAIT_S = 5.0
REPLICAS, IN_FLIGHT = 10, 5
JOBS = 500
LOOK_S = 0.1
DEADLINE_S = 900.0
TOPPED_UP = 4
WAITS = 20


def queueing(folder: Path, *, backlog: int, long_s: float) -> Iterator[Row]:
    """``backlog`` of one function while another has a few jobs; ``long_s``: how long a long job takes."""
    os.environ.update(ack_wait=f"{ACK_WAIT_S:g}s", initial_retry_wait="1s")
    state, ledger = folder / "state", folder / "ledger"
    ledger.mkdir()
    with running(state) as suite:
        yield from asyncio.run(_measured(_Queue(suite, ledger), backlog, long_s))


async def _measured(queue: _Queue, backlog: int, long_s: float) -> list[Row]:
    return [await _full(queue), await _from_zero(queue), *await _long(queue, long_s), await _fair(queue, backlog)]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Jobs that were posted together, by their numbers."""

    function: str
    numbers: range


class _Queue:
    """Functions have a ledger each, for looking at a long one takes time from what is measured."""

    def __init__(self, suite: Suite, ledger: Path) -> None:
        self.suite, self._ledger = suite, ledger
        self._posted = 0

    async def deploy(self, name: str, replicas: int, *, in_flight: int = 0) -> None:
        (self._ledger / name).mkdir()
        async with self.suite.client() as client:
            body = {
                "service": name,
                "image": "springtide/python",
                "labels": {
                    "com.openfaas.scale.min": str(replicas),
                    "com.openfaas.scale.max": str(replicas),
                    **WITHOUT_WALLS,
                },
                "annotations": {"com.springtide.handler": str(HANDLER), TIMEOUT: f"{DEADLINE_S:g}s"},
                "envVars": {"LEDGER": str(self._ledger / name)}
                | ({"max_inflight": str(in_flight)} if in_flight else {}),
            }
            (await client.post("/system/functions", json=body)).raise_for_status()
            await self.until_ready(client, name, replicas)

    async def until_ready(self, client: httpx.AsyncClient, name: str, replicas: int) -> None:
        while True:
            status = (await client.get(f"/system/function/{name}")).json()
            if status.get("availableReplicas", 0) == replicas:
                return
            await asyncio.sleep(LOOK_S)

    async def post(self, name: str, count: int, work_s: float, *, posters: int = 16) -> _Batch:
        numbers = range(self._posted, self._posted + count)
        self._posted += count
        posts = (Post(number, name, work_s, fails=0.0, keyed=False) for number in numbers)
        port = self.suite.gateway_port
        posted = await Posters(lambda: port, posts, think_s=0.0).run(posters)
        assert len(posted.accepted) == count, posted.statuses
        return _Batch(name, numbers)

    async def depth(self, name: str) -> int:
        """Jobs of the function that have not ended."""
        async with self.suite.client() as client:
            queues = (await client.get("/system/queues")).raise_for_status().json()
        counts = (one for queue in queues["queues"] for one in queue["functions"])
        return sum(one["pending"] for one in counts if one["function"] == name)

    def ran(self, batch: _Batch) -> list[Execution]:
        return [one for one in noted(self._ledger / batch.function) if one.number in batch.numbers]

    async def ended(self, batch: _Batch) -> list[Execution]:
        deadline = time.monotonic() + DEADLINE_S
        while len({one.number for one in self.ran(batch) if one.status}) < len(batch.numbers):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(batch.numbers)} jobs did not end within {DEADLINE_S:g} s")
            await asyncio.sleep(LOOK_S * 5)
        return self.ran(batch)

    @asynccontextmanager
    async def asleep(self, name: str) -> AsyncIterator[httpx.AsyncClient]:
        async with self.suite.client() as client:
            await put_to_sleep(client, name)
            await self.until_ready(client, name, 0)
            yield client

    async def metric(self, name: str, labels: str) -> float:
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"{self.suite.told['metrics']}/metrics")).text
        series = (line for line in text.splitlines() if line.startswith(f"{name}{{") and labels in line)
        return sum(float(line.rpartition(" ")[2]) for line in series)


async def _full(queue: _Queue) -> Row:
    await queue.deploy("full", REPLICAS, in_flight=IN_FLIGHT)
    ran = await queue.ended(await queue.post("full", JOBS, 1.0))
    took_s, ideal_s = max(one.ended for one in ran) - min(one.started for one in ran), JOBS / (REPLICAS * IN_FLIGHT)
    refused = await queue.metric("gateway_functions_seconds_count", 'code="429"')
    what = f"{JOBS} jobs of 1 s, {REPLICAS} replicas, {IN_FLIGHT} at once each"
    return _row(what, took_s, ideal_s, f"{len(ran)} executions, {refused:g} times 429")


async def _from_zero(queue: _Queue) -> Row:
    await queue.deploy("cold", 1)
    cold: list[float] = []
    waited: list[float] = []
    for _ in range(3):
        async with queue.asleep("cold") as client:
            before = time.monotonic()
            body = {"number": -1, "work_s": 0, "fails": 0}
            headers = {"X-Springtide-Job-Id": "none"}
            (await client.post("/function/cold", json=body, headers=headers)).raise_for_status()
            cold.append(time.monotonic() - before)
        async with queue.asleep("cold"):
            posted = time.time()
            (one,) = await queue.ended(await queue.post("cold", 1, 0.0))
            waited.append(one.started - posted)
    return _row(
        "from zero, until the first job runs", statistics.median(waited), statistics.median(cold), "beside a cold call"
    )


async def _long(queue: _Queue, long_s: float) -> list[Row]:
    await queue.deploy("long", 1)
    once = await queue.ended(await queue.post("long", 1, long_s))
    batch = await queue.post("long", 1, long_s)
    await asyncio.sleep(long_s / 2)
    os.kill(queue.suite.pid("queue-worker"), signal.SIGKILL)
    twice = await queue.ended(batch)
    return [
        _row(f"a job of {long_s:g} s, leases of {ACK_WAIT_S:g} s", 0.0, 0.0, f"{len(once)} execution"),
        _row("its worker killed in the middle", 0.0, 0.0, f"{len(twice)} executions"),
    ]


async def _fair(queue: _Queue, backlog: int) -> Row:
    await queue.deploy("busy", 1, in_flight=IN_FLIGHT)
    await queue.deploy("other", 1, in_flight=IN_FLIGHT)
    alone = await _waits(queue)
    for _ in range(TOPPED_UP):  # for some of it runs while it is posted
        # What the gateway counts is some seconds old, so there may be more than was wanted.
        await queue.post("busy", max(0, backlog - await queue.depth("busy")), 0.05)
    before = await queue.depth("busy")
    beside = await _waits(queue)
    after = await queue.depth("busy")
    return _row(f"wait of {WAITS} jobs beside a backlog of {before:,}", beside, alone, f"against alone; {after:,} left")


async def _waits(queue: _Queue) -> float:
    """The median, of jobs that come one at a time."""
    waits = []
    for _ in range(WAITS):
        posted = time.time()
        (one,) = await queue.ended(await queue.post("other", 1, 0.05, posters=1))
        waits.append(one.started - posted)
    return statistics.median(waits)


def _row(what: str, seconds: float, against_s: float, note: str) -> Row:
    ratio = seconds / against_s if against_s else 0.0
    return {"what": what, "seconds": seconds, "against_s": against_s, "ratio": ratio, "note": note}
