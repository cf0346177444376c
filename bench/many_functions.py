"""Thousands of functions with a job each: what that takes of the broker, the worker and the gateway, and what stays.

One server is every function's replica. Each function has a consumer of its own at the broker while it has jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import httpx

from bench import nginx, rest
from bench.children import Child, child, free_port
from bench.gateway import Measured, gateway
from bench.jobs.posters import Post, Posters
from bench.nats import NatsServer, nats_server
from bench.programs import Programs
from bench.report import Row
from springtide.wire.jobs.settings import BrokerSettings

IDLE_S = 10
"""How long nothing comes for a function before its consumer goes; less than by default, so that it is over sooner."""

STANDING = 2
"""Consumers that a worker always has: of due jobs and of callbacks."""

DONE = "queue_worker_messages_processed_total{"
POSTERS = 16
LOOK_S = 0.5
DEADLINE_S = 900.0


def many_functions(programs: Programs, folder: Path, *, functions: int, rounds: int = 2) -> Iterator[Row]:
    """A row before, one for each job of all functions, and one when nothing has come for long."""
    with (
        nginx.backend(programs, folder) as (_, backend_port),
        nats_server(folder) as server,
        _gateway(folder, backend_port, server, functions) as ours,
        _worker(folder, server, ours) as (worker, metrics),
    ):
        many = _Many(
            functions, ours, server, {"nats": server.process, "worker": worker, "gateway": ours.process}, metrics
        )
        yield asyncio.run(many.until(lambda: True, "before"))
        for number in range(1, rounds + 1):
            yield asyncio.run(many.round(f"job {number} of each"))
        yield asyncio.run(many.until(lambda: many.consumers <= STANDING, "idle again"))


class _Many:
    def __init__(
        self, functions: int, ours: Measured, server: NatsServer, processes: Mapping[str, Child], metrics: str
    ) -> None:
        self.consumers = 0
        self._names = ("echo", *(f"echo-{number}" for number in range(functions - 1)))
        self._port = ours.port
        self._processes = processes
        self._server, self._metrics = server.monitoring, metrics
        self._peaks: dict[str, int] = {}
        self._max_consumers = 0
        self._done = 0.0

    async def round(self, what: str) -> Row:
        posting = asyncio.create_task(self._post())
        goal = self._done + len(self._names)
        row = await self.until(lambda: self._done >= goal, what)
        return row | {"accepted_s": await posting}

    async def until(self, over: Callable[[], bool], what: str) -> Row:
        """Looked at again and again until it is over."""
        cpu = {name: process.cpu_s() for name, process in self._processes.items()}
        self._peaks, self._max_consumers = {}, 0
        began = time.monotonic()
        await self._look()
        while not over():
            if time.monotonic() - began > DEADLINE_S:
                raise RuntimeError(f"{what}: {self._done:g} jobs are done and {self.consumers} consumers there")
            await asyncio.sleep(LOOK_S)
            await self._look()
        row: Row = {"what": what, "seconds": time.monotonic() - began, "accepted_s": 0.0}
        row |= {"consumers": self._max_consumers, "consumers_after": self.consumers}
        for name, process in self._processes.items():
            row |= {f"{name}_mib": self._peaks[name] / 2**20, f"{name}_cpu_s": process.cpu_s() - cpu[name]}
        return row

    async def _look(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            told = (await client.get(f"{self._server}/jsz")).raise_for_status().json()
            lines = (await client.get(f"{self._metrics}/metrics")).raise_for_status().text.splitlines()
        self.consumers = told["consumers"]
        self._max_consumers = max(self._max_consumers, self.consumers)
        self._done = sum(
            float(line.rpartition(" ")[2]) for line in lines if line.startswith(DONE) and 'state="done"' in line
        )
        for name, process in self._processes.items():
            self._peaks[name] = max(self._peaks.get(name, 0), sum(process.proportional_bytes().values()))

    async def _post(self) -> float:
        """Seconds until all are accepted."""
        began = time.monotonic()
        posts = (Post(at, name, work_s=0.0, fails=0.0, keyed=False) for at, name in enumerate(self._names))
        posted = await Posters(lambda: self._port, posts, think_s=0.0).run(POSTERS)
        assert len(posted.accepted) == len(self._names), posted.statuses
        return time.monotonic() - began


def _gateway(
    folder: Path, backend_port: int, server: NatsServer, functions: int
) -> contextlib.AbstractContextManager[Measured]:
    broker = asdict(BrokerSettings(nats_url=(server.url,)))
    return gateway(folder / "gateway", backend_port, more=functions - 1, broker=broker)


@contextlib.contextmanager
def _worker(folder: Path, server: NatsServer, ours: Measured) -> Iterator[tuple[Child, str]]:
    port = free_port()
    settings = {
        "nats_url": server.url,
        "nats_monitoring_url": server.monitoring,
        "gateway_url": f"http://127.0.0.1:{ours.port}",
        "functions_provider_url": f"http://127.0.0.1:{ours.provider_port}",
        "queue_worker_port": str(port),
        "consumer_inactive_threshold": f"{IDLE_S}s",
        "basic_auth": "false",
    }
    command = (*rest.SPRINGTIDE, "queue-worker")
    with child("queue worker", command, port=port, log=folder / "worker.log", environment=settings) as worker:
        yield worker, f"http://127.0.0.1:{port}"
